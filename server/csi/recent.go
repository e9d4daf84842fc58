package csi

import (
	"sync"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/provider/engine"
)

// What is remembered of requests is bounded: a request by what it takes, each generation
// by what all take and by the time between two polls, of which the driver makes one in two
// minutes.
const (
	maxRecent   = 64 << 10
	recentBytes = 1 << 20
	recentTime  = 5 * time.Minute

	// What one takes beside its texts, and for each of its parameters, tokens and credentials.
	requestCost, entryCost = 1 << 10, 128
)

// recent remembers what the last requests were parsed to. The driver sends the request of
// a volume again at each poll, to the letter, until the kubelet renews the pod's tokens;
// and parsing one takes as long as answering it from memory does. Only the same request
// is answered with what it was parsed to, so that nothing of one reaches another.
//
// There are two generations. A request that is not repeated while the newer one lasts is
// forgotten with the older, also where nothing else is asked: the pod's tokens are in it.
// A tenant with very many requests makes others' be parsed.
type recent struct {
	mu           sync.Mutex
	newer, older map[rawRequest]*parsed
	bytes        int         // of newer
	began        time.Time   // newer
	ends         *time.Timer // newer's time; runs while something is remembered
}

// rawRequest is all of a request that is parsed.
type rawRequest struct{ attributes, secrets, permission string }

// parsed is a request for a class. It is shared and does not change.
type parsed struct {
	request engine.Request
	class   string
}

// cost is about what a request takes in bytes: its texts are there as they came and parsed.
func (p *parsed) cost(raw rawRequest) int {
	count := len(p.request.Parameters) + len(p.request.Identity.Tokens) + len(p.request.Identity.Credentials)
	return requestCost + entryCost*count + 2*(len(raw.attributes)+len(raw.secrets)+len(raw.permission))
}

func rawOf(m *v1alpha1.MountRequest) rawRequest {
	return rawRequest{m.GetAttributes(), m.GetSecrets(), m.GetPermission()}
}

// get returns what a request was parsed to, or nil.
func (r *recent) get(raw rawRequest) *parsed {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.age(0)
	if p, ok := r.newer[raw]; ok {
		return p
	}
	p, ok := r.older[raw]
	if ok {
		r.keep(raw, p)
	}
	return p
}

// add remembers what a request was parsed to.
func (r *recent) add(raw rawRequest, p *parsed) {
	if p.cost(raw) > maxRecent {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.newer[raw]; !ok { // else another call was faster
		r.keep(raw, p)
	}
}

func (r *recent) keep(raw rawRequest, p *parsed) {
	r.age(p.cost(raw))
	r.newer[raw] = p
	r.bytes += p.cost(raw)
}

// age begins another generation if the newer one is old, or has no room for more bytes.
func (r *recent) age(more int) {
	now := time.Now()
	if since := now.Sub(r.began); since >= 0 && since < recentTime && r.bytes+more <= recentBytes {
		return
	}
	if r.older = r.newer; now.Sub(r.began) >= 2*recentTime {
		r.older = nil
	}
	r.newer, r.bytes, r.began = map[rawRequest]*parsed{}, 0, now
	if r.ends == nil {
		r.ends = time.AfterFunc(recentTime, r.forget)
	} else {
		r.ends.Reset(recentTime)
	}
}

// forget begins another generation when the time of the newer one is over.
func (r *recent) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.age(0); len(r.newer)+len(r.older) == 0 {
		r.ends.Stop()
	}
}

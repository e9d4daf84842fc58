package sync

import (
	"cmp"
	"slices"
	gosync "sync"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/server/status"
)

// refusalAge is after how long a list that was not refused again is served: it is tried
// again within a minute.
// https://github.com/kubernetes/client-go/blob/v0.36.0/tools/cache/reflector.go
const refusalAge = 2 * time.Minute

// maxRefusals bounds the texts that are kept.
const maxRefusals = 32

// Refusals are the lists and watches that the API server refuses the controller for want of
// a right. They are safe for concurrent use.
type Refusals struct {
	now func() time.Time
	mu  gosync.Mutex
	// by the API server's text, which names the verb and the resource
	all map[string]*refusal
}

// refusal is when a request was refused first and last.
type refusal struct{ first, last time.Time }

// NewRefusals returns Refusals of which there are none.
func NewRefusals(now func() time.Time) *Refusals {
	return &Refusals{now: now, all: map[string]*refusal{}}
}

// Note notes an error of a list or a watch, if it is a refusal.
func (r *Refusals) Note(err error) {
	if !withoutRight(err) {
		return
	}
	text, now := message.Passage(err.Error()), r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire(now)
	known := r.all[text]
	if known == nil {
		if len(r.all) >= maxRefusals {
			return
		}
		known = &refusal{first: now}
		r.all[text] = known
	}
	known.last = now
}

// expire forgets what was not refused lately. The caller holds mu.
func (r *Refusals) expire(now time.Time) {
	for text, known := range r.all {
		if now.Sub(known.last) > refusalAge {
			delete(r.all, text)
		}
	}
}

// problems are the refusals as facts have them, the oldest first.
func (r *Refusals) problems(now time.Time) (all []status.Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire(now)
	for text, known := range r.all {
		all = append(all, status.Problem{Error: text, Since: known.first})
	}
	slices.SortFunc(all, func(a, b status.Problem) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Error, b.Error))
	})
	return all
}

// Package kube gets service account tokens from the Kubernetes API server, for
// clusters whose CSIDriver object asks for none: a fallback that the operator
// must turn on, since it needs the right to create serviceaccounts/token.
//
// Every token is bound to the pod that the mount is for, by name and UID. The
// API server issues it only if that pod exists and runs as that service
// account, so that what a mount request says of itself is checked before
// anything is read with it. The package therefore never asks for a token that
// is bound to no pod: the secrets-store-sync-controller, whose requests name a
// pod of its own, has a setting with which it passes tokens itself. Lanyard's own
// sync controller, which reads for service accounts and not for pods, says so with
// Options.WithoutPods.
//
// Start with New.
package kube

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/client-go/rest"

	"github.com/lanyardhq/lanyard/provider/identity"
)

const (
	// lifetime is the requested one: the API server's minimum.
	lifetime = 10 * time.Minute
	// requestTimeout bounds one request, including its wait for a slot.
	requestTimeout = 10 * time.Second
	// maxCached is the maximum number of cached tokens, many times a node's pods.
	maxCached = 4096
	// maxCalls is the maximum number of requests in flight.
	maxCalls = 16
)

// Options are what Tokens are made of.
type Options struct {
	// Passed is asked first; nil means identity.PodTokens.
	Passed identity.TokenSource
	// Config tells how to reach the API server. It is called when a token is
	// first needed, and again if it failed; nil means rest.InClusterConfig.
	Config func() (*rest.Config, error)
	// Enabled says whether the operator allows the fallback now.
	Enabled func() bool
	// WithoutPods says that values are read for service accounts that need not have a
	// pod: Passed is not asked, and tokens are bound to no pod.
	WithoutPods bool
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Tokens is an identity.TokenSource that requests a token from the API server if the
// driver passed none for an audience. It caches a token for its pod and audience
// until four fifths of the lifetime have passed. It is safe for concurrent use.
type Tokens struct {
	passed  identity.TokenSource
	enabled func() bool
	podless bool
	now     func() time.Time

	ctx   context.Context // ends with Close
	stop  context.CancelFunc
	calls sync.WaitGroup
	turns chan struct{}

	mu     sync.Mutex
	cached map[key]*entry

	connect func() (*rest.Config, error)
	server  sync.Mutex // guards api while it is made
	api     *api
}

// key is the pod and audience of a token.
type key struct {
	identity identity.Key
	pod, uid string
	audience string
}

// entry is a token or the request for it in flight.
type entry struct {
	done    chan struct{} // closed when the fields below are set
	token   identity.Token
	renewAt time.Time
	err     error
}

// New returns Tokens that work until Close.
func New(opts Options) *Tokens {
	t := &Tokens{
		passed:  opts.Passed,
		enabled: opts.Enabled,
		podless: opts.WithoutPods,
		now:     opts.Now,
		connect: opts.Config,
		turns:   make(chan struct{}, maxCalls),
		cached:  map[key]*entry{},
	}
	if t.now == nil {
		t.now = time.Now
	}
	if t.passed == nil {
		t.passed = identity.PodTokens{Now: t.now}
	}
	if t.connect == nil {
		t.connect = rest.InClusterConfig
	}
	t.ctx, t.stop = context.WithCancel(context.Background())
	return t
}

// Close ends the requests in flight and waits for them. No Token may follow.
func (t *Tokens) Close() {
	t.stop()
	t.calls.Wait()
	t.server.Lock()
	defer t.server.Unlock()
	if t.api != nil {
		t.api.close()
	}
}

// Token returns a token of the pod's service account for the audience, from the
// driver if it passed one, else from the API server.
func (t *Tokens) Token(ctx context.Context, id identity.Identity, audience string) (identity.Token, error) {
	if t.podless {
		id.Pod, id.PodUID = "", ""
	} else {
		token, err := t.passed.Token(ctx, id, audience)
		if err == nil || !errors.Is(err, identity.ErrNoToken) {
			return token, err
		}
		if t.enabled == nil || !t.enabled() {
			return identity.Token{}, err
		}
	}
	if err := t.answerable(id, audience); err != nil {
		return identity.Token{}, err
	}
	k := key{identity: id.Key(), pod: id.Pod, uid: id.PodUID, audience: audience}
	e := t.entry(k, id)
	select {
	case <-e.done:
		return e.token, e.err
	case <-ctx.Done():
		return identity.Token{}, ctx.Err()
	}
}

// answerable refuses requests that the API server would understand differently:
// without an audience it issues a token for itself.
func (t *Tokens) answerable(id identity.Identity, audience string) error {
	switch {
	case audience == "":
		return fmt.Errorf("%w: the store names no audience, and a token for the API server itself is never asked for; set the audience", identity.ErrNoToken)
	case id.Namespace == "" || id.ServiceAccount == "":
		return fmt.Errorf("%w for audience %q: the mount names no service account", identity.ErrNoToken, audience)
	case !isName(id.Namespace) || !isName(id.ServiceAccount):
		return fmt.Errorf("%w for audience %q: the mount names a service account that cannot exist", identity.ErrNoToken, audience)
	case !t.podless && (id.Pod == "" || id.PodUID == ""):
		return fmt.Errorf("%w for audience %q: the mount names no pod, and the API server is only asked for tokens that are bound to one", identity.ErrNoToken, audience)
	}
	return nil
}

// isName refuses text that would address another resource of the API server.
func isName(name string) bool {
	return len(content.IsPathSegmentName(name)) == 0 && url.PathEscape(name) == name
}

// entry returns the cached entry, or begins a request. The request has a context of
// its own, because other callers may wait for it.
func (t *Tokens) entry(k key, id identity.Identity) *entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.cached[k]; e != nil && !e.isOver(t.now()) {
		return e
	}
	t.makeRoom()
	e := &entry{done: make(chan struct{})}
	t.cached[k] = e
	t.calls.Go(func() {
		ctx, cancel := context.WithTimeout(t.ctx, requestTimeout)
		defer cancel()
		token, err := t.request(ctx, id, k.audience)
		t.mu.Lock()
		defer t.mu.Unlock()
		now := t.now()
		e.token, e.err, e.renewAt = token, err, now.Add(token.Expires.Sub(now)*4/5)
		if err != nil && t.cached[k] == e {
			delete(t.cached, k) // who comes next asks again
		}
		close(e.done)
	})
	return e
}

// isOver reports whether the entry must be replaced. The lock is held.
func (e *entry) isOver(now time.Time) bool {
	select {
	case <-e.done:
		return !now.Before(e.renewAt)
	default:
		return false
	}
}

// makeRoom drops expired tokens and, if needed, those that expire first. Requests in
// flight stay. The lock is held.
func (t *Tokens) makeRoom() {
	if len(t.cached) < maxCached {
		return
	}
	now := t.now()
	half := now.Add(lifetime * 4 / 5 / 2)
	for _, before := range []time.Time{now, half} {
		for k, e := range t.cached {
			if e.isOver(before) {
				delete(t.cached, k)
			}
		}
		if len(t.cached) < maxCached {
			return
		}
	}
	for k, e := range t.cached {
		select {
		case <-e.done:
			delete(t.cached, k)
			return
		default:
		}
	}
}

// request waits for a slot and calls the API server.
func (t *Tokens) request(ctx context.Context, id identity.Identity, audience string) (identity.Token, error) {
	select {
	case t.turns <- struct{}{}:
		defer func() { <-t.turns }()
	case <-ctx.Done():
		return identity.Token{}, fmt.Errorf("the API server did not answer %d earlier token requests within %v", maxCalls, requestTimeout)
	}
	server, err := t.apiServer()
	if err != nil {
		return identity.Token{}, err
	}
	return server.token(ctx, id, audience, t.now)
}

func (t *Tokens) apiServer() (*api, error) {
	t.server.Lock()
	defer t.server.Unlock()
	if t.api == nil {
		made, err := newAPI(t.connect)
		if err != nil {
			return nil, err
		}
		t.api = made
	}
	return t.api, nil
}

// Package credential keeps what a cloud gives a pod in exchange for its
// identity: an access key, a token. One Cache serves one kind of exchange. It
// makes at most one exchange at a time for each Key, shares its result among
// all who ask, renews it before it ends, and drops it when it is refused.
//
// It never shares a credential between two service accounts, since the Key has
// the whole identity in it; it never keeps a failure; and it knows of no cloud:
// how a credential is got is its caller's function.
//
// Vault's logins are not kept here. Its tokens are renewed in place, may be
// used a number of times only, carry the leases of what was read with them and
// are revoked at the end, none of which a cloud's credentials are.
//
// Facts keep what says whose credentials a pod gets, such as the annotations of its
// service account.
//
// Start with New and Cache.Get.
package credential

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/share"
)

// The defaults and bounds of a Cache.
const (
	// maxKeys is how many keys are kept at once. Of the namespace that has the most
	// of them, the one that was asked for the longest ago makes room.
	maxKeys = 4096
	// defaultTimeout leaves room for the pauses of all retries that settings can ask
	// for: those of Azure take up to a minute.
	defaultTimeout = 90 * time.Second
	// idle is for how long a credential that nobody asks for is kept.
	idle = time.Hour
	// retryAfter is how soon after a failed renewal the next is tried, while
	// the credential in hand still works.
	retryAfter = 10 * time.Second
	// forgetEvery is how often a refusal may cost a key a new exchange, which
	// shows whether the credential or the right is what is missing.
	forgetEvery = time.Minute
	// maxLeeway is how long before its end a credential is not handed out any
	// more, so that it does not end on its way. Short lives have a tenth.
	maxLeeway = time.Minute
)

// Key is whose credential it is, and what for. Two callers share a credential
// only if every part is equal.
type Key struct {
	// Identity is the pod's; the zero Key stands for the node's own identity.
	Identity identity.Key
	// Issuer is who grants it: the kind of exchange and its endpoint.
	Issuer string
	// Audience is that of the token that is exchanged.
	Audience string
	// Role is what the credential may act as: a role's ARN, a client's ID, a
	// chain of them. Whatever else changes the result belongs here too.
	Role string
	// Method is the method of auth, as the record of a login calls it. It is part of
	// Issuer too.
	Method string
}

// tenant is whose credential it is among namespaces; the node's is the process's own.
func (k Key) tenant() string { return k.Identity.Namespace }

// Options are what a Cache is made of.
type Options struct {
	// Calls are told of each exchange, which is a login at stores of StoreType; nil tells
	// nobody.
	Calls     *remote.Calls
	StoreType string
	// Timeout bounds one exchange; zero means 90 seconds.
	Timeout time.Duration
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Grant is a credential in use. It never changes.
type Grant[C any] struct {
	// Credential is what the exchange returned.
	Credential C
	// Expires is when it ends; zero if it has no end.
	Expires time.Time

	renewAt time.Time // from when on it is to be replaced
	lastUse time.Time // from when on it is not handed out
}

// Format implements fmt.Formatter, so that no verb shows the credential.
func (g Grant[C]) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "a credential until "+g.Expires.UTC().Format(time.RFC3339)) //nolint:errcheck // fmt.Formatter has no error result
}

// Exchange gets a credential and when it ends; a zero time means that it has no
// end. Its error is handed to all who wait: it should wrap one of the kinds of
// package store, of which only ErrUnavailable lets an older credential stand in.
type Exchange[C any] func(ctx context.Context) (C, time.Time, error)

// Cache holds the credentials of one kind. It is safe for concurrent use.
type Cache[C any] struct {
	calls     *remote.Calls
	storeType string
	timeout   time.Duration
	now       func() time.Time

	// lifetime ends, and work is waited for, on Close. An exchange runs under
	// it and not under its first caller's context, because others share it.
	lifetime context.Context //nolint:containedctx // see above
	end      context.CancelFunc
	work     sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	sweeper *time.Timer // the next sweep; nil while there is nothing to forget
	keys    int         // the bound of slots
	slots   *share.LRUs[Key, *slot[C]]
}

// slot is the place of one key. All fields are guarded by Cache.mu.
type slot[C any] struct {
	grant     *Grant[C] // nil if there is none to hand out
	flight    *flight[C]
	retry     time.Time // after a failed renewal: when to try again
	forgotten time.Time // when a refusal last dropped the grant
	used      time.Time
}

// New returns an empty Cache that works until Close.
func New[C any](opts Options) *Cache[C] { return newSized[C](opts, maxKeys) }

func newSized[C any](opts Options, keys int) *Cache[C] {
	if opts.Timeout <= 0 {
		opts.Timeout = defaultTimeout
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	c := &Cache[C]{calls: opts.Calls, storeType: opts.StoreType, timeout: opts.Timeout, now: opts.Now, keys: keys}
	c.lifetime, c.end = context.WithCancel(context.Background()) //nolint:gosec // Close calls end
	c.slots = share.NewLRUs[Key, *slot[C]](Key.tenant, nil)
	return c
}

// Forget drops a grant that was refused, if it is still the one in hand. It
// returns true if the caller should Get again and repeat the call: false means
// that the key had a new grant for that reason within the last minute, and that
// the refusal is to be believed.
func (c *Cache[C]) Forget(key Key, refused *Grant[C]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.slots.Peek(key)
	if !ok || s.grant != refused {
		return true
	}
	now := c.now()
	if !s.forgotten.IsZero() && now.Sub(s.forgotten) < forgetEvery {
		return false
	}
	s.grant, s.forgotten = nil, now
	return true
}

// Len is how many keys are known.
func (c *Cache[C]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slots.Len()
}

// Close ends the exchanges under way, waits for them and forgets every
// credential. A Get that follows fails.
func (c *Cache[C]) Close() {
	c.mu.Lock()
	c.closed = true
	if c.sweeper != nil {
		c.sweeper.Stop()
	}
	c.mu.Unlock()
	c.end()
	c.work.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slots.Purge()
}

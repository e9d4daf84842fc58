package remote

import (
	"context"
	"fmt"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/share"
)

// The bounds of the answers on their way of which the memory is no mount's yet: of all
// together, and what a namespace gets in any case, in bytes.
const (
	answersBytes      = 32 << 20
	answersGuaranteed = 512 << 10
)

// maxLogin is the maximum size of an answer to a login in bytes: a token, and what the
// server says of it.
const maxLogin = 128 << 10

// NewAnswers returns the Pool of Calls.Answers.
func NewAnswers(meter *share.Meter) *share.Pool {
	return share.New(meter, share.Limits{Capacity: answersBytes, Guarantee: answersGuaranteed, KeepFree: true})
}

// room takes the memory of an answer before the call, for the tenant of ctx, until the
// caller releases it. The error wraps ErrNoSlot.
func (c *Calls) room(ctx context.Context, address string, bytes int64) (*share.Held, error) {
	held, err := c.Answers.Acquire(ctx, share.Of(ctx), bytes)
	if err != nil {
		return nil, &noSlotError{fmt.Sprintf("%s: other calls use the %d MiB that their answers may have while they are on their way; retry", address, answersBytes>>20), err}
	}
	return held, nil
}

type loginKey struct{}

// ForLogin returns a context for a login, which several mounts may wait for: its calls are
// made for the tenant, and their answers take no mount's memory but that of Calls.Answers.
func ForLogin(ctx context.Context, tenant string) context.Context {
	return context.WithValue(share.With(ctx, tenant), loginKey{}, true)
}

func isLogin(ctx context.Context) bool { return ctx.Value(loginKey{}) != nil }

// Login is a login at a store or a key service, or at who vouches to it for an identity.
type Login struct {
	// Identity is who logs in; zero is the process's own.
	Identity identity.Key
	// StoreType is what calls are counted as, and Method the method of auth.
	StoreType, Method string
	// Err is why it failed; nil if it did not.
	Err error
}

// LoggedIn tells of a login that ended, which was made for the call of ctx. Nil Calls tell
// nobody.
func (c *Calls) LoggedIn(ctx context.Context, login Login) {
	if c != nil && c.Logins != nil {
		c.Logins(ctx, login)
	}
}

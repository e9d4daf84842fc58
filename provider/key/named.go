package key

import (
	"context"
	"errors"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// Named returns a Key that has a name and what Fixed says of it, and can do nothing:
// every call is refused with fault.ErrInvalid.
func Named(name, fixed string) Key { return named{name, fixed} }

type named struct{ name, fixed string }

func (n named) Name() string { return n.name }

func (n named) Fixed() string { return n.fixed }

func (n named) refusal() error {
	return fault.Fail(fault.ErrInvalid, errors.New(n.name+": the key was opened for its name alone"))
}

func (n named) Encrypt(context.Context, identity.Identity, secret.Bytes, Context) (Ciphertext, error) {
	return Ciphertext{}, n.refusal()
}

func (n named) Decrypt(context.Context, identity.Identity, Ciphertext, Context) (secret.Bytes, error) {
	return secret.Bytes{}, n.refusal()
}

func (n named) Current(context.Context, identity.Identity) (string, error) { return "", n.refusal() }

func (named) Close() {}

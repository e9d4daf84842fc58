package key

import (
	"context"
	"errors"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// Named returns a Key that has a name and can do nothing: every call is refused
// with fault.ErrInvalid.
func Named(name string) Key { return named(name) }

type named string

func (n named) Name() string { return string(n) }

func (n named) refusal() error {
	return fault.Fail(fault.ErrInvalid, errors.New(string(n)+": the key was opened for its name alone"))
}

func (n named) Encrypt(context.Context, identity.Identity, secret.Bytes, Context) (Ciphertext, error) {
	return Ciphertext{}, n.refusal()
}

func (n named) Decrypt(context.Context, identity.Identity, Ciphertext, Context) (secret.Bytes, error) {
	return secret.Bytes{}, n.refusal()
}

func (n named) Current(context.Context, identity.Identity) (string, error) { return "", n.refusal() }

func (named) Close() {}

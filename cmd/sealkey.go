package cmd

import (
	"context"
	"errors"

	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// sealKey is what values are sealed with.
type sealKey struct {
	cluster string // that the key is for
	seal    func(context.Context, seal.Scope, secret.Bytes) (string, error)
	close   func()
}

// openSealKey reads the file of a public key, or the one that names a key of a
// key service, whichever is not empty.
func openSealKey(public, service string, options ...seal.Option) (*sealKey, error) {
	if service != "" {
		with, err := seal.ReadServiceKey(service, personKeyTypes())
		if err != nil {
			return nil, err
		}
		return &sealKey{cluster: with.Cluster(), close: with.Close, seal: func(ctx context.Context, scope seal.Scope, value secret.Bytes) (string, error) {
			return seal.SealWith(ctx, with, scope, value, options...)
		}}, nil
	}
	to, err := seal.ReadPublicKey(public)
	if err != nil {
		return nil, err
	}
	return &sealKey{cluster: to.Cluster(), close: func() {}, seal: func(_ context.Context, scope seal.Scope, value secret.Bytes) (string, error) {
		return seal.Seal(to, scope, value, options...)
	}}, nil
}

// signing are the options that sign with the sealer's key in the file, if one is
// named.
func signing(file string) ([]seal.Option, error) {
	if file == "" {
		return nil, nil
	}
	by, err := seal.ReadSealer(file)
	if err != nil {
		return nil, usagef("--sign-with: %w", err)
	}
	return []seal.Option{seal.SignedBy(by)}, nil
}

// sealingFailed is a usage error, unless the key service is to blame.
func sealingFailed(err error) error {
	if errors.Is(err, seal.ErrKeyService) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return usageError{err}
}

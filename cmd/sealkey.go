package cmd

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// sealKey is what values are sealed with.
type sealKey struct {
	cluster string // that the key is for
	seal    func(context.Context, seal.Scope, secret.Bytes) (string, error)
	// current says whether a value is sealed with the key already, and under its
	// newest version.
	current func(context.Context, *seal.Sealed) (bool, error)
	close   func()
}

// openSealKey reads the file of a public key, or the one that names a key of a
// key service, whichever is not empty.
func openSealKey(public, service string, options ...seal.Option) (*sealKey, error) {
	if service != "" {
		with, err := seal.ReadServiceKey(service, personKeyTypes())
		if err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
		return &sealKey{cluster: with.Cluster(), close: with.Close, current: currentOf(with), seal: func(ctx context.Context, scope seal.Scope, value secret.Bytes) (string, error) {
			return seal.SealWith(ctx, with, scope, value, options...)
		}}, nil
	}
	to, err := seal.ReadPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("--public: %w", err)
	}
	current := func(_ context.Context, sealed *seal.Sealed) (bool, error) { return sealed.KeyID() == to.ID(), nil }
	return &sealKey{cluster: to.Cluster(), close: func() {}, current: current, seal: func(_ context.Context, scope seal.Scope, value secret.Bytes) (string, error) {
		return seal.Seal(to, scope, value, options...)
	}}, nil
}

// currentOf learns the newest version once, from what sealing a byte for the
// scope of the first value of the key makes: who seals has the right to that, and
// asking for the version takes another at most key services.
func currentOf(with *seal.ServiceKey) func(context.Context, *seal.Sealed) (bool, error) {
	var mu sync.Mutex
	newest := ""
	return func(ctx context.Context, sealed *seal.Sealed) (bool, error) {
		name, version, ok := sealed.ServiceKey()
		if !ok || name != with.Name() {
			return false, nil
		}
		mu.Lock()
		defer mu.Unlock()
		if newest == "" {
			text, err := seal.SealWith(ctx, with, sealed.Scope(), secret.NewString("x"))
			if err != nil {
				return false, err
			}
			trial, err := seal.Parse(text)
			if err != nil {
				return false, err
			}
			_, newest, _ = trial.ServiceKey()
		}
		return version == newest, nil
	}
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

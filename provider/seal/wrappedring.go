package seal

import (
	"context"
	"crypto/hpke"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// wrappedKey is a private key that a key service wrapped, beside its public part.
type wrappedKey struct {
	public hpke.PublicKey
	made   key.Ciphertext
}

// ringUse is the value of boundUse for the private keys of rings.
const ringUse = "sealed-key-ring"

// ringKeyContext returns the context of a ring's wrapped private key: its ID, so that
// no key can replace another, and the ring's cluster.
func ringKeyContext(cluster string, id KeyID) key.Context {
	bound := key.Context{boundUse: ringUse, "ring-key": id.String()}
	if cluster != "" {
		bound[boundCluster] = cluster
	}
	return bound
}

// WrappedBy is the name of the ServiceKey that wraps the private keys; empty for
// a plain ring.
func (r *KeyRing) WrappedBy() string { return r.wrapper }

// Wrap returns the ring with every plain private key wrapped by the key service: one
// call for each, with this machine's credentials, which need no right to decrypt. The
// caller must destroy any plain copy of the ring. The error is about the arguments,
// or wraps ErrKeyService and a kind of package fault.
func (r *KeyRing) Wrap(ctx context.Context, with *ServiceKey) (*KeyRing, error) {
	if r.wrapper != "" && r.wrapper != with.name {
		return nil, fmt.Errorf("the key ring is wrapped by key %s, not by %s; make a new ring with the other key, and seal its values again", r.wrapper, with.name)
	}
	ring := r.clone()
	ring.wrapper = with.name
	for i, one := range ring.keys {
		if one.private == nil {
			continue
		}
		seed, err := one.private.Bytes()
		if err != nil {
			return nil, fmt.Errorf("key %s cannot be wrapped", one.ID)
		}
		made, err := with.key.Encrypt(ctx, identity.Identity{}, secret.New(seed), ringKeyContext(r.cluster, one.ID))
		if err != nil {
			return nil, serviceFailure(ctx, with, err)
		}
		if wrongVersion(made.Version) {
			return nil, serviceError{kind: fault.ErrUnavailable, text: fmt.Sprintf("key %s: the key service returned no version of its key", with.name)}
		}
		ring.keys[i] = ringKey{Key: one.Key, wrapped: &wrappedKey{public: one.private.PublicKey(), made: made}}
	}
	return ring, nil
}

// Unlock returns a wrapped ring that can open values. It unwraps a private key on
// first use, with this machine's credentials at the key service, and forgets it when
// unused for keepUnused. It takes over the keys that before, which may be nil, has
// unwrapped. Lock ends it.
func (r *KeyRing) Unlock(with *ServiceKey, before *KeyRing) *KeyRing {
	ring := r.clone()
	ring.opened = &unwrappedKeys{with: with, keys: map[KeyID]*heldKey{}}
	if before != nil && before.opened != nil {
		before.opened.mu.Lock()
		defer before.opened.mu.Unlock()
		for id, held := range before.opened.keys {
			if i := ring.index(id); i >= 0 && ring.keys[i].wrapped != nil {
				ring.opened.hold(id, held.private)
			}
		}
	}
	return ring
}

// Lock forgets the unwrapped keys. Opens in progress complete.
func (r *KeyRing) Lock() {
	if r.opened != nil {
		r.opened.forget()
	}
}

const (
	// keepUnused is how long an unwrapped private key is kept after its last
	// use. Pods are polled every two minutes or so.
	keepUnused = 15 * time.Minute
	// unwrapTime is how long the key service may take.
	unwrapTime = 20 * time.Second
)

// unwrappedKeys caches a ring's private keys in memory.
type unwrappedKeys struct {
	with    *ServiceKey
	flights singleflight.Group // one call for all who wait for a key

	mu     sync.Mutex
	keys   map[KeyID]*heldKey
	closed bool
}

type heldKey struct {
	private hpke.PrivateKey
	forget  *time.Timer // reset at each use
}

// private returns a private key from the cache or the key service.
func (u *unwrappedKeys) private(ctx context.Context, cluster string, of ringKey) (hpke.PrivateKey, error) {
	if private := u.held(of.ID); private != nil {
		return private, nil
	}
	flight := u.flights.DoChan(of.ID.String(), func() (any, error) {
		if private := u.held(of.ID); private != nil {
			return private, nil // a flight that ended meanwhile
		}
		// Other callers share this call, so it outlives the first one's ctx.
		ctx, done, open := u.with.detached(ctx, unwrapTime)
		if !open {
			return nil, context.Canceled
		}
		defer done()
		private, err := unwrapRingKey(ctx, u.with, cluster, of)
		if err != nil {
			return nil, err
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		u.hold(of.ID, private)
		return private, nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case done := <-flight:
		if done.Err != nil {
			return nil, done.Err
		}
		private, ok := done.Val.(hpke.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("%w: key %s", ErrUnknownKey, of.ID)
		}
		return private, nil
	}
}

// held returns a private key from the cache; nil if it is not there.
func (u *unwrappedKeys) held(id KeyID) hpke.PrivateKey {
	u.mu.Lock()
	defer u.mu.Unlock()
	held := u.keys[id]
	if held == nil {
		return nil
	}
	held.forget.Reset(keepUnused)
	return held.private
}

// unwrapRingKey unwraps a private key at the key service and verifies that it has the
// ring's key ID.
func unwrapRingKey(ctx context.Context, with *ServiceKey, cluster string, of ringKey) (hpke.PrivateKey, error) {
	seed, err := with.key.Decrypt(ctx, identity.Identity{}, of.wrapped.made, ringKeyContext(cluster, of.ID))
	if err != nil {
		return nil, ringFailure(ctx, with, of.ID, err)
	}
	kem, _, _ := hpkeParts()
	private, err := kem.NewPrivateKey(seed.Reveal())
	if err != nil || keyIDOf(private.PublicKey()) != of.ID {
		return nil, serviceError{kind: fault.ErrInvalid, text: fmt.Sprintf("key %s unwrapped another private key than %s; take the key ring from its source again", with.name, of.ID)}
	}
	return private, nil
}

// ringFailure explains a failure to unwrap a private key. A refusal concerns the node
// and not the workload, so it counts as unavailable: cached values stay until the
// operator fixes it.
func ringFailure(ctx context.Context, with *ServiceKey, id KeyID, err error) error {
	failed := serviceFailure(ctx, with, err)
	var service serviceError
	if !errors.As(failed, &service) {
		service = serviceError{text: fmt.Sprintf("key %s: %v", with.name, failed)}
	}
	if service.kind == nil || errors.Is(service.kind, fault.ErrDenied) || errors.Is(service.kind, fault.ErrUnauthenticated) {
		service.kind = fault.ErrUnavailable
	}
	service.text = fmt.Sprintf("private key %s of the key ring cannot be unwrapped: %s; what is sealed to it is not lost, and opens as soon as the key service unwraps the key", id, service.text)
	return service
}

// hold caches a private key until it was unused for keepUnused. u.mu is held.
func (u *unwrappedKeys) hold(id KeyID, private hpke.PrivateKey) {
	if u.closed {
		return
	}
	held := &heldKey{private: private}
	held.forget = time.AfterFunc(keepUnused, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.keys[id] == held {
			delete(u.keys, id)
		}
	})
	u.keys[id] = held
}

func (u *unwrappedKeys) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for _, held := range u.keys {
		held.forget.Stop()
	}
	clear(u.keys)
}

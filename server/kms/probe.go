package kms

import (
	"context"
	"time"

	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/kmsring"
	"github.com/lanyardhq/lanyard/provider/secret"
)

const (
	// probeSize is that of the seed that the API server encrypts, in bytes.
	probeSize = 32
	// probeTime is how long each call of a probe may take, less than what the
	// API server waits, so that a key that is named can be used.
	probeTime = 3*time.Second - reserve
	// probeAgain is waited after a probe that failed, and between probes that
	// calls ask for.
	probeAgain = time.Second
)

// watch tries the write key now and at every interval, sooner when it fails or
// when a call finds that something has changed.
func (s *service) watch(ctx context.Context) {
	for {
		wait := s.interval
		if !s.probe(ctx) {
			wait = min(wait, probeAgain)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
			continue
		case <-s.kicks:
		}
		// Calls that find something out come in numbers.
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(wait, probeAgain)):
		}
	}
}

// kick has the probe look soon.
func (s *service) kick() {
	select {
	case s.kicks <- struct{}{}:
	default: // it was asked to already
	}
}

// probe makes a round trip with the ring's write key. If that is not yet the
// key that Status names, it becomes it by succeeding; failing, it leaves the one
// before in place, which is then tried instead.
func (s *service) probe(ctx context.Context) bool {
	now := time.Now()
	next, err := s.current.hold(func(ring *kmsring.Ring, _ *kmsring.Entry) (*kmsring.Entry, error) { return ring.Write(now), nil })
	if err != nil {
		return false
	}
	defer next.release()
	err = s.roundTrip(ctx, next)
	switch {
	case err == nil:
		return true
	case ctx.Err() != nil:
		return false
	case s.current.names(next):
		s.current.failed(next, err)
		return false
	default:
		klog.ErrorS(nil, "The ring's new write key cannot be used yet; API servers go on with the one before", "key", next.entry.Name, "cause", bounded(err.Error()))
	}
	before, err := s.current.hold(toEncrypt(now))
	if err != nil {
		return false
	}
	defer before.release()
	if err := s.roundTrip(ctx, before); err != nil && ctx.Err() == nil {
		s.current.failed(before, err)
	}
	return false
}

// names says whether the entry is the key that Status names, or none is yet.
func (c *current) names(u use) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entry == nil || c.ring.Same(u.entry) == c.entry
}

// roundTrip encrypts random bytes and decrypts them again. Each call has the
// time that the API server would give it.
func (s *service) roundTrip(ctx context.Context, used use) error {
	var made key.Ciphertext
	trial, err := roundTrip(used.entry,
		func(plain secret.Bytes) (_ key.Ciphertext, err error) {
			ctx, cancel := context.WithTimeout(ctx, probeTime)
			defer cancel()
			made, err = s.encrypt(ctx, used.entry, plain)
			return made, err
		},
		func(ciphertext key.Ciphertext) (secret.Bytes, error) {
			return s.tryDecrypt(ctx, used.entry, ciphertext)
		})
	if err != nil {
		return err
	}
	keyID := trial.KeyID
	if named, sample := s.current.goesBack(used, keyID, made.Version, time.Now()); named != "" {
		if _, err := s.tryDecrypt(ctx, used.entry, sample); err == nil {
			keyID, made = named, sample
		}
	}
	s.current.probed(used, keyID, made)
	return nil
}

func (s *service) tryDecrypt(ctx context.Context, entry *kmsring.Entry, ciphertext key.Ciphertext) (secret.Bytes, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	return s.decrypt(ctx, entry, ciphertext)
}

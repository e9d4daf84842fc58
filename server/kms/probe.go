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
	// probeSize is the size in bytes of the seed that the API server encrypts.
	probeSize = 32
	// probeTime is how long each call of a probe may take, less than what the
	// API server waits, so that a key that is named can be used.
	probeTime = 3*time.Second - reserve
	// probeAgain is the pause after a failed probe, and between probes that calls
	// request.
	probeAgain = time.Second
)

// watch probes the write key now and at every interval. It probes sooner after a
// failure, or when a call requests it.
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
		case <-s.probes:
		}
		// Many calls request a probe at once.
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(wait, probeAgain)):
		}
	}
}

// requestProbe makes the next probe run soon. It does not block.
func (s *service) requestProbe() {
	select {
	case s.probes <- struct{}{}:
	default: // one is requested already
	}
}

// probe makes a round trip with the ring's write key. A success makes that the
// current key. After a failure the key before stays current and is probed too.
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
	case s.current.isCurrent(next):
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

// isCurrent says whether the entry is the current key, or there is none yet.
func (c *current) isCurrent(u use) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entry == nil || c.ring.Same(u.entry) == c.entry
}

// roundTrip encrypts random bytes and decrypts them again. Each call may take as long
// as the API server would wait.
func (s *service) roundTrip(ctx context.Context, used use) (err error) {
	var keyID string
	defer func() {
		if err == nil || ctx.Err() == nil {
			s.noteProbe(used, keyID, err)
		}
	}()
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
	keyID = trial.KeyID
	if named, sample := s.current.isRollback(used, keyID, made.Version, time.Now()); named != "" {
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

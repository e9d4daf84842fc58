package kms

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/kmsring"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// The times of one call. The API server gives up after 3 s unless its
// configuration says otherwise.
const (
	// maxTime is the maximum time of a call, however long its caller would wait.
	maxTime = 10 * time.Second
	// reserve is the part of the caller's time that is kept for sending the answer or
	// the error.
	reserve = 25 * time.Millisecond
	// lastRetry is the time after which a call makes no further attempt.
	lastRetry = 2500 * time.Millisecond
	// firstPause is the backoff before the second attempt; it triples each time.
	firstPause  = 50 * time.Millisecond
	maxAttempts = 5
)

// budget returns a context that ends a moment before the caller gives up.
func budget(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline := time.Now().Add(maxTime)
	if callers, ok := ctx.Deadline(); ok && callers.Add(-reserve).Before(deadline) {
		deadline = callers.Add(-reserve)
	}
	return context.WithDeadline(ctx, deadline)
}

func (s *service) encrypt(ctx context.Context, entry *kmsring.Entry, plaintext secret.Bytes) (ciphertext key.Ciphertext, err error) {
	err = s.call(ctx, entry, "encrypt", func() error {
		ciphertext, err = entry.Encrypt(ctx, plaintext)
		return err
	})
	return ciphertext, err
}

// decrypt never returns an empty plaintext without an error.
func (s *service) decrypt(ctx context.Context, entry *kmsring.Entry, ciphertext key.Ciphertext) (plaintext secret.Bytes, err error) {
	err = s.call(ctx, entry, "decrypt", func() error {
		plaintext, err = decryptOnce(ctx, entry, ciphertext)
		return err
	})
	return plaintext, err
}

// decryptInTurn is decrypt for requests, which may be many at once: a semaphore of the
// key limits their concurrency.
func (s *service) decryptInTurn(ctx context.Context, entry *kmsring.Entry, ciphertext key.Ciphertext) (plaintext secret.Bytes, err error) {
	err = s.call(ctx, entry, "decrypt", func() error {
		release, err := entry.Slot(ctx)
		if err != nil {
			return err
		}
		defer release()
		plaintext, err = decryptOnce(ctx, entry, ciphertext)
		return err
	})
	return plaintext, err
}

func decryptOnce(ctx context.Context, entry *kmsring.Entry, ciphertext key.Ciphertext) (secret.Bytes, error) {
	plaintext, err := entry.Decrypt(ctx, ciphertext)
	if err == nil && plaintext.Len() == 0 {
		err = fault.Fail(fault.ErrUnavailable, errors.New("the key service answered with an empty plaintext"))
	}
	return plaintext, err
}

// call calls a key service, and retries with backoff while the service is unavailable
// and the caller waits. The error names the key.
func (s *service) call(ctx context.Context, entry *kmsring.Entry, operation string, once func() error) error {
	began := time.Now()
	err := s.attempts(ctx, began, once)
	switch {
	case err == nil:
	case errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled):
		err = fmt.Errorf("key %s: the caller gave up: %w", entry.Name, context.Canceled)
	case errors.Is(err, context.DeadlineExceeded):
		err = fault.Fail(fault.ErrUnavailable, fmt.Errorf("key %s (%s): no answer within %s", entry.Name, entry.Service(), time.Since(began).Round(10*time.Millisecond)))
	default:
		err = fmt.Errorf("key %s: %w", entry.Name, err)
	}
	s.metrics.called(entry.Name, operation, err, time.Since(began))
	return err
}

func (s *service) attempts(ctx context.Context, began time.Time, once func() error) error {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		err := once()
		if err == nil || !errors.Is(err, fault.ErrUnavailable) || ctx.Err() != nil || attempt == maxAttempts {
			return err
		}
		// Jitter keeps several plugins from retrying together.
		wait := pause/2 + rand.N(pause)
		if time.Since(began)+wait > lastRetry {
			return err
		}
		select {
		case <-ctx.Done():
			return err // the cause says more than that time is up
		case <-time.After(wait):
		}
		s.metrics.retries.Inc()
		pause *= 3
	}
}

package keytest

import (
	"sync"
	"testing"

	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// current returns the version that the key reports as current.
func (s *subject) current(t *testing.T) string {
	t.Helper()
	version, err := s.Current(t.Context(), s.Identity)
	if err != nil {
		t.Fatalf("Current: %v", err)
	}
	return version
}

func versions(t *testing.T, s *subject) {
	made, seen := []key.Ciphertext{}, map[string]bool{}
	for round := range 3 {
		if round > 0 {
			s.Rotate(t)
		}
		current := s.current(t)
		if seen[current] {
			t.Fatalf("Current is still %q after a rotation", current)
		}
		seen[current] = true
		for range 3 {
			one := s.encrypt(t, []byte(text), scope)
			if one.Version != current {
				t.Fatalf("Encrypt used the version %q, Current had said %q", one.Version, current)
			}
			made = append(made, one)
		}
		if again := s.current(t); again != current {
			t.Errorf("Current went from %q to %q without a rotation", current, again)
		}
	}
	for _, one := range made {
		s.decrypt(t, one, scope, []byte(text))
		s.decrypt(t, key.Ciphertext{Data: one.Data}, scope, []byte(text))
	}
}

// rotationUnderLoad rotates during concurrent encryptions. Decrypt, which knows the
// version from the ciphertext, must accept each returned version, and no version may
// be older than one seen as current before the call, or newer than one after it.
func rotationUnderLoad(t *testing.T, s *subject) {
	const rotations, workers = 5, 4
	order := map[string]int{s.current(t): 0}
	var mu sync.Mutex // guards order
	rotated := func() int { mu.Lock(); defer mu.Unlock(); return len(order) - 1 }

	type timed struct {
		key.Ciphertext
		before, after int // rotations that had ended before, and had begun after
	}
	var (
		made    [workers][]timed
		stop    = make(chan struct{})
		started sync.WaitGroup
		wg      sync.WaitGroup
	)
	begun := 0 // guarded by mu
	started.Add(workers)
	for worker := range workers {
		wg.Go(func() {
			for first := true; ; first = false {
				one := timed{before: rotated()}
				var err error
				one.Ciphertext, err = s.Encrypt(t.Context(), s.Identity, secret.NewString(text), scope)
				if first {
					started.Done()
				}
				if err != nil {
					t.Errorf("Encrypt during a rotation: %v", err)
					return
				}
				mu.Lock()
				one.after = begun
				mu.Unlock()
				made[worker] = append(made[worker], one)
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	started.Wait()
	for range rotations {
		mu.Lock()
		begun++
		mu.Unlock()
		s.Rotate(t)
		version := s.current(t)
		mu.Lock()
		order[version] = len(order)
		mu.Unlock()
	}
	close(stop)
	wg.Wait()
	for worker := range made {
		for i, one := range made[worker] {
			at, known := order[one.Version]
			switch {
			case !known:
				t.Fatalf("a ciphertext has the version %q, which was never current", one.Version)
			case at > one.after, at < one.before && !s.Eventual:
				t.Fatalf("a ciphertext has version number %d; it was made after rotation %d and before rotation %d", at, one.before, one.after+1)
			}
			if i%16 == 0 || i == len(made[worker])-1 {
				s.decrypt(t, one.Ciphertext, scope, []byte(text))
			}
		}
	}
}

// wrongVersion passes a ciphertext with another version. A key service that cannot
// detect this must return the right plaintext.
func wrongVersion(t *testing.T, s *subject) {
	old := s.encrypt(t, []byte(text), scope)
	s.Rotate(t)
	newer := s.encrypt(t, []byte(text), scope)
	for what, wrong := range map[string]string{"the next version": newer.Version, "no version of any key": "no such version"} {
		plain, err := s.Decrypt(t.Context(), s.Identity, key.Ciphertext{Data: old.Data, Version: wrong}, scope)
		if err != nil {
			s.wantKind(t, what, err, unauthentic...)
		} else if s.DetectsVersion {
			t.Errorf("%s: Decrypt took it for the ciphertext's", what)
		}
		if err != nil && plain.Len() != 0 || err == nil && plain.RevealString() != text {
			t.Errorf("%s: Decrypt returned %d bytes and error %v", what, plain.Len(), err)
		}
	}
}

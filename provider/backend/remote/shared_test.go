package remote

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// resource tells whether it is used while it is open.
type resource struct{ open atomic.Bool }

func TestSharedIsOpenedOnceAndClosedAfterTheLast(t *testing.T) {
	var opened, closed int
	s := NewShared(func(key string) (*resource, error) {
		if key == "bad" {
			return nil, errors.New("refused")
		}
		opened++
		r := &resource{}
		r.open.Store(true)
		return r, nil
	}, func(r *resource) { closed++; r.open.Store(false) })

	first, releaseFirst, err := s.Acquire("a")
	if err != nil {
		t.Fatal(err)
	}
	second, releaseSecond, err := s.Acquire("a")
	if err != nil || first != second || opened != 1 {
		t.Fatalf("opened %d times, %v", opened, err)
	}
	releaseFirst()
	releaseFirst() // again, which counts once
	if closed != 0 || !second.open.Load() {
		t.Error("closed while it is used")
	}
	releaseSecond()
	if closed != 1 {
		t.Errorf("closed %d times after the last user", closed)
	}
	if third, release, err := s.Acquire("a"); err != nil || third == first || opened != 2 {
		t.Errorf("what was closed is used again, %v", err)
	} else {
		release()
	}
	for range 2 {
		if _, _, err := s.Acquire("bad"); err == nil || err.Error() != "refused" {
			t.Errorf("error %v", err)
		}
	}
	if len(s.used) != 0 {
		t.Errorf("%d are kept", len(s.used))
	}
}

// Many users come and go at once: nobody holds what is closed, and nothing is left.
func TestSharedUnderLoad(t *testing.T) {
	var opened, closed atomic.Int64
	s := NewShared(func(int) (*resource, error) {
		opened.Add(1)
		r := &resource{}
		r.open.Store(true)
		return r, nil
	}, func(r *resource) { r.open.Store(false); closed.Add(1) })
	var users sync.WaitGroup
	for user := range 16 {
		users.Go(func() {
			for n := range 2000 {
				held, release, err := s.Acquire((user + n) % 3)
				if err != nil || !held.open.Load() {
					t.Errorf("a user holds what is closed, %v", err)
				}
				release()
			}
		})
	}
	users.Wait()
	if opened.Load() != closed.Load() || len(s.used) != 0 {
		t.Errorf("%d opened, %d closed, %d kept", opened.Load(), closed.Load(), len(s.used))
	}
}

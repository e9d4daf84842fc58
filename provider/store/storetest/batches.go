package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

// runBatches checks the contract of store.BatchReader, for a store that is one.
func runBatches(t *testing.T, start func(*testing.T) (*Fixture, store.Store)) {
	t.Helper()
	// full returns as many references as one batch takes, with their values,
	// or none if the store reads them one at a time.
	full := func(t *testing.T) (*Fixture, store.BatchReader, []store.Reference, []string) {
		t.Helper()
		f, s := start(t)
		batching, ok := s.(store.BatchReader)
		if !ok {
			return f, nil, nil, nil
		}
		first := f.Put(t, "name0", "value-0")
		refs, want := []store.Reference{first}, []string{f.Want("value-0")}
		for i := 1; i < batching.BatchSize(f.Identity, first); i++ {
			value := fmt.Sprintf("value-%d", i)
			refs = append(refs, f.Put(t, fmt.Sprintf("name%d", i), value))
			want = append(want, f.Want(value))
		}
		return f, batching, refs, want
	}

	t.Run("reads a full batch as it reads each", func(t *testing.T) {
		f, s, refs, want := full(t)
		if s == nil {
			return
		}
		for i, result := range readBatch(t, s, f, refs) {
			alone := mustRead(t, s, f.Identity, refs[i])
			switch {
			case result.Err != nil:
				t.Errorf("%s: %v", refs[i].Key, result.Err)
			case string(result.Value.Data.Reveal()) != want[i]:
				t.Errorf("%s = %q, want %q", refs[i].Key, result.Value.Data.Reveal(), want[i])
			case result.Value.Version != alone.Version:
				t.Errorf("%s has version %q in a batch and %q alone", refs[i].Key, result.Value.Version, alone.Version)
			}
		}
	})

	t.Run("fails one of a batch without the others", func(t *testing.T) {
		f, s, refs, want := full(t)
		if s == nil || len(refs) < 2 || f.Missing.Key == "" {
			return
		}
		refs[1] = f.Missing
		for i, result := range readBatch(t, s, f, refs) {
			switch {
			case i == 1:
				wantKind(t, result.Err, fault.ErrNotFound)
			case result.Err != nil:
				t.Errorf("%s: %v", refs[i].Key, result.Err)
			case string(result.Value.Data.Reveal()) != want[i]:
				t.Errorf("%s = %q, want %q", refs[i].Key, result.Value.Data.Reveal(), want[i])
			}
		}
	})

	t.Run("gives a stranger nothing of a batch", func(t *testing.T) {
		f, s, refs, _ := full(t)
		if s == nil || f.Stranger == nil {
			return
		}
		readBatch(t, s, f, refs)
		for _, result := range s.ReadBatch(t.Context(), *f.Stranger, refs) {
			if !errors.Is(result.Err, fault.ErrDenied) && !errors.Is(result.Err, fault.ErrUnauthenticated) {
				t.Errorf("a batch as a stranger: error %v, want denied or not authenticated", result.Err)
			}
			if result.Value.Data.Len() != 0 {
				t.Error("a batch as a stranger returned a value")
			}
		}
	})

	t.Run("gives up a batch when the caller does", func(t *testing.T) {
		f, s, refs, _ := full(t)
		if s == nil {
			return
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begin := time.Now()
		for _, result := range s.ReadBatch(ctx, f.Identity, refs) {
			if result.Err != nil && !errors.Is(result.Err, context.Canceled) {
				t.Errorf("ReadBatch after cancel: %v, want context.Canceled", result.Err)
			}
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("ReadBatch took %v after its context had ended", took)
		}
	})

	t.Run("says that a store that cannot be reached is unavailable to a batch", func(t *testing.T) {
		f, s, refs, _ := full(t)
		if s == nil || f.Fail == nil {
			return
		}
		f.Fail(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		for _, result := range s.ReadBatch(ctx, f.Identity, refs) {
			if !errors.Is(result.Err, context.DeadlineExceeded) {
				wantKind(t, result.Err, fault.ErrUnavailable)
			}
		}
	})
}

func readBatch(t *testing.T, s store.BatchReader, f *Fixture, refs []store.Reference) []store.Result {
	t.Helper()
	for _, ref := range refs {
		if err := s.Check(ref); err != nil {
			t.Fatalf("Check: %v", err)
		}
		if size := s.BatchSize(f.Identity, ref); size < len(refs) {
			t.Fatalf("a batch of %s takes %d, and there are %d", ref.Key, size, len(refs))
		}
	}
	results := s.ReadBatch(t.Context(), f.Identity, refs)
	if len(results) != len(refs) {
		t.Fatalf("%d results for %d references", len(results), len(refs))
	}
	return results
}

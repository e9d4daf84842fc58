package storetest

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

// Answers are the means to damage what the store's server answers.
type Answers struct {
	// Settings are a connection without retries.
	Settings store.Settings
	// Rewrite has the body of each successful answer to a read pass through change,
	// until it is called with nil. Bodies are JSON; those of another protocol are
	// turned into it and back.
	Rewrite func(change func(body []byte) []byte)
	// Values and Free are those of backendtest.Answer.
	Values, Free []string
	// Throttled are the ways in which the server refuses too many calls: those that read,
	// and those that log in.
	Throttled backendtest.Throttling
}

// NoServer are the Answers of a store that can fail and has no server.
var NoServer = &Answers{}

// runAnswers checks that an answer which is not whole, or is another one's, is no
// answer: it is never a value that the whole answer did not hold, and never means that
// there is no value.
func runAnswers(t *testing.T, start func(*testing.T) (*Fixture, store.Store)) {
	t.Helper()
	open := func(t *testing.T) (*Fixture, store.Store) {
		t.Helper()
		f, _ := start(t)
		if f.Answers == nil && f.Fail != nil {
			t.Fatal("the fixture of a store that has a server has no Answers")
		}
		if f.Answers == nil || f.Answers == NoServer {
			return f, nil
		}
		s, err := f.Type.Open(f.Answers.Settings)
		if err != nil {
			t.Fatalf("Open without retries: %v", err)
		}
		t.Cleanup(s.Close)
		return f, s
	}

	t.Run("takes no answer that is damaged or another's", func(t *testing.T) {
		f, s := open(t)
		if s == nil {
			return
		}
		ref := f.Put(t, "first", "value-one")
		f.Answers.damage(t, func() []store.Result {
			value, err := s.Read(t.Context(), f.Identity, ref)
			return []store.Result{{Value: value, Err: err}}
		})
	})

	t.Run("takes no answer to a batch that is damaged or another's", func(t *testing.T) {
		f, s := open(t)
		batching, ok := s.(store.BatchReader)
		if !ok {
			return
		}
		refs := []store.Reference{f.Put(t, "first", "value-one"), f.Put(t, "second", "value-two"), f.Put(t, "third", "value-three")}
		if batching.BatchSize(f.Identity, refs[0]) < len(refs) {
			return
		}
		f.Answers.damage(t, func() []store.Result { return batching.ReadBatch(t.Context(), f.Identity, refs) })
	})
}

// runThrottled checks what a read does while the server has too many calls.
func runThrottled(t *testing.T, start func(*testing.T) (*Fixture, store.Store)) {
	t.Helper()
	t.Run("waits while it is throttled, and says so", func(t *testing.T) {
		f, _ := start(t)
		if f.Answers == nil || f.Answers == NoServer {
			return
		}
		if len(f.Answers.Throttled) == 0 {
			t.Fatal("the fixture of a store that has a server has no Throttled")
		}
		f.Answers.Throttled.Check(t, func(t *testing.T) (backendtest.Throttling, func(context.Context) error) {
			f, _ := start(t)
			s, err := f.Type.Open(f.Answers.Settings)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			ref := f.Put(t, "first", "value-one")
			return f.Answers.Throttled, func(ctx context.Context) error {
				_, err := s.Read(ctx, f.Identity, ref)
				return err
			}
		})
	})
}

// damage reads with each damage that there is, and compares with the whole answer.
func (a *Answers) damage(t *testing.T, read func() []store.Result) {
	t.Helper()
	var whole []byte
	a.Rewrite(func(body []byte) []byte {
		if whole == nil {
			whole = bytes.Clone(body)
		}
		return body
	})
	defer a.Rewrite(nil)
	want := read()
	for i, result := range want {
		if result.Err != nil {
			t.Fatalf("value %d of the whole answer: %v", i, result.Err)
		}
	}
	if whole == nil {
		t.Fatal("no answer passed through Rewrite")
	}
	damages, err := backendtest.Answer{Values: a.Values, Free: a.Free, Others: map[string]string{"first": "other"}}.Damages(whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range damages {
		a.Rewrite(d.To)
		for i, got := range read() {
			switch {
			case errors.Is(got.Err, fault.ErrNotFound):
				t.Errorf("%s: value %d is said to be missing: %v", d.What, i, got.Err)
			case got.Err != nil && !fault.Of(got.Err).StaleOK:
				t.Errorf("%s: value %d: %v; no older value would stand in", d.What, i, got.Err)
			case got.Err != nil && got.Value.Data.Len() != 0:
				t.Errorf("%s: value %d has an error and a value", d.What, i)
			case got.Err == nil && !bytes.Equal(got.Value.Data.Reveal(), want[i].Value.Data.Reveal()):
				t.Errorf("%s: value %d is %q", d.What, i, got.Value.Data.Reveal())
			}
		}
	}
}

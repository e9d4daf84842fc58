package storetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

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
	// Values are the paths of values in an answer, with * for the place in a list,
	// such as "SecretValues.*.SecretString". What is below one is the value's own,
	// which nobody but the server knows.
	Values []string
	// Free are the paths of what an answer may lack or say otherwise, because the
	// value can be told without it.
	Free []string
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
	for _, d := range a.damages(t, whole) {
		a.Rewrite(func([]byte) []byte { return d.body })
		for i, got := range read() {
			switch {
			case errors.Is(got.Err, fault.ErrNotFound):
				t.Errorf("%s: value %d is said to be missing: %v", d.what, i, got.Err)
			case got.Err != nil && !fault.Of(got.Err).StaleOK:
				t.Errorf("%s: value %d: %v; no older value would stand in", d.what, i, got.Err)
			case got.Err != nil && got.Value.Data.Len() != 0:
				t.Errorf("%s: value %d has an error and a value", d.what, i)
			case got.Err == nil && !bytes.Equal(got.Value.Data.Reveal(), want[i].Value.Data.Reveal()):
				t.Errorf("%s: value %d is %q", d.what, i, got.Value.Data.Reveal())
			}
		}
	}
}

// damaged is a body and what is wrong with it.
type damaged struct {
	what string
	body []byte
}

func (a *Answers) damages(t *testing.T, whole []byte) []damaged {
	t.Helper()
	all := []damaged{
		{"half of the answer", whole[:len(whole)/2]}, {"an empty answer", nil},
		{"{}", []byte(`{}`)}, {"null", []byte(`null`)}, {"[]", []byte(`[]`)}, {"a text", []byte(`"x"`)}, {"HTML", []byte(`<html>Sign in</html>`)},
	}
	var root any
	decoder := json.NewDecoder(bytes.NewReader(whole))
	decoder.UseNumber()
	if err := decoder.Decode(&root); err != nil {
		t.Fatalf("the answer is not JSON: %v", err)
	}
	add := func(what string, changed any) {
		body, err := json.Marshal(changed)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, damaged{what, body})
	}
	a.visit(nil, root, func(path []string, v any) {
		name := strings.Join(path, ".")
		add(name+" left out", changed(root, path, nil, true))
		add(name+" null", changed(root, path, nil, false))
		if matches(a.Values, path) {
			return
		}
		for _, other := range []any{"", "x", json.Number("7"), map[string]any{}, []any{}} {
			if fmt.Sprintf("%T", other) == fmt.Sprintf("%T", v) || other == "" {
				add(fmt.Sprintf("%s %v", name, other), changed(root, path, other, false))
			}
		}
		if text, ok := v.(string); ok && strings.Contains(text, "first") {
			add(name+" of another secret", changed(root, path, strings.ReplaceAll(text, "first", "other"), false))
		}
	})
	return all
}

// visit calls do for everything below v but what is below a value or free.
func (a *Answers) visit(path []string, v any, do func(path []string, v any)) {
	if matches(a.Free, path) {
		return
	}
	if len(path) > 0 {
		do(path, v)
	}
	if matches(a.Values, path) {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		for name, below := range v {
			a.visit(append(slices.Clone(path), name), below, do)
		}
	case []any:
		for i, below := range v {
			a.visit(append(slices.Clone(path), fmt.Sprint(i)), below, do)
		}
	}
}

func matches(patterns, path []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		parts := strings.Split(pattern, ".")
		return len(parts) == len(path) && slices.EqualFunc(parts, path, func(part, name string) bool {
			return part == name || part == "*"
		})
	})
}

// changed is v with another value at the path, or without it.
func changed(v any, path []string, with any, remove bool) any {
	if len(path) == 0 {
		return with
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, below := range v {
			switch {
			case name != path[0]:
				out[name] = below
			case len(path) > 1 || !remove:
				out[name] = changed(below, path[1:], with, remove)
			}
		}
		return out
	case []any:
		var out []any
		for i, below := range v {
			switch {
			case fmt.Sprint(i) != path[0]:
				out = append(out, below)
			case len(path) > 1 || !remove:
				out = append(out, changed(below, path[1:], with, remove))
			}
		}
		return out
	}
	return v
}

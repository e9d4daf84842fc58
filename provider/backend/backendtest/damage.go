package backendtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Damage is one way in which an answer can be not whole, or another's.
type Damage struct {
	What string
	// To damages the body of an answer.
	To func(body []byte) []byte
	// Another says that it makes the answer another's.
	Another bool
}

// Answer says what of a JSON answer has to be right. Paths have * for the place in a
// list, such as "SecretValues.*.SecretString".
type Answer struct {
	// Values are the paths of values: what is below one is the value's own, which
	// nobody but the server knows.
	Values []string
	// Free are the paths of what may be missing or different, because what was asked
	// for can be told without it.
	Free []string
	// Others are texts that occur in the answer, such as a name, with those of another
	// answer.
	Others map[string]string
}

// Damages are the ways to damage an answer like whole: all of it, each field, and each
// text of Others in each field.
func (a Answer) Damages(whole []byte) ([]Damage, error) {
	all := []Damage{{What: "half of the answer", To: func(body []byte) []byte { return body[:len(body)/2] }}}
	for _, text := range []string{"", `{}`, `null`, `[]`, `"x"`, `<html>Sign in</html>`} {
		all = append(all, Damage{What: fmt.Sprintf("the answer %q", text), To: func([]byte) []byte { return []byte(text) }})
	}
	root, err := decode(whole)
	if err != nil {
		return nil, fmt.Errorf("the answer is not JSON: %w", err)
	}
	add := func(what string, path []string, change func(v any) (with any, keep bool)) {
		all = append(all, Damage{What: strings.Join(path, ".") + " " + what, To: func(body []byte) []byte {
			root, err := decode(body)
			if err != nil {
				return nil
			}
			changed, err := json.Marshal(changed(root, path, change))
			if err != nil {
				return nil
			}
			return changed
		}})
	}
	a.visit(nil, root, func(path []string, v any) {
		add("left out", path, func(any) (any, bool) { return nil, false })
		add("null", path, func(any) (any, bool) { return nil, true })
		if matches(a.Values, path) {
			return
		}
		// Another type cannot be read, and an empty or other one of the same is wrong.
		for _, other := range []any{"", "x", json.Number("7"), map[string]any{}, []any{}} {
			add(fmt.Sprintf("as %T %v", other, other), path, func(any) (any, bool) { return other, true })
		}
		text, _ := v.(string)
		for _, own := range slices.Sorted(maps.Keys(a.Others)) {
			if strings.Contains(text, own) {
				add("of another, "+a.Others[own], path, func(v any) (any, bool) {
					text, _ := v.(string)
					return strings.ReplaceAll(text, own, a.Others[own]), true
				})
				all[len(all)-1].Another = true
			}
		}
	})
	return all, nil
}

func decode(body []byte) (root any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	err = decoder.Decode(&root)
	return root, err
}

// visit calls do for everything below v but what is below a value or free.
func (a Answer) visit(path []string, v any, do func(path []string, v any)) {
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
		for _, name := range slices.Sorted(maps.Keys(v)) {
			a.visit(append(slices.Clone(path), name), v[name], do)
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

// changed is v with what is at the path changed, or without it.
func changed(v any, path []string, change func(v any) (with any, keep bool)) any {
	next := func(below any) (with any, keep bool) {
		if len(path) == 1 {
			return change(below)
		}
		return changed(below, path[1:], change), true
	}
	switch v := v.(type) {
	case map[string]any:
		out := maps.Clone(v)
		if below, ok := v[path[0]]; ok {
			delete(out, path[0])
			if with, keep := next(below); keep {
				out[path[0]] = with
			}
		}
		return out
	case []any:
		var out []any
		for i, with := range v {
			keep := true
			if fmt.Sprint(i) == path[0] {
				with, keep = next(with)
			}
			if keep {
				out = append(out, with)
			}
		}
		return out
	}
	return v
}

package storetest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// Fuzz reads over answers that differ in two places from what the server answers. No
// change makes the store panic, return a value that the answer does not hold, take the
// answer for one of another name, say without the answer's word that there is no value,
// or read what no memory was reserved for.
func Fuzz(f *testing.F, fixture func(t *testing.T) *Fixture) {
	for _, insert := range []string{"", "{}", "null", "[]", `"x"`, "7", "<html>", `"first":`, `"other"`, "\\u0000", "\xff", strings.Repeat("[", 100), `,"a":1`} {
		f.Add(uint16(0), uint16(0), []byte(insert), uint16(0), uint16(0), []byte(nil))
		f.Add(uint16(0), uint16(1<<15), []byte(insert), uint16(0), uint16(0), []byte(nil))
		for at := range uint16(24) {
			f.Add(at*12, at%13, []byte(insert), uint16(300)-at*11, at%7, []byte(insert))
		}
	}
	f.Fuzz(func(t *testing.T, at, remove uint16, insert []byte, then, also uint16, with []byte) {
		fixed := fixture(t)
		s, err := fixed.Type.Open(fixed.Answers.Settings)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		ref := fixed.Put(t, "first", "value-one")
		var whole, answered []byte
		fixed.Answers.Rewrite(func(body []byte) []byte {
			whole = body
			answered = edited(edited(bytes.Clone(body), at, remove, insert), then, also, with)
			return answered
		})
		defer fixed.Answers.Rewrite(nil)

		reserved := int64(0)
		value, err := s.Read(remote.WithReserve(t.Context(), func(bytes int64) error { reserved += bytes; return nil }), fixed.Identity, ref)
		got := value.Data.Reveal()
		switch {
		case errors.Is(err, fault.ErrNotFound) && !says(answered, "first"):
			t.Errorf("%q: said to be missing: %v", answered, err)
		case err != nil && len(got) > 0:
			t.Errorf("%q: an error and a value", answered)
		case err == nil && !holds(answered, got):
			t.Errorf("%q: the value %q, which it does not hold", answered, got)
		case err == nil && says(whole, "first") && !says(answered, "first"):
			t.Errorf("%q: the value %q of another name", answered, got)
		case err == nil && reserved < int64(len(got)):
			t.Errorf("%q: %d bytes for which %d were reserved", answered, len(got), reserved)
		}
		if err != nil {
			return
		}
		none := errors.New("no memory")
		value, err = s.Read(remote.WithReserve(t.Context(), func(int64) error { return none }), fixed.Identity, ref)
		if err == nil || value.Data.Len() > 0 {
			t.Errorf("without memory: %d bytes, error %v", value.Data.Len(), err)
		}
	})
}

// edited is the body with bytes removed and others inserted at a place.
func edited(body []byte, at, remove uint16, insert []byte) []byte {
	from := int(at) % (len(body) + 1)
	to := min(from+int(remove), len(body))
	return append(bytes.Clone(body[:from]), append(bytes.Clone(insert), body[to:]...)...)
}

// says is true if a text in the JSON has the word in it.
func says(body []byte, word string) bool {
	return anyOf(body, func(v any) bool { text, _ := v.(string); return strings.Contains(text, word) })
}

// holds is true if something in the JSON is the value: a text, one in base64, or JSON
// itself.
func holds(body, value []byte) bool {
	if len(value) > 0 && bytes.Contains(body, value) {
		return true // also bytes that are not UTF-8
	}
	parsed, isJSON := decoded(value)
	return anyOf(body, func(v any) bool {
		text, isText := v.(string)
		if !isText {
			return isJSON && reflect.DeepEqual(v, parsed)
		}
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
			if raw, err := encoding.DecodeString(text); err == nil && bytes.Equal(raw, value) {
				return true
			}
		}
		return text == string(value)
	})
}

func decoded(text []byte) (any, bool) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	err := decoder.Decode(&v)
	return v, err == nil
}

// anyOf is true if is is, of anything in the JSON: the tokens, and what is nested. What
// stands twice in an object is looked at twice.
func anyOf(body []byte, is func(v any) bool) bool {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if err != nil {
			break
		}
		if is(token) {
			return true
		}
	}
	root, ok := decoded(body)
	if !ok {
		return false
	}
	var below func(v any) bool
	below = func(v any) bool {
		if is(v) {
			return true
		}
		switch v := v.(type) {
		case map[string]any:
			for _, next := range v {
				if below(next) {
					return true
				}
			}
		case []any:
			for _, next := range v {
				if below(next) {
					return true
				}
			}
		}
		return false
	}
	return below(root)
}

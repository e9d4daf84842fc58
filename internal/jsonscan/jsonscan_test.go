package jsonscan_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/lanyardhq/lanyard/internal/jsonscan"
)

func stringsOf(text string) (map[string]string, error) {
	decoded := map[string]string{}
	err := jsonscan.Strings(text, func(name, value string) { decoded[name] = value })
	return decoded, err
}

func TestAStringIsReadAsItWasWritten(t *testing.T) {
	for text, want := range map[string]map[string]string{
		`{"a":"plain","b":"","":"c"}`:               {"a": "plain", "b": "", "": "c"},
		" {\n\t\"a\" : \"b\" , \"c\":\"d\" } ":      {"a": "b", "c": "d"},
		`{"a":"\"\\\/\b\f\n\r\t"}`:                  {"a": "\"\\/\b\f\n\r\t"},
		`{"\u0061":"\u20ac \ud83d\ude00 é € 😀"}`:    {"a": "€ 😀 é € 😀"},
		`{"a":"\ud83d","b":"\ud83dx","c":"\ude00"}`: {"a": "\ufffd", "b": "\ufffdx", "c": "\ufffd"},
		`{"a":"1","a":"2"}`:                         {"a": "2"},
	} {
		if got, err := stringsOf(text); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s is %q, want %q (%v)", text, got, want, err)
		}
	}
	for _, text := range []string{
		"{", "}", "[]", `"a"`, "1", "nul", `{"a"}`, `{"a":}`, `{"a":"b",}`, `{,}`, `{"a":"b"}}`, `{"a":"b"} x`, `{"a":"b" "c":"d"}`,
		`{a:"b"}`, `{"a":b}`, `{"a":null}`, `{"a":1}`, `{"a":{}}`, `{"a":"`, `{"a":"\`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\u12g4"}`, `{"a":"\u+123"}`, "{\"a\":\"\n\"}",
	} {
		if got, err := stringsOf(text); err == nil {
			t.Errorf("%s is accepted as %q", text, got)
		}
	}
}

// FuzzStrings holds that an object of strings is read as encoding/json reads it.
func FuzzStrings(f *testing.F) {
	f.Add(`{"objects":"- path: a\n","x":"\u003c\u0026\u003e\u2028\u0000","tokens":"{\"vault\":{\"token\":\"jwt\"}}"}`)
	f.Add(`{"a":"\ud83d\ude00\ud83d\n","b":"\/"}`)
	f.Add(`{"a":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || text == "" || text == "null" {
			return // what is not UTF-8 stays as it is
		}
		got, err := stringsOf(text)
		var want map[string]*string
		if json.Unmarshal([]byte(text), &want) != nil || want == nil || slices.Contains(slices.Collect(maps.Values(want)), nil) {
			if err == nil {
				t.Errorf("%q is accepted as %q", text, got)
			}
			return
		}
		if err != nil || !maps.EqualFunc(got, want, func(a string, b *string) bool { return a == *b }) {
			t.Errorf("%q is read as %q (%v)", text, got, err)
		}
	})
}

func TestAValueIsFoundAtItsPath(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":{"b":"x"}}`:                          `"x"`,
		"{\n\t\"a\" : { \"b\" :\r[1, 2] } }":       `[1, 2]`,
		`{"b":"y","a":{"c":{"b":"y"},"b":-1.5e3}}`: `-1.5e3`,
		`{"\u0061":{"b":null}}`:                    `null`,
		`{"a":{"b":"y","b":"x"}}`:                  `"x"`,
		`{"a":{"b":"y"},"a":7}`:                    "",
		`{"a":{"B":"y"}}`:                          "",
		`{"a":["b"]}`:                              "",
		`"a"`:                                      "",
		`{"a":{"b":` + strings.Repeat("[", 90) + strings.Repeat("]", 90) + `}}`: strings.Repeat("[", 90) + strings.Repeat("]", 90),
	} {
		if got, err := jsonscan.Find(text, "a", "b"); err != nil || got != want {
			t.Errorf("%s: %q, want %q (%v)", text, got, want, err)
		}
	}
	for _, text := range []string{
		"", "{", `{"a":{"b":1}}}`, `{"a":{"b":01}}`, `{"a":{"b":.5}}`, `{"a":{"b":1.}}`, `{"a":{"b":1e}}`, `{"a":{"b":-}}`, `{"a":{"b":+1}}`,
		`{"a":{"b":nul}}`, `{"a":{"b":[1,]}}`, `{"a":{"b":[1 2]}}`, `{"a":{"b":{1:2}}}`, `{"a":{"b":"` + "\n" + `"}}`,
		`{"a":{"b":` + strings.Repeat("[", 1_000_000),
	} {
		if got, err := jsonscan.Find(text, "a", "b"); err == nil {
			t.Errorf("%.30s is accepted as %q", text, got)
		}
	}
}

// FuzzFind holds that a value is found where encoding/json finds it.
func FuzzFind(f *testing.F) {
	f.Add(`{"a":{"b":{"c":[1,-2.5e+3,true,null,"\u20ac"]}},"b":[{}]}`, "a", "b")
	f.Add(` { "a" : [1, "}"], "k" : {"\u0062":"\ud800\"", "b":null}} `, "k", "b")
	f.Add(`{"a":{"b":1},"a":[]}`, "a", "b")
	f.Fuzz(func(t *testing.T, text, first, second string) {
		if !utf8.ValidString(text) || strings.Count(text, "[")+strings.Count(text, "{") >= 100 {
			return
		}
		got, err := jsonscan.Find(text, first, second)
		if valid := json.Valid([]byte(text)); valid != (err == nil) {
			t.Fatalf("%q: %v", text, err)
		}
		want := json.RawMessage(text)
		for _, name := range []string{first, second} {
			var object map[string]json.RawMessage
			if json.Unmarshal(want, &object) != nil {
				object = nil
			}
			want = object[name]
		}
		if err == nil && got != string(want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	})
}

package restart

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// keyedVersion is a version as the engine makes them, under one of its keys.
func keyedVersion(key, value string) string { return digest(key)[:8] + "-" + digest(key, value) }

func TestOnlyAChangedValueIsAChange(t *testing.T) {
	old := keyedVersion("key", "a")
	for name, test := range map[string]struct {
		from, to versions
		want     int
	}{
		"the same":                       {versions{"x": old}, versions{"x": old}, 0},
		"another value":                  {versions{"x": old}, versions{"x": keyedVersion("key", "b")}, 1},
		"one of two":                     {versions{"x": old, "y": old}, versions{"x": keyedVersion("key", "b"), "y": old}, 1},
		"the key of versions was lost":   {versions{"x": old}, versions{"x": keyedVersion("new key", "a")}, 0},
		"an older form without a key":    {versions{"x": digest("a")}, versions{"x": old}, 0},
		"another provider before":        {versions{"x": "5"}, versions{"x": old}, 0},
		"another provider's own":         {versions{"x": "5"}, versions{"x": "6"}, 1},
		"AWS's, of another form":         {versions{"x": "01234567-89ab-cdef-0123-456789abcdef"}, versions{"x": "01234568-89ab-cdef-0123-456789abcdef"}, 1},
		"an optional object has a value": {versions{"x": absent}, versions{"x": old}, 1},
		"it has none any more":           {versions{"x": old}, versions{"x": absent}, 1},
		"an object more":                 {versions{"x": old}, versions{"x": old, "y": old}, 0},
		"an object less":                 {versions{"x": old, "y": old}, versions{"x": old}, 0},
		"nothing known":                  {nil, versions{"x": old}, 0},
	} {
		if got := changes(source{kindClass, "web"}, test.from, test.to); len(got) != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAChangeIsToldWithoutKeyAndControlCharacters(t *testing.T) {
	c := change{source{kindClass, "web"}, "db/\x1b[31mpassword", keyedVersion("key", "a"), keyedVersion("key", "b")}
	text := c.String()
	if strings.Contains(text, "\x1b") || strings.Contains(text, digest("key")[:8]) || !strings.Contains(text, digest("key", "b")[:12]) {
		t.Errorf("%q", text)
	}
	many := make([]change, 1000)
	for i := range many {
		many[i] = change{source{kindClass, strings.Repeat("w", 253)}, strings.Repeat("é", 200), c.from, c.to}
	}
	if text := list(many); len(text) > maxList+3 || strings.ContainsRune(text, '\uFFFD') {
		t.Errorf("%d bytes: %q", len(text), text)
	}
}

func TestARecordOfManyOrLongVersionsIsSmall(t *testing.T) {
	huge := func(key string, changed int) versions {
		all := versions{"long": strings.Repeat("v", 1<<20)}
		for i := range 5000 {
			all[fmt.Sprintf("file-%04d", i)] = keyedVersion(key, strconv.FormatBool(i == changed))
		}
		return shorten(all)
	}
	one, other, lost := huge("key", 0), huge("key", 1), huge("new key", 0)
	r := record{Versions: map[string]versions{"class web": one}}
	if len(r.text()) > 1000 {
		t.Errorf("a record of %d bytes", len(r.text()))
	}
	s := source{kindClass, "web"}
	if len(changes(s, one, other)) != 1 || len(changes(s, one, huge("key", 0))) != 0 || len(changes(s, one, lost)) != 0 {
		t.Error("many objects that changed are not told from many that did not")
	}
	if a, b := shorten(versions{"x": strings.Repeat("v", 100)}), shorten(versions{"x": strings.Repeat("v", 101)}); len(changes(s, a, b)) != 1 {
		t.Error("long versions that differ are equal")
	}
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	failed := time.Date(2026, 11, 28, 2, 0, 0, 0, time.UTC)
	r := &record{Versions: map[string]versions{"class web": {"x": "1"}}, Rollout: &rollout{At: failed, For: map[string]string{"class web": "abc"}, Short: 1, Failed: &failed}}
	got, err := parseRecord(r.text())
	if err != nil || got.text() != r.text() {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := parseRecord(""); got != nil || err != nil {
		t.Errorf("nothing: %v, %v", got, err)
	}
	for _, text := range []string{"x", "null", "{}", `{"versions":[]}`, `{"versions":{"class web":1}}`} {
		if _, err := parseRecord(text); err == nil {
			t.Errorf("%s is a record", text)
		}
	}
}

func TestARecordThatLanyardDidNotWriteIsBounded(t *testing.T) {
	many := func(n int, of string) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = fmt.Sprintf("%q:%s", strconv.Itoa(i), of)
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	for name, text := range map[string]string{
		"sources":  `{"versions":` + many(maxSources+1, "{}") + "}",
		"objects":  `{"versions":{"class web":` + many(maxObjects+1, `""`) + "}}",
		"targets":  `{"versions":{},"rollout":{"for":` + many(maxSources+1, `""`) + "}}",
		"too deep": `{"versions":` + strings.Repeat("[", 100000) + "}",
	} {
		if _, err := parseRecord(text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := parseRecord(`{"versions":` + many(maxSources, many(maxObjects, `""`)) + "}"); err != nil {
		t.Error(err)
	}
}

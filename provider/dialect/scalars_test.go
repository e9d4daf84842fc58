package dialect_test

import (
	"errors"
	"testing"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/render/jmespath"
)

func TestPermissionsAreNumbersInEveryNotation(t *testing.T) {
	for text, want := range map[string]dialect.Permission{"0600": 0o600, "0o440": 0o440, "384": 0o600, "0x1ff": 0o777, "0": 0, "": 0, "+0600": 0o600} {
		var got struct {
			Mode dialect.Permission `yaml:"mode"`
		}
		if err := strict.Unmarshal([]byte("mode: "+text), &got); err != nil || got.Mode != want {
			t.Errorf("%q is %o, %v; want %o", text, got.Mode, err, want)
		}
	}
	for _, text := range []string{"'0600'", "rw", "0680", "01000", "-1", "[1]", "1.0", "true"} {
		var got struct {
			Mode dialect.Permission `yaml:"mode"`
		}
		var problems strict.Problems
		if err := strict.Unmarshal([]byte("mode: "+text), &got); !errors.As(err, &problems) || got.Mode != 0 {
			t.Errorf("%q is %o, %v; want a problem", text, got.Mode, err)
		}
	}
}

func TestTextIsTakenAsItIsWritten(t *testing.T) {
	for text, want := range map[string]dialect.Text{"a": "a", "0123": "0123", "1.10": "1.10", "true": "true", "~": "", "''": "", "'a b'": "a b"} {
		var got struct {
			Name dialect.Text `yaml:"name"`
		}
		if err := strict.Unmarshal([]byte("name: "+text), &got); err != nil || got.Name != want {
			t.Errorf("%q is %q, %v; want %q", text, got.Name, err, want)
		}
	}
}

// The expression selects the key and nothing else, whatever characters it has.
func FuzzProperty(f *testing.F) {
	for _, key := range []string{"a", "tls.crt", `a"b\c`, "let", "in", "a b", "é", "0", "<&>", "@", "a\x00b", "\u2028", "*", "true"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		expression := dialect.Property(key)
		if key == "" || len(key) > 500 {
			return
		}
		if _, err := jmespath.Compile(expression); err != nil {
			t.Errorf("%q became %q: %v", key, expression, err)
		}
	})
}

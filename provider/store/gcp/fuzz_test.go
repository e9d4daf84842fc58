package gcp

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/store"
)

// A reference that passes is one resource name, which leads nowhere else.
func FuzzReference(f *testing.F) {
	for _, seed := range [][2]string{
		{"db", ""}, {"projects/shop/secrets/db", "1"}, {"projects/shop/locations/europe-west3/secrets/db", "latest"},
		{"projects/shop/secrets/db/versions/1", "stable"}, {"projects/example.com:shop/secrets/db", "99999999999999999999"},
		{"projects/../secrets/db", ".."}, {"projects/shop/locations/a.b/secrets/db", "0"}, {"/", "-"}, {"projects/shop/locations/global/parameters/p", "v1"}, {"projects/shop/locations/eu/parameters/..", ""}, {"projects//secrets/", "a/b"},
	} {
		f.Add(seed[0], seed[1])
	}
	config, problems := parseSettings(store.Settings{Fields: map[string]any{"project": "shop"}})
	if len(problems) > 0 {
		f.Fatal(problems)
	}
	f.Fuzz(func(t *testing.T, key, version string) {
		q, err := config.parseReference(store.Reference{Key: key, Version: version})
		if err != nil {
			return
		}
		parts := strings.Split(q.name, "/")
		wanted := 6
		if q.location != "" || q.service == parameterManager {
			wanted = 8
		}
		at := config.at(q.service, q.location).endpoint
		if len(parts) != wanted || parts[0] != "projects" || parts[wanted-3] != q.id || parts[wanted-1] != q.version {
			t.Errorf("%q with %q became %q", key, version, q.name)
		}
		if strings.Contains(q.name, "..") || strings.ContainsAny(q.name, " ?#%\\\n") || strings.ContainsAny(at, "@?#") {
			t.Errorf("%q with %q became %q at %s", key, version, q.name, at)
		}
	})
}

func FuzzYAML(f *testing.F) {
	for _, seed := range []string{
		"a: b", "- 1\n- 0x1", "a: &x [1]\nb: *x", "{a: {b: ~}}", "a: |\n  text", "? x\n: y", "a: !!binary aGk=", "a: !!bool yes", "a: !!bool ''", "a: !!int '0x1'", "!!null a: b", "a: !!binary /w==", "a: !x y", "a: .inf", "\xff", "a: 1e999", "a: 'b\nc'", "&a [*a]", "<<: {a: 1}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if len(value) > 64<<10 {
			return
		}
		text, err := jsonOfYAML(value)
		if err == nil && !json.Valid(text) {
			t.Errorf("%q became %q, which is not JSON", value, text)
		}
		again, second := jsonOfYAML(value)
		if string(again) != string(text) || (err == nil) != (second == nil) {
			t.Errorf("%q became %q and then %q", value, text, again)
		}
	})
}

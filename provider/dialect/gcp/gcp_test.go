package gcp

import (
	"errors"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/spec"
)

// parse parses what must be right.
func parse(t *testing.T, parameters map[string]string) *spec.Class {
	t.Helper()
	class, err := Parse(parameters)
	if err != nil {
		t.Fatal(err)
	}
	if problems := class.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	return class
}

const one = "- {resourceName: projects/shop/secrets/db/versions/latest, path: db}"

func TestTheWayToLogInChoosesTheStore(t *testing.T) {
	for auth, test := range map[string]struct {
		store   string
		implied map[string]any
	}{
		"":             {"gcp", map[string]any{"type": "google-secret-manager"}},
		"pod-adc":      {"gcp", map[string]any{"type": "google-secret-manager"}},
		"provider-adc": {"gcp-provider-adc", map[string]any{"type": "google-secret-manager", "auth": map[string]any{"method": "metadata"}}},
	} {
		t.Run(auth, func(t *testing.T) {
			class := parse(t, map[string]string{"secrets": one, "auth": auth})
			if got := class.Objects[0].Store; got != test.store {
				t.Errorf("store %q, want %q", got, test.store)
			}
			// The class says nothing itself, so that the operator's store holds.
			if want := map[string]map[string]any{test.store: {}}; !reflect.DeepEqual(class.Stores, want) {
				t.Errorf("stores %v, want %v", class.Stores, want)
			}
			if want := map[string]map[string]any{test.store: test.implied}; !reflect.DeepEqual(class.Defaults, want) {
				t.Errorf("implied %v, want %v", class.Defaults, want)
			}
		})
	}
}

func TestFieldsBecomeAnObject(t *testing.T) {
	mode := func(bits fs.FileMode) *fs.FileMode { return &bits }
	yaml := map[string]any{"format": "yaml"}
	const global, regional = "projects/shop/secrets/db", "projects/shop/locations/europe-west3/secrets/db"
	for name, test := range map[string]struct {
		fields string
		want   spec.Object
		idle   string
	}{
		"global":                {"{path: f, resourceName: projects/shop/secrets/db/versions/latest}", spec.Object{Key: global}, ""},
		"regional":              {"{path: f, resourceName: projects/shop/locations/europe-west3/secrets/db/versions/3}", spec.Object{Key: regional, Version: "3"}, ""},
		"an alias":              {"{path: f, resourceName: projects/shop/secrets/db/versions/prod}", spec.Object{Key: global, Version: "prod"}, ""},
		"by the older name":     {"{fileName: f, resourceName: projects/shop/secrets/db/versions/1}", spec.Object{Key: global, Version: "1"}, ""},
		"by both names":         {"{fileName: g, path: f, resourceName: projects/shop/secrets/db/versions/1}", spec.Object{Key: global, Version: "1"}, "object 1 (f): fileName: has no effect beside path"},
		"an octal mode":         {"{path: f, mode: 0400, resourceName: projects/shop/secrets/db/versions/1}", spec.Object{Key: global, Version: "1", Mode: mode(0o400)}, ""},
		"a mode with an o":      {"{path: f, mode: 0o440, resourceName: projects/shop/secrets/db/versions/1}", spec.Object{Key: global, Version: "1", Mode: mode(0o440)}, ""},
		"a mode in decimal":     {"{path: f, mode: 256, resourceName: projects/shop/secrets/db/versions/1}", spec.Object{Key: global, Version: "1", Mode: mode(0o400)}, ""},
		"a mode of nothing":     {"{path: f, mode: 0, resourceName: projects/shop/secrets/db/versions/1}", spec.Object{Key: global, Version: "1", Mode: mode(0)}, ""},
		"a mode without value":  {"{path: f, mode: , resourceName: projects/shop/secrets/db/versions/1}", spec.Object{Key: global, Version: "1"}, ""},
		"a key of JSON":         {"{path: f, extractJSONKey: user, resourceName: projects/shop/secrets/db/versions/1}", spec.Object{Key: global, Version: "1", Property: "user"}, ""},
		"an odd key of JSON":    {"{path: f, extractJSONKey: tls.crt, resourceName: projects/shop/secrets/db/versions/1}", spec.Object{Key: global, Version: "1", Property: `"tls.crt"`}, ""},
		"a key of YAML":         {"{path: f, extractYAMLKey: user, resourceName: projects/shop/secrets/db/versions/1}", spec.Object{Key: global, Version: "1", Property: "user", Options: yaml}, ""},
		"keys that are empty":   {"{path: f, extractYAMLKey: '', extractJSONKey: , resourceName: projects/shop/secrets/db/versions/1}", spec.Object{Key: global, Version: "1"}, ""},
		"a parameter":           {"{path: f, extractYAMLKey: user, resourceName: projects/shop/locations/global/parameters/app/versions/latest}", spec.Object{Key: "projects/shop/locations/global/parameters/app", Version: "latest", Property: "user", Options: yaml}, ""},
		"a project of a domain": {"{path: f, resourceName: 'projects/example.com:shop/secrets/db/versions/1'}", spec.Object{Key: "projects/example.com:shop/secrets/db", Version: "1"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			class := parse(t, map[string]string{"secrets": "- " + test.fields})
			test.want.Path, test.want.Store, test.want.Entry = "f", StoreName, 1
			if got := class.Objects[0]; !reflect.DeepEqual(got, test.want) {
				t.Errorf("object\n%+v, want\n%+v", got, test.want)
			}
			if got := class.Idle.Error(); got != test.idle {
				t.Errorf("without effect: %q, want %q", got, test.idle)
			}
		})
	}
}

func TestRefusedSyntaxNamesObjectFieldAndRemedy(t *testing.T) {
	object := func(text string) map[string]string {
		return map[string]string{"secrets": one + "\n- resourceName: projects/shop/secrets/db/versions/1\n  path: second\n  " + text}
	}
	named := func(name string) map[string]string {
		return map[string]string{"secrets": "- {path: a, resourceName: '" + name + "'}"}
	}
	const wantName = wantResource
	for name, test := range map[string]struct {
		parameters map[string]string
		want       string
	}{
		"no parameters":         {nil, "secrets: missing; list what the volume is to hold"},
		"empty secrets":         {map[string]string{"secrets": ""}, "secrets: has no entries; list at least one object"},
		"unknown parameter":     {map[string]string{"secrets": one, "secret": "x"}, "secret: unknown parameter, which has no effect; did you mean secrets?"},
		"another's parameter":   {map[string]string{"secrets": one, "objects": "x"}, "objects: unknown parameter, which has no effect; known are secrets, auth"},
		"unknown auth":          {map[string]string{"secrets": one, "auth": "pod-acd"}, "auth: unknown way to log in; did you mean pod-adc?"},
		"secrets as a map":      {map[string]string{"secrets": "a: b"}, "secrets: line 1: must be a list; begin each item with a dash"},
		"unknown field":         {object("extractJsonKey: x"), "object 2 (second): extractJsonKey: unknown field, which has no effect; did you mean extractJSONKey?"},
		"a field of others":     {object("alias: x"), "object 2 (second): alias: unknown field, which has no effect; known are resourceName, path, fileName, mode, extractJSONKey, extractYAMLKey"},
		"given twice":           {object("path: x"), "object 2 (second): path: is given twice; remove this one or that of the line above"},
		"no file":               {map[string]string{"secrets": "- {resourceName: projects/shop/secrets/db/versions/1}"}, "object 1: path: missing; say which file the secret becomes"},
		"no name":               {map[string]string{"secrets": "- {path: a}"}, "object 1 (a): resourceName: missing; give the secret's version, such as projects/my-project/secrets/db/versions/latest"},
		"no version":            {named("projects/shop/secrets/db"), "object 1 (a): resourceName: names no version; add /versions/latest, or the number or alias of one"},
		"no version, regional":  {named("projects/shop/locations/l/secrets/db"), "object 1 (a): resourceName: names no version; add /versions/latest, or the number or alias of one"},
		"an empty version":      {named("projects/shop/secrets/db/versions/"), "object 1 (a): resourceName: names no version; add /versions/latest, or the number or alias of one"},
		"a short name":          {named("db"), "object 1 (a): resourceName: " + wantName},
		"something before":      {named("//secretmanager.googleapis.com/projects/shop/secrets/db/versions/1"), "object 1 (a): resourceName: " + wantName},
		"a parameter alone":     {named("projects/shop/locations/global/parameters/p"), "object 1 (a): resourceName: names no version; add /versions/ and the name of one, since a parameter has no latest version"},
		"a parameter's end":     {named("projects/shop/locations/global/parameters/p/versions/"), "object 1 (a): resourceName: names no version; add /versions/ and the name of one, since a parameter has no latest version"},
		"a parameter nowhere":   {named("projects/shop/parameters/p/versions/v"), "object 1 (a): resourceName: " + wantName},
		"both keys":             {object("extractJSONKey: a\n  extractYAMLKey: b"), "object 2 (second): extractYAMLKey: stands beside extractJSONKey, and a value is either JSON or YAML; keep one of the two"},
		"a mode in text":        {object("mode: '0400'"), "object 2 (second): mode: must be a number of permission bits, without quotes, such as 0600"},
		"beyond permissions":    {object("mode: 01777"), "object 2 (second): mode: must be permission bits alone, at most 0777 (511 in decimal)"},
		"the same file twice":   {map[string]string{"secrets": one + "\n" + one}, "object 1 (db): path: has no effect: object 2 makes the same file"},
		"out of the volume":     {map[string]string{"secrets": strings.Replace(one, "path: db", "path: ../db", 1)}, "object 1 (../db): path: must not leave the volume; remove the .."},
		"that, by fileName":     {map[string]string{"secrets": strings.Replace(one, "path: db", "fileName: /db", 1)}, "object 1 (/db): fileName: must be relative to the volume; remove the leading /"},
		"a list for text":       {object("extractJSONKey: [a]"), "object 2 (second): extractJSONKey: must be text"},
		"an alias of YAML":      {map[string]string{"secrets": "- &a {resourceName: projects/shop/secrets/db/versions/1, path: a}\n- *a"}, "object 1 (a): path: has no effect: object 2 makes the same file"},
		"a misread name":        {map[string]string{"secrets": "- {path: a, resourcename: projects/shop/secrets/db/versions/1}"}, "object 1 (a): resourceName: missing; give the secret's version, such as projects/my-project/secrets/db/versions/latest; object 1 (a): resourcename: unknown field, which has no effect; did you mean resourceName?"},
		"everything in one say": {map[string]string{"secrets": "- {path: a, mode: x, resourceName: b}\n- {fileNam: c}", "auht": ""}, "object 1 (a): mode: must be a number of permission bits, without quotes, such as 0600; object 1 (a): resourceName: " + wantName + "; object 2: path: missing; say which file the secret becomes; object 2: resourceName: missing; give the secret's version, such as projects/my-project/secrets/db/versions/latest; auht: unknown parameter, which has no effect; did you mean auth?; object 2: fileNam: unknown field, which has no effect; did you mean fileName?"},
	} {
		t.Run(name, func(t *testing.T) {
			class, err := Parse(test.parameters)
			var problems spec.Problems
			if err != nil && !errors.As(err, &problems) {
				t.Fatalf("error %v, want Problems", err)
			}
			if got := slices.Concat(problems.Add(class.Validate()), class.Idle).Error(); got != test.want {
				t.Errorf("problems\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(one+"\n- {fileName: b, mode: 0400, extractYAMLKey: a.b, resourceName: projects/p/locations/l/secrets/s/versions/1}", "")
	f.Add("- {path: ../a, fileName: /, mode: 9999, resourceName: //}", "provider-adc")
	f.Add("[]", "pod-adc")
	f.Add("- {resourceName: projects/p/locations/global/parameters/x/versions/v, path: a, extractJSONKey: 1.10, extractYAMLKey: ~}", "x")
	f.Fuzz(func(t *testing.T, secrets, auth string) {
		if len(secrets) > 1<<16 {
			return
		}
		class, err := Parse(map[string]string{"secrets": secrets, "auth": auth})
		var problems spec.Problems
		if err != nil && (!errors.As(err, &problems) || len(problems) == 0) {
			t.Fatalf("error %v is no Problems", err)
		}
		for _, p := range append(problems.Add(class.Validate()), class.Idle...) {
			if p.Text == "" || strings.ContainsAny(p.String(), "\n\r\x00") {
				t.Errorf("problem %q", p)
			}
		}
		if err != nil {
			return
		}
		for _, o := range class.Objects {
			if class.Stores[o.Store] == nil || o.Key == "" || strings.Contains(o.Key, "/versions/") || o.Path == "" {
				t.Errorf("accepted the object %+v", o)
			}
			if o.Options != nil && o.Property == "" {
				t.Errorf("reads YAML for nothing: %+v", o)
			}
		}
	})
}

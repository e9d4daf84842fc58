package lanyard

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/spec"
)

func TestParse(t *testing.T) {
	mode := fs.FileMode(0o440)
	parameters := map[string]string{
		"refresh": "5m",
		"stores": `
vault:
  type: vault
  address: https://vault.example.com:8200
  auth: {method: kubernetes, role: web}
`,
		"objects": `
- path: db/password
  store: vault
  key: secret/data/prod/db
  version: 3
  property: password
  encoding: base64
  mode: 0440
  optional: true
  refresh: 30s
  options: {method: PUT, arguments: {ttl: 1h}}
- path: all
  store: vault
  key: secret/data/prod/all
  expand: true
- name: token
  sealed: |
    lanyard.v1.abc
- path: app.properties
  template: "{{ .token }}"
`,
	}
	want := &spec.Class{
		Refresh: 5 * time.Minute,
		Stores: map[string]map[string]any{"vault": {
			"type": "vault", "address": "https://vault.example.com:8200",
			"auth": map[string]any{"method": "kubernetes", "role": "web"},
		}},
		Objects: []spec.Object{
			{
				Path: "db/password", Store: "vault", Key: "secret/data/prod/db", Version: "3",
				Property: "password", Encoding: "base64", Mode: &mode, Optional: true, Refresh: 30 * time.Second,
				Options: map[string]any{"method": "PUT", "arguments": map[string]any{"ttl": "1h"}},
			},
			{Path: "all", Store: "vault", Key: "secret/data/prod/all", Expand: true},
			{Name: "token", Sealed: "lanyard.v1.abc"},
			{Path: "app.properties", Template: "{{ .token }}"},
		},
	}
	got, err := Parse(parameters)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Parse =\n%+v\nwant\n%+v", got, want)
	}
	if problems := got.Validate(); len(problems) > 0 {
		t.Errorf("Validate: %v", problems)
	}
}

func TestRefusedSyntaxNamesObjectFieldAndRemedy(t *testing.T) {
	object := func(text string) map[string]string {
		return map[string]string{"objects": "- path: first\n  store: v\n  key: k\n- path: db/password\n  store: v\n  key: k\n  " + text}
	}
	const zero = `must begin with a zero, such as "0440"; without it the number could be read as a decimal one`
	tests := map[string]struct {
		parameters map[string]string
		want       string
	}{
		"no parameters":         {nil, "objects: missing; list what the volume is to hold"},
		"unknown parameter":     {map[string]string{"objects": "[]", "store": ""}, "store: unknown parameter; did you mean stores?"},
		"another's parameter":   {map[string]string{"objects": "[]", "vaultAddress": ""}, "vaultAddress: unknown parameter; known are objects, stores, refresh"},
		"refresh not a time":    {map[string]string{"objects": "[]", "refresh": "5"}, "refresh: must be a duration such as 30s, 5m or 2h"},
		"refresh of nothing":    {map[string]string{"objects": "[]", "refresh": "0s"}, "refresh: must be a duration such as 30s, 5m or 2h"},
		"refresh negative":      {map[string]string{"objects": "[]", "refresh": "-1m"}, "refresh: must be a duration such as 30s, 5m or 2h"},
		"objects not a list":    {map[string]string{"objects": "path: a"}, "objects: line 1: must be a list; begin each item with a dash"},
		"objects not YAML":      {map[string]string{"objects": "- path: a\n- path: 'b"}, "objects: line 2: is not valid YAML: a quote is not closed"},
		"object not a map":      {map[string]string{"objects": "- path"}, "object 1: must be a map of fields"},
		"stores not a map":      {map[string]string{"objects": "[]", "stores": "[a]"}, "stores: line 1: must be a map of fields"},
		"store not a map":       {map[string]string{"objects": "[]", "stores": "vault: x"}, "stores.vault: line 1: must be a map of fields"},
		"store given twice":     {map[string]string{"objects": "[]", "stores": "v: {}\nv: {}"}, "stores.v: line 2: is given twice; remove this one or that of the line above"},
		"unknown field":         {object("propery: x"), "object 2 (db/password): propery: unknown field; did you mean property?"},
		"field of another kind": {object("objectName: x"), "object 2 (db/password): objectName: unknown field; known are path, name, store, key, version, property, encoding, mode, optional, refresh, expand, template, sealed, options"},
		"field given twice":     {object("key: k"), "object 2 (db/password): key: is given twice; remove this one or that of the line above"},
		"wrong type":            {object("property: [a]"), "object 2 (db/password): property: must be text"},
		"text as options":       {object("options: a"), "object 2 (db/password): options: must be a map of fields"},
		"yes":                   {object("optional: yes"), "object 2 (db/password): optional: must be true or false, without quotes"},
		"version with a dot":    {object("version: 1.10"), "object 2 (db/password): version: must be text; put it in quotes"},
		"refresh a number":      {object("refresh: 5"), "object 2 (db/password): refresh: must be a duration such as 30s, 5m or 2h"},
		"refresh of no time":    {object("refresh: 0s"), "object 2 (db/password): refresh: must be a duration such as 30s, 5m or 2h"},
		"mode without zero":     {object("mode: 440"), "object 2 (db/password): mode: " + zero},
		"mode quoted, no zero":  {object(`mode: "440"`), "object 2 (db/password): mode: " + zero},
		"mode with a prefix":    {object("mode: 0o440"), "object 2 (db/password): mode: " + notMode},
		"mode not octal":        {object(`mode: "0480"`), "object 2 (db/password): mode: " + notMode},
		"mode in words":         {object("mode: u=r"), "object 2 (db/password): mode: " + notMode},
		"mode empty":            {object(`mode: ""`), "object 2 (db/password): mode: " + notMode},
		"mode too short":        {object("mode: 0"), "object 2 (db/password): mode: " + notMode},
		"mode too long":         {object("mode: 00440"), "object 2 (db/password): mode: " + notMode},
		"mode of a directory":   {object("mode: 02750"), `object 2 (db/password): mode: must be permission bits alone, from "0000" to "0777"`},
		"several at once": {
			map[string]string{"objects": "- {path: a, mode: x}\n- {name: b, moed: x}\n", "x": "", "refresh": "x"},
			"x: unknown parameter; known are objects, stores, refresh; refresh: must be a duration such as 30s, 5m or 2h; object 1 (a): mode: " + notMode + "; object 2 (b): moed: unknown field; did you mean mode?",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(test.parameters)
			var problems spec.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("error %v, want Problems", err)
			}
			if got := problems.Error(); got != test.want {
				t.Errorf("error\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestFindsFurtherProblemsInWhatWasUnderstood(t *testing.T) {
	class, err := Parse(map[string]string{"objects": "- {path: a, moed: x}\n- {path: ../b, sealed: x}\n"})
	var problems spec.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("error %v, want Problems", err)
	}
	const want = "object 1 (a): moed: unknown field; did you mean mode?; object 2 (../b): path: must not leave the volume; remove the .."
	if got := problems.Add(class.Validate()).Error(); got != want {
		t.Errorf("problems\n%s\nwant\n%s", got, want)
	}
}

func TestTakesTenThousandObjects(t *testing.T) {
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "- path: f%d\n  store: vault\n  key: secret/data/%d\n", i, i)
	}
	class, err := Parse(map[string]string{"objects": text.String()})
	if err != nil || len(class.Objects) != 10_000 {
		t.Errorf("%d objects, error %v: the engine's bound is to refuse them by their number", len(class.Objects), err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("- {path: a, store: v, key: k, mode: 0440}\n- {path: a/b, sealed: x}", "v: {type: vault}", "5m")
	f.Add("- {name: a, template: '{{ .b }}'}\n- {path: ../x, expand: true}", "", "")
	f.Add("- {path: '..data', key: k}\n- {path: \"a\\0\", store: x, refresh: 1ns}", "[]", "1h")
	f.Fuzz(func(t *testing.T, objects, stores, refresh string) {
		if len(objects)+len(stores) > 1<<16 {
			return
		}
		class, err := Parse(map[string]string{"objects": objects, "stores": stores, "refresh": refresh})
		problems := class.Validate()
		if err != nil {
			var syntax spec.Problems
			if !errors.As(err, &syntax) || len(syntax) == 0 {
				t.Fatalf("error %v is no Problems", err)
			}
			problems = syntax.Add(problems)
		}
		for _, p := range problems {
			if p.Text == "" || p.Object > len(class.Objects) && err == nil {
				t.Errorf("problem %+v of %d objects", p, len(class.Objects))
			}
			if strings.ContainsAny(p.String(), "\n\r\x00") {
				t.Errorf("problem of several lines: %q", p)
			}
		}
		if len(problems) > 0 {
			return
		}
		// A class without problems makes files that the driver accepts.
		seen := map[string]bool{}
		for _, o := range class.Objects {
			if seen[o.ID()] || o.ID() == "" || strings.HasPrefix(o.Path, "/") || strings.Contains("/"+o.Path+"/", "/../") {
				t.Errorf("accepted the object %+v", o)
			}
			seen[o.ID()] = true
		}
	})
}

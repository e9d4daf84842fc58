package strict

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// document has a field of every kind that the product's documents have.
type document struct {
	Name     string              `yaml:"name"`
	Address  string              `yaml:"address"`
	Refresh  time.Duration       `yaml:"refresh"`
	Optional bool                `yaml:"optional"`
	Count    int                 `yaml:"count"`
	Port     uint16              `yaml:"port"`
	Ratio    float64             `yaml:"ratio"`
	TLS      *tls                `yaml:"tls"`
	Objects  []object            `yaml:"objects"`
	Stores   map[string]anyStore `yaml:"stores"`
	Labels   map[string]string   `yaml:"labels"`
	Free     any                 `yaml:"free"`
	Level    level               `yaml:"level"`
	Inline   Inline              `yaml:",inline"`
	Skipped  string              `yaml:"-"`
	NoTag    string
}

type Inline struct {
	Flat string `yaml:"flat"`
}

type tls struct {
	CA string `yaml:"ca"`
}

type object struct {
	Path string `yaml:"path"`
	Mode string `yaml:"mode"`
}

type anyStore struct {
	Type   string         `yaml:"type"`
	Fields map[string]any `yaml:",inline"`
}

// level decodes itself.
type level int

func (l *level) UnmarshalYAML(node *yaml.Node) error {
	switch node.Value {
	case "low":
		*l = 1
	case "inner":
		return Problems{{Field: "deep", Text: "must be shallow"}}
	default:
		return errors.New("must be low")
	}
	return nil
}

func TestDecodes(t *testing.T) {
	const text = `
name: web
address: https://vault.example.com:8200
refresh: 1m30s
optional: true
count: -3
port: 8200
ratio: 0.5
tls: {ca: /ca.pem}
objects:
  - path: db/password
    mode: 0440
  - {path: on, mode: "0400"}
stores:
  vault:
    type: vault
    timeout: 5s
    retries: 3
    auth: {method: kubernetes, roles: [a, b], renew: false}
labels: {app: 007, day: 2024-01-31}
free: [1, 1.5, yes, true, null]
level: low
flat: here
`
	want := document{
		Name: "web", Address: "https://vault.example.com:8200", Refresh: 90 * time.Second,
		Optional: true, Count: -3, Port: 8200, Ratio: 0.5, TLS: &tls{CA: "/ca.pem"},
		Objects: []object{{"db/password", "0440"}, {"on", "0400"}},
		Stores: map[string]anyStore{"vault": {Type: "vault", Fields: map[string]any{
			"timeout": "5s", "retries": 3,
			"auth": map[string]any{"method": "kubernetes", "roles": []any{"a", "b"}, "renew": false},
		}}},
		Labels: map[string]string{"app": "007", "day": "2024-01-31"},
		Free:   []any{1, 1.5, "yes", true, nil},
		Level:  1,
		Inline: Inline{Flat: "here"},
	}
	var got document
	if err := Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("decoded\n%+v\nwant\n%+v", got, want)
	}
}

func TestKeepsDefaultsThatTheDocumentLeavesOut(t *testing.T) {
	defaults := func() document {
		return document{Name: "default", Refresh: time.Minute, TLS: &tls{CA: "ca"},
			Labels: map[string]string{"a": "1"}, Objects: []object{{Path: "p"}}}
	}
	tests := map[string]struct {
		text   string
		change func(*document)
	}{
		"empty document":       {"", func(*document) {}},
		"comments alone":       {"# nothing\n", func(*document) {}},
		"a mark alone":         {"---\n", func(*document) {}},
		"null":                 {"null\n", func(*document) {}},
		"parts without fields": {"tls:\nlabels:\nobjects:\nstores:\n", func(*document) {}},
		"one field":            {"name: web", func(d *document) { d.Name = "web" }},
		"part of a struct":     {"tls: {}", func(*document) {}},
		"map entries add up":   {"labels: {b: two}", func(d *document) { d.Labels["b"] = "two" }},
		"lists are replaced":   {"objects: []", func(d *document) { d.Objects = []object{} }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, want := defaults(), defaults()
			test.change(&want)
			if err := Unmarshal([]byte(test.text), &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("decoded %+v, want %+v", got, want)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"unknown field near a known one":   {"addresss: x", "line 1: addresss: unknown field; did you mean address?"},
		"unknown field in another case":    {"Name: x", "line 1: Name: unknown field; did you mean name?"},
		"unknown field near none":          {"tls: {zzz: x}", "line 1: tls.zzz: unknown field; known are ca"},
		"untagged field":                   {"notag: x", "line 1: notag: unknown field; known are name, address, refresh, optional, count, port, ratio, tls, objects, stores, labels, free, level, flat"},
		"unknown field of a list's item":   {"objects:\n- path: a\n- path: b\n  moed: x", "line 4: objects[1].moed: unknown field; did you mean mode?"},
		"number with a fraction for text":  {"name: 1.10", "line 1: name: must be text; put it in quotes"},
		"true for text":                    {"name: true", "line 1: name: must be text; put it in quotes"},
		"nothing for text":                 {"name:", "line 1: name: has no value; give one, or remove the field"},
		"list for text":                    {"name: [x]", "line 1: name: must be text"},
		"number for a duration":            {"refresh: 5", "line 1: refresh: must be a duration such as 30s, 5m or 2h"},
		"negative duration":                {"refresh: -5m", "line 1: refresh: must be a duration such as 30s, 5m or 2h"},
		"map for a duration":               {"refresh: {}", "line 1: refresh: must be a duration such as 30s, 5m or 2h"},
		"yes for a bool":                   {"optional: yes", "line 1: optional: must be true or false, without quotes"},
		"quoted bool":                      {`optional: "true"`, "line 1: optional: must be true or false, without quotes"},
		"list for a bool":                  {`optional: []`, "line 1: optional: must be true or false, without quotes"},
		"quoted number":                    {`count: "3"`, "line 1: count: must be a whole number, without quotes"},
		"octal number":                     {"count: 010", "line 1: count: must be a whole number, without quotes"},
		"number too large":                 {"port: 65536", "line 1: port: must be a whole number from 0 to 65535, without quotes"},
		"text for a fraction":              {"ratio: half", "line 1: ratio: must be a number, without quotes"},
		"infinity":                         {"ratio: .inf", "line 1: ratio: must be a number, without quotes"},
		"text for a map":                   {"tls: yes", "line 1: tls: must be a map of fields"},
		"list for a map":                   {"labels: [a]", "line 1: labels: must be a map of fields"},
		"map for a list":                   {"objects: {path: a}", "line 1: objects: must be a list; begin each item with a dash"},
		"list for the document":            {"- a", "line 1: must be a map of fields"},
		"field given twice":                {"name: a\nport: 1\nname: b", "line 3: name: is given twice; remove this one or that 2 lines above"},
		"field given twice, free":          {"free: {a: 1, a: 2}", "line 1: free.a: is given twice; remove this one or that before it"},
		"field that is a number":           {"1.5: x", "line 1: a field's name must be text; put it in quotes"},
		"field that is a list":             {"labels: {[a]: b}", "line 1: labels: a field's name must be text; put it in quotes"},
		"field without a name":             {`labels: {"": b}`, "line 1: labels: a field's name is empty"},
		"number with two readings":         {"stores: {v: {port: 0440}}", "line 1: stores.v.port: can be read as several numbers; write it in decimal, or in quotes if it is text"},
		"number out of range":              {"free: 99999999999999999999999", ""}, // YAML reads it as a fraction
		"infinity where anything goes":     {"free: .inf", "line 1: free: must be a finite number, or text in quotes"},
		"two documents":                    {"name: a\n---\nname: b", "line 2: must be a single document; remove the --- and what follows it"},
		"alias":                            {"name: &a x\naddress: *a", "line 2: address: YAML aliases are not accepted; write the value out"},
		"alias where anything goes":        {"free: [&a x, *a]", "line 1: free[1]: YAML aliases are not accepted; write the value out"},
		"unknown alias":                    {"name: *hunter2", "is not valid YAML: YAML aliases are not accepted; if the text begins with *, put it in quotes"},
		"merge key":                        {"tls: {<<: {ca: x}}", "line 1: tls.<<: YAML merge keys are not accepted; write the fields out"},
		"tag":                              {"name: !!binary aGk=", "line 1: name: YAML tags are not accepted; if the text begins with !, put it in quotes"},
		"too deep":                         {"free: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), "line 1: free" + strings.Repeat("[0]", 32) + ": is nested too deeply; at most 32 levels are accepted"},
		"far too deep":                     {"free: " + strings.Repeat("[", 20000), "is not valid YAML: is nested too deeply; at most 32 levels are accepted"},
		"too many items":                   {"objects: [" + strings.Repeat("{},", maxItems) + "{}]", "line 1: objects: has too many items; at most 16384 are accepted"},
		"too much of everything":           {strings.Repeat("-\n", maxStructure), "holds too many fields, items and lines"},
		"tab":                              {"tls:\n\tca: x", "line 2: is not valid YAML: text begins with a tab or with a character that YAML reserves, such as @, % or a backquote; put the text in quotes"},
		"quote not closed":                 {"name: 'x", "is not valid YAML: a quote is not closed"},
		"colon in text":                    {"name: a: b", "is not valid YAML: a colon stands where no field can begin; put the text in quotes, or fix the indentation"},
		"not UTF-8":                        {"name: \xff\xfe", "is not valid YAML: is not UTF-8 text"},
		"field's own decoding":             {"level: high", "line 1: level: must be low"},
		"field's own decoding, dotted":     {"level: inner", "line 1: level.deep: must be shallow"},
		"alias in a field's own decoding":  {"free: &a x\nlevel: [*a]", "line 2: level[0]: YAML aliases are not accepted; write the value out"},
		"long and odd field name":          {"\"" + strings.Repeat("x", 70) + "\": 1", "line 1: " + strings.Repeat("x", 64) + "…: unknown field; known are name, address, refresh, optional, count, port, ratio, tls, objects, stores, labels, free, level, flat"},
		"field name with a line break":     {"tls: {\"z\\n\": 1}", `line 1: tls.z\n: unknown field; known are ca`},
		"several things, each on its line": {"addresss: x\noptional: 5\nobjects:\n- mode: []\n", "line 1: addresss: unknown field; did you mean address?; line 2: optional: must be true or false, without quotes; line 4: objects[0].mode: must be text"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got document
			err := Unmarshal([]byte(test.text), &got)
			message := ""
			if err != nil {
				message = err.Error()
				if problems := (Problems{}); !errors.As(err, &problems) {
					t.Errorf("error is a %T, want Problems", err)
				}
			}
			if message != test.want {
				t.Errorf("error\n%s\nwant\n%s", message, test.want)
			}
		})
	}
}

func TestDecodesTheRestInSpiteOfProblems(t *testing.T) {
	var got document
	if err := Unmarshal([]byte("name: web\ncount: x\naddress: here\n"), &got); err == nil {
		t.Fatal("no error")
	}
	if got.Name != "web" || got.Address != "here" {
		t.Errorf("decoded %+v", got)
	}
}

func TestTellsOfChecksWhatWasDecoded(t *testing.T) {
	type auth struct {
		Role     string `yaml:"role"`
		Audience string `yaml:"audience"`
	}
	var settings struct {
		Address string        `yaml:"address"`
		Timeout time.Duration `yaml:"timeout"`
		Auth    auth          `yaml:"auth"`
		Keys    []auth        `yaml:"keys"`
		TLS     *auth         `yaml:"tls"`
	}
	problems := Unmarshal([]byte("addresss: here\nauth: {rol: web, audience: [x]}\nkeys: [{role: a}, {role: {}}]\ntls: 5\nnosuch: 1\ntimeot: 5s\ntimeout: 1s\n"), &settings)
	decoding := len(problems)
	for _, explained := range []string{"address", "auth.role", "auth.audience", "auth", "keys[1].role", "keys", "tls.role", "nosuch", ""} {
		if problems.Add(explained, "wrong"); len(problems) != decoding {
			t.Errorf("%q is told, though it could not be read", explained)
			problems = problems[:decoding]
		}
	}
	told := problems.With(Problems{{Field: "timeout"}, {Field: "keys[0].audience"}, {Field: "keys[1].audience"}, {Field: "authority"}, {Field: "keys[10].role"}, {Field: "tls.role"}})
	told.Add("timeout", "wrong again")
	if got := len(told) - decoding; got != 6 {
		t.Errorf("%d problems of fields that were read are told, want 6: %v", got, told)
	}
	if notYAML := Unmarshal([]byte("a: ["), &settings); !notYAML.Explain("timeout") {
		t.Error("a document that could not be read explains nothing")
	}
}

func TestPointsAtTheField(t *testing.T) {
	var got document
	err := Unmarshal([]byte("objects:\n  - path: a\n    mode: {}\n"), &got)
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 1 {
		t.Fatalf("error %v, want one problem", err)
	}
	if p := problems[0]; p.Line != 3 || p.Column != 5 {
		t.Errorf("problem at %d:%d, want 3:5", p.Line, p.Column)
	}
}

func TestListsAHundredProblems(t *testing.T) {
	var got document
	err := Unmarshal([]byte("objects:\n"+strings.Repeat("- x: 1\n", 5000)), &got)
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != maxProblems+1 {
		t.Fatalf("%d problems, want %d and one that says that there are more", len(problems), maxProblems)
	}
	if last := problems[maxProblems].Text; last != "there are more problems; fix those before first" {
		t.Errorf("last problem: %s", last)
	}
}

func TestShowsNoValue(t *testing.T) {
	const planted = "hunter2"
	for _, text := range []string{
		"refresh: hunter2", "optional: hunter2", "count: hunter2", "ratio: hunter2", "tls: hunter2",
		"objects: hunter2", "name: !hunter2 x", "name: *hunter2", "name: {hunter2: x}", "name: \"\\q hunter2\"",
		"name: @hunter2", "name: `hunter2", "name: %hunter2", "name: x: hunter2", "name: 'hunter2", "hunter2", "- hunter2",
		"level: hunter2", "%TAG hunter2", "name: !<hunter2", "count: !!int hunter2", "? hunter2",
	} {
		var got document
		err := Unmarshal([]byte(text), &got)
		if err == nil {
			t.Errorf("%q: no error", text)
		} else if strings.Contains(err.Error(), planted) && !strings.HasPrefix(text, "? ") {
			t.Errorf("%q: the error shows the value: %v", text, err)
		}
	}
}

func TestDecodeMap(t *testing.T) {
	type settings struct {
		Address string        `yaml:"address"`
		Timeout time.Duration `yaml:"timeout"`
		Version string        `yaml:"version"`
		Port    int           `yaml:"port"`
		Roles   []string      `yaml:"roles"`
		TLS     *tls          `yaml:"tls"`
	}
	tests := map[string]struct {
		fields map[string]any
		want   settings
		err    string
	}{
		"nothing": {nil, settings{}, ""},
		"all kinds": {
			map[string]any{"address": "a", "timeout": "5s", "version": 3, "port": float64(8200), "roles": []any{"x"}, "tls": map[string]any{"ca": "c"}},
			settings{Address: "a", Timeout: 5 * time.Second, Version: "3", Port: 8200, Roles: []string{"x"}, TLS: &tls{"c"}}, "",
		},
		"Go's own types": {
			map[string]any{"timeout": 5 * time.Second, "roles": []string{"x"}, "tls": map[string]string{"ca": "c"}, "port": uint8(1)},
			settings{Timeout: 5 * time.Second, Roles: []string{"x"}, TLS: &tls{"c"}, Port: 1}, "",
		},
		"unknown fields in order": {
			map[string]any{"zzz": 1, "addresss": 2, "tls": map[string]any{"cas": 1}},
			settings{}, "addresss: unknown field; did you mean address?; tls.cas: unknown field; did you mean ca?; zzz: unknown field; known are address, timeout, version, port, roles, tls",
		},
		"fraction for text": {map[string]any{"version": 1.1}, settings{}, "version: must be text; put it in quotes"},
		"nothing for text":  {map[string]any{"version": nil}, settings{}, "version: has no value; give one, or remove the field"},
		"a channel":         {map[string]any{"version": make(chan int)}, settings{}, "holds a chan int, which no document can"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got settings
			message := ""
			if err := DecodeMap(test.fields, &got); err != nil {
				message = err.Error()
			}
			if message != test.err {
				t.Errorf("error %q, want %q", message, test.err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("decoded %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestNearest(t *testing.T) {
	known := []string{"path", "name", "store", "key", "version", "property", "encoding", "mode", "optional", "refresh", "expand", "template", "sealed", "options"}
	tests := map[string]string{
		"pth": "path", "paht": "path", "Path": "path", "paths": "path", "kye": "key", "keyName": "key",
		"encodings": "encoding", "seal": "sealed", "refreshInterval": "refresh", "option": "optional",
		"secretPath": "", "x": "", "": "", "xyz": "", strings.Repeat("path", 100): "",
	}
	for name, want := range tests {
		if got := Nearest(name, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, seed := range []string{
		"name: web\nobjects:\n- {path: a, mode: 0440}\n", "a: &a [*a]", "<<: {a: b}", "? [a]\n: b", "--- |\n x\n--- >\n y",
		"stores: {v: {port: 0x1F, k: 1e3, n: ~}}", "free: !!set {a, b}", "level: [1]", "\ufeffname: x", "%YAML 1.2\n---\nname: x", "name: \"\\x41\\u00e9\"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		var into document
		err := Unmarshal(data, &into)
		if problems := (Problems{}); err != nil && !errors.As(err, &problems) {
			t.Errorf("error is a %T, want Problems", err)
		}
		var free map[string]any
		if Unmarshal(data, &free) != nil {
			return
		}
		// What was decoded can be decoded again.
		var again map[string]any
		if err := DecodeMap(free, &again); err != nil {
			t.Errorf("DecodeMap of what Unmarshal made: %v", err)
		}
	})
}

package manifest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/dialect/lanyard"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// newChecker checks what needs neither configuration nor stores.
func newChecker(t *testing.T) *Checker {
	t.Helper()
	return &Checker{
		Dialects: map[string]spec.Dialect{lanyard.Name: lanyard.Parse},
		Now:      time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		Check: func(_ string, parameters map[string]string) error {
			class, err := lanyard.Parse(parameters)
			problems := class.Validate()
			var syntax spec.Problems
			if errors.As(err, &syntax) {
				return syntax.Add(problems)
			}
			for name := range class.Stores {
				if class.Stores[name]["type"] == nil {
					problems = append(problems, spec.Problem{Field: "stores." + name + ".type", Store: name, Text: "missing"})
				}
			}
			for i, o := range class.Objects {
				if o.Key != "" && class.Stores[o.Store] == nil {
					problems = append(problems, spec.Problem{Field: "objects[" + string(rune('0'+i)) + "].store", Object: i + 1, ID: o.ID(), Store: o.Store, Text: "no such store"})
				}
			}
			if len(problems) > 0 {
				return problems
			}
			return nil
		},
	}
}

// a class with one object; the test's own lines follow.
const head = `apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: web, namespace: shop}
spec:
  provider: lanyard
  parameters:
    stores: |
      v: {type: file}
    objects: |
      - path: db/password
        name: pw
        store: v
        key: k
      - path: all
        store: v
        key: k
        expand: true
      - name: user
        store: v
        key: k
`

func TestFindings(t *testing.T) {
	replaced := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(head) }
	tests := map[string]struct{ text, want string }{
		"a good class":           {head, ""},
		"an older version":       {replaced("io/v1", "io/v1alpha1"), ""},
		"an empty file":          {"", ""},
		"other kinds":            {"kind: Pod\nspec: {x: y}\n---\n\n---\n- a\n---\nkind: SecretProviderClass\napiVersion: example.com/v1\n", ""},
		"another's provider":     {replaced("provider: lanyard", "provider: somebody"), ""},
		"several objects":        {replaced("path: all", "path: ../all", "path: db/password", "path: db/password\n        mode: 440"), "f:11:9: object 1 (pw): mode: must begin with a zero, such as \"0440\"; without it the number could be read as a decimal one\nf:15:9: object 2 (../all): path: must not leave the volume; remove the .."},
		"a missing field":        {replaced("        key: k\n      - path", "      - path"), "f:10:9: object 1 (pw): key: missing; give the store's own name for the secret"},
		"a store's field":        {replaced("v: {type: file}", "v: {type: file, type: file}"), "f:8:23: stores.v.type: is given twice; remove this one or that before it"},
		"parameter misspelt":     {replaced("objects: |", "object: |"), "f:6:3: objects: missing; list what the volume is to hold\nf:9:5: object: unknown parameter; did you mean objects?"},
		"YAML in the YAML":       {replaced("name: pw", "name: 'pw"), "f:11:9: objects: is not valid YAML: a quote is not closed"},
		"field of the spec":      {replaced("parameters:", "parameter:"), "f:6:3: spec.parameter: unknown field; did you mean parameters?"},
		"parameters not a map":   {replaced("  parameters:\n", "  parameters: x\n  x:\n"), "f:6:3: spec.parameters: must be a map of fields\nf:7:3: spec.x: unknown field; known are provider, parameters, secretObjects"},
		"parameter as YAML":      {replaced("objects: |", "objects:"), "f:9:5: spec.parameters.objects: must be text; if it is meant to be YAML, begin it with |"},
		"parameter as a number":  {head + "    refresh: 5\n", "f:21:5: spec.parameters.refresh: must be text; put it in quotes"},
		"provider misspelt":      {replaced("provider: lanyard", "provider: lanyrad"), "f:5:3: spec.provider: unknown provider; did you mean lanyard?"},
		"no provider":            {replaced("  provider: lanyard\n", ""), "f:4:1: spec.provider: missing; name one of lanyard"},
		"name is an older true":  {replaced("name: web", "name: on"), "f:3:12: metadata.name: must be text; put it in quotes\nf:3:12: metadata.name: missing; give the class a name for pods to use"},
		"no name":                {replaced("name: web, ", ""), "f:3:1: metadata.name: missing; give the class a name for pods to use"},
		"unknown version":        {replaced("io/v1", "io/v2"), "f:1:1: apiVersion: must be secrets-store.csi.x-k8s.io/v1"},
		"no version":             {replaced("apiVersion: secrets-store.csi.x-k8s.io/v1\n", ""), "f:1:1: apiVersion: must be secrets-store.csi.x-k8s.io/v1"},
		"given twice":            {head + "---\n" + head, "f:24:12: metadata.name: the class is given twice, also at f:3; one would overwrite the other"},
		"in a list":              {"kind: List\nitems:\n- kind: SecretProviderClass\n  apiVersion: secrets-store.csi.x-k8s.io/v1\n  metadata: {name: a}\n  spec: {provider: lanyard, parameters: {objects: '[]'}}", "f:6:42: objects: has no entries; list at least one object"},
		"as JSON":                {`{"kind": "SecretProviderClass", "apiVersion": "secrets-store.csi.x-k8s.io/v1", "metadata": {"name": "a"},` + "\n" + `"spec": {"provider": "lanyard", "parameters": {"objects": "- path: a\n  sealed: a\n  mode: 1"}}}`, `f:2:86: object 1 (a): mode: must begin with a zero, such as "0440"; without it the number could be read as a decimal one`},
		"not YAML":               {head + "  x: 'y\n", "f:21:1: is not valid YAML: a quote is not closed"},
		"operator's store":       {replaced("store: v", "store: vault"), ""},
		"added to operator's":    {replaced("type: file", "role: x"), ""},
		"a store of the class":   {replaced("v: {type: file}", "v: {type: file}\n      w: {}"), ""},
		"text that is no sealed": {replaced("store: v\n        key: k\n      - path", "sealed: x\n      - path"), "f:12:9: object 1 (pw): sealed: malformed sealed value: it does not begin with \"lanyard.v1.\"; copy the whole text that lanyard seal printed"},
		"secretObjects": {head + `  secretObjects:
  - secretName: s
    type: Opaque
    data:
    - {objectName: db/password, key: a}
    - {objectName: all/x, key: b}
    - {objectName: all, key: c}
    - {objectName: pw, key: d}
    - {objectName: user, key: e}
    - {objectName: db/pasword, key: f}
    - {objectName: zzz, key: f}
    - {}
  - secretName: s
    typ: Opaque
  - data: []
`, `f:27:8: spec.secretObjects[0].data[2].objectName: is the directory of object 2, which expands; add the name of a key after a slash
f:28:8: spec.secretObjects[0].data[3].objectName: is the name of object 1; give its path here
f:29:8: spec.secretObjects[0].data[4].objectName: is object 3, which makes no file; give it a path
f:30:8: spec.secretObjects[0].data[5].objectName: no object has this path; did you mean db/password?
f:31:8: spec.secretObjects[0].data[6].objectName: no object has this path; give the path of one
f:31:25: spec.secretObjects[0].data[6].key: is given twice in this Secret; rename one
f:32:7: spec.secretObjects[0].data[7].key: missing; name the key in the Secret
f:32:7: spec.secretObjects[0].data[7].objectName: missing; give the path of a file in the volume
f:33:5: spec.secretObjects[1].secretName: is given twice, also in spec.secretObjects[0]; put the data together
f:33:5: spec.secretObjects[1].type: missing; give the Secret's type, such as Opaque
f:33:5: spec.secretObjects[1].data: has no entries; list at least one file
f:34:5: spec.secretObjects[1].typ: unknown field; did you mean type?
f:35:5: spec.secretObjects[2].secretName: missing; name the Secret to make
f:35:5: spec.secretObjects[2].type: missing; give the Secret's type, such as Opaque
f:35:5: spec.secretObjects[2].data: has no entries; list at least one file`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newChecker(t)
			c.File("f", []byte(test.text))
			if got := printed(c.Findings); got != test.want {
				t.Errorf("findings\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// A class of 10,000 mistakes is told of in a list that a person can read. That of each
// place is sought in the parameter's YAML, which is parsed once.
func TestOfVeryManyProblemsTheFirstAreListed(t *testing.T) {
	c := newChecker(t)
	c.File("f", []byte(head+strings.Repeat("      - path: ../x\n", 10_000)))
	if len(c.Findings) != maxListed+1 {
		t.Fatalf("%d findings, want %d and how many more there are", len(c.Findings), maxListed)
	}
	if got, want := c.Findings[0].String(), "f:6:3: 29899 more problems are not listed; fix the listed ones first"; got != want {
		t.Errorf("the first is %q, want %q", got, want)
	}
	if got, want := c.Findings[1].String(), "f:21:9: object 4 (../x): has no source; "; !strings.HasPrefix(got, want) {
		t.Errorf("the second is %q, want %q", got, want)
	}
}

func printed(findings []Finding) string {
	lines := make([]string, len(findings))
	for i, f := range findings {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

func TestStoresThatMayBeMisspelt(t *testing.T) {
	for name, test := range map[string]struct{ defined, used, want string }{
		"its own":            {"vault: {type: file}", "vault", ""},
		"letters swapped":    {"vault: {type: file}", "vautl", "the class defines no store vautl; did you mean vault?"},
		"another case":       {"vault: {type: file}", "Vault", "did you mean vault?"},
		"of two the nearest": {"vault: {type: file}, aws: {type: file}", "asw", "did you mean aws?"},
		"nothing like it":    {"vault: {type: file}", "memory", ""},
		"of no type":         {"vault: {role: web}", "vautl", ""},
		"no store defined":   {"", "vautl", ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.NewReplacer("v: {type: file}", "{"+test.defined+"}", "path: all\n        store: v", "path: all\n        store: "+test.used,
				"        name: pw\n        store: v\n        key: k", "        template: x", "      - name: user\n        store: v\n        key: k\n", "").Replace(head)
			c := newChecker(t)
			c.File("f", []byte(text))
			got := printed(c.Findings)
			if test.want == "" && got != "" || !strings.Contains(got, test.want) || test.want != "" && !strings.HasPrefix(got, "f:13:9: warning: object 2 (all): store: ") {
				t.Errorf("%q, want %q", got, test.want)
			}
			c = newChecker(t)
			c.Configured, c.Strict = true, true
			c.File("f", []byte(text))
			if got := printed(c.Findings); strings.Contains(got, "did you mean") {
				t.Errorf("beside what the configuration tells: %s", got)
			}
		})
	}
}

func TestStoresOfTheConfigurationAreKnownOnlyWithIt(t *testing.T) {
	text := strings.ReplaceAll(head, "store: v", "store: vault")
	c := newChecker(t)
	c.File("f", []byte(text))
	if len(c.Findings) > 0 || c.Unresolved != 1 {
		t.Errorf("without configuration: %d unresolved, %v", c.Unresolved, c.Findings)
	}
	c = newChecker(t)
	c.Configured = true
	c.File("f", []byte(text))
	if len(c.Findings) != 3 || c.Unresolved != 0 {
		t.Errorf("with configuration: %d unresolved, %v", c.Unresolved, c.Findings)
	}
}

func TestSealedValuesAreHeldAgainstTheClass(t *testing.T) {
	ring, err := seal.NewKeyRing("prod", time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	scope := seal.Scope{Cluster: seal.Exact("prod"), Namespace: seal.Exact("shop"), ServiceAccount: seal.Exact("web"), Object: seal.Exact("token")}
	tests := map[string]struct {
		change func(*seal.Scope, *Checker)
		want   string
	}{
		"sealed for this class":  {func(*seal.Scope, *Checker) {}, ""},
		"sealed for all":         {func(s *seal.Scope, _ *Checker) { s.Namespace, s.Object, s.Cluster = seal.Any(), seal.Any(), seal.Any() }, ""},
		"another namespace":      {func(s *seal.Scope, _ *Checker) { s.Namespace = seal.Exact("prod") }, "namespace"},
		"another object":         {func(s *seal.Scope, _ *Checker) { s.Object = seal.Exact("other") }, "object"},
		"another cluster":        {func(_ *seal.Scope, c *Checker) { c.Configured, c.Cluster = true, "test" }, "cluster"},
		"no cluster configured":  {func(_ *seal.Scope, c *Checker) { c.Configured = true }, "cluster"},
		"expired":                {func(s *seal.Scope, c *Checker) { s.NotAfter = c.Now.Add(-time.Hour) }, "expired"},
		"expires after the time": {func(s *seal.Scope, c *Checker) { s.NotAfter = c.Now.Add(time.Hour) }, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, s := newChecker(t), scope
			before, _, _ := strings.Cut(head, "    stores")
			test.change(&s, c)
			sealed, err := seal.Seal(ring.Public(), s, secret.NewString("hunter2"))
			if err != nil {
				t.Fatal(err)
			}
			c.File("f", []byte(before+"    objects: |\n      - path: token\n        sealed: "+sealed+"\n"))
			got := printed(c.Findings)
			if test.want == "" && got != "" || test.want != "" && (!strings.HasPrefix(got, "f:9:9: object 1 (token): sealed: ") || !strings.Contains(got, test.want)) {
				t.Errorf("findings %q, want one with %q", got, test.want)
			}
			if strings.Contains(got, sealed) {
				t.Error("the finding shows the ciphertext")
			}
		})
	}
}

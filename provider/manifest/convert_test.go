package manifest

import (
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// nested is a dialect that makes two objects of each entry of a list, whose
// entries are YAML within YAML, and calls the list secrets.
func nested(parameters map[string]string) (*spec.Class, error) {
	var r dialect.Reader
	var list struct {
		Array []string `yaml:"array"`
	}
	r.YAML("secrets", parameters["secrets"], &list, nil)
	class := &spec.Class{
		Words:    spec.Words{"objects": "secrets", "stores.home.region": "region"},
		Stores:   map[string]map[string]any{"home": {"region": parameters["region"]}},
		Defaults: map[string]map[string]any{"home": {"type": "nested", "login": "pod"}},
	}
	for i := range list.Array {
		var entry struct {
			Name string `yaml:"name"`
		}
		r.YAML("secrets", list.Array[i], &entry, nil)
		for _, end := range []string{".crt", ".key"} {
			class.Objects = append(class.Objects, spec.Object{Path: entry.Name + end, Store: "home", Key: entry.Name, Property: end[1:], Entry: i + 1})
		}
	}
	return class, r.Err()
}

const nestedClass = `apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: web}
spec:
  provider: nested # the other
  parameters:
    region: eu   # where it is
    secrets: |
      array:
        # of the shop
        - |
          name: a   # the first
        - |
          name: b
`

func TestConverterTakesAnyDialect(t *testing.T) {
	for name, test := range map[string]struct {
		stores map[string]config.Store
		known  bool // the configuration
		want   string
	}{
		"nothing is known of the operator":      {want: "{region: eu}"},
		"the operator names no store":           {known: true, want: "{type: nested, login: pod, region: eu}"},
		"the operator leaves the region":        {known: true, stores: map[string]config.Store{"home": {Type: "nested"}}, want: "{region: eu}"},
		"the operator names the same region":    {known: true, stores: map[string]config.Store{"home": {Type: "nested", Fields: map[string]any{"region": "eu"}}}},
		"the operator ignores what classes say": {known: true, stores: map[string]config.Store{"home": {Type: "nested", Ignore: []string{"region"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			c := &Converter{Dialects: map[string]spec.Dialect{"nested": nested}, Stores: test.stores, Configured: test.known}
			got, conversions, err := c.File("f", []byte(nestedClass))
			if err != nil {
				t.Fatal(err)
			}
			stores := ""
			if test.want != "" {
				stores = "    stores: |\n      home:\n        " + strings.ReplaceAll(strings.Trim(test.want, "{}"), ", ", "\n        ") + "\n"
			}
			want := `apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: web}
spec:
  provider: lanyard # the other
  parameters:
    # where it is
` + stores + `    objects: |
      # of the shop
      # the first
      - path: a.crt
        store: home
        key: a
        property: crt
      - path: a.key
        store: home
        key: a
        property: key
      - path: b.crt
        store: home
        key: b
        property: crt
      - path: b.key
        store: home
        key: b
        property: key
`
			if string(got) != want {
				t.Errorf("converted to\n%s\nwant\n%s", got, want)
			}
			leftOut := test.known && test.stores != nil && test.want == ""
			if len(conversions) != 1 || (len(conversions[0].LeftOut) > 0) != leftOut {
				t.Fatalf("conversions %+v", conversions)
			}
			if leftOut && !strings.HasPrefix(conversions[0].LeftOut[0], "region: the operator's configuration of store home") {
				t.Errorf("left out %v", conversions[0].LeftOut)
			}
		})
	}
}

// A store of the operator's under another name is that store as long as it is known to be.
func TestConverterKeepsStoresUnderAnotherName(t *testing.T) {
	twice := func(map[string]string) (*spec.Class, error) {
		return &spec.Class{
			Stores:   map[string]map[string]any{"home": {"region": "eu"}, "home_us": {"base": "home", "region": "us"}},
			Defaults: map[string]map[string]any{"home": {"type": "nested"}, "home_us": {"type": "nested"}},
			Objects:  []spec.Object{{Path: "a", Store: "home", Key: "a"}, {Path: "b", Store: "home_us", Key: "b"}},
		}, nil
	}
	for name, test := range map[string]struct {
		stores map[string]config.Store
		known  bool // the configuration
		want   string
	}{
		"nothing is known of the operator":   {want: "      home:\n        region: eu\n      home_us:\n        base: home\n        region: us\n"},
		"the operator names no store":        {known: true, want: "      home:\n        type: nested\n        region: eu\n      home_us:\n        type: nested\n        region: us\n"},
		"the operator names the same region": {known: true, stores: map[string]config.Store{"home": {Type: "nested", Fields: map[string]any{"region": "eu"}}}, want: "      home_us:\n        base: home\n        region: us\n"},
	} {
		t.Run(name, func(t *testing.T) {
			c := &Converter{Dialects: map[string]spec.Dialect{"nested": twice}, Stores: test.stores, Configured: test.known}
			got, _, err := c.File("f", []byte(nestedClass))
			if err != nil {
				t.Fatal(err)
			}
			if want := "    stores: |\n" + test.want + "    objects: |\n"; !strings.Contains(string(got), want) {
				t.Errorf("converted to\n%s\nwant in it\n%s", got, want)
			}
		})
	}
}

func TestConverterKeepsHowAFileIsLaidOut(t *testing.T) {
	c := &Converter{Dialects: map[string]spec.Dialect{"nested": nested}}
	for name, change := range map[string]func(string) string{
		"quotes":              func(s string) string { return strings.Replace(s, "nested #", `"nested" #`, 1) },
		"other line ends":     func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"no line end":         func(s string) string { return strings.TrimSuffix(s, "\n") },
		"documents around it": func(s string) string { return "# a\n---\nkind: A\n---\n" + s + "\n\n---\nb: [c]\n" },
		"deeper":              func(s string) string { return strings.ReplaceAll(s, "\n  ", "\n     ") },
		"a class of another": func(s string) string {
			return s + "---\n" + strings.ReplaceAll(strings.ReplaceAll(s, "nested #", "other #"), "name: web", "name: x")
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, conversions, err := c.File("f", []byte(change(nestedClass)))
			if err != nil || len(conversions) != 1 {
				t.Fatalf("%d conversions, %v", len(conversions), err)
			}
			text := change(nestedClass)
			before, _, _ := strings.Cut(text, "  parameters:")
			after, _, _ := strings.Cut(string(got), "  parameters:")
			if was := strings.Replace(strings.Replace(before, `"nested"`, "nested", 1), "nested", "lanyard", 1); after != was {
				t.Errorf("before the parameters\n%s\nwant\n%s", after, was)
			}
			if _, end, _ := strings.Cut(text, "name: b"); !strings.HasSuffix(string(got), end) {
				t.Errorf("the end is lost:\n%s", got)
			}
		})
	}
}

func TestConverterNamesEverythingItCannotDo(t *testing.T) {
	c := &Converter{Dialects: map[string]spec.Dialect{"nested": nested}}
	flow := "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: flow}\nspec: {provider: nested, parameters: {secrets: 'array: []'}}\n"
	without := "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: without}\nspec:\n  provider: nested\n"
	text := nestedClass + "---\n" + flow + "---\n" + without
	got, _, err := c.File("f", []byte(text))
	if err == nil || string(got) != text {
		t.Fatalf("error %v, and the file is changed: %v", err, string(got) != text)
	}
	for _, want := range []string{"f:16: class flow: is written in braces", "f:21: class without: has no parameters to convert"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%v", want, err)
		}
	}
	// Braces over several lines would be cut in two; that is noticed.
	braces := strings.Replace(nestedClass, parametersOf(nestedClass), "    {region: eu,\n  secrets: 'array: []'}\n", 1)
	if _, _, err := c.File("f", []byte(braces)); err == nil || !strings.Contains(err.Error(), "block style") {
		t.Errorf("error %v", err)
	}
}

// parametersOf is the text below the parameters of a class that ends with them.
func parametersOf(class string) string {
	_, below, _ := strings.Cut(class, "  parameters:\n")
	return below
}

func FuzzConvert(f *testing.F) {
	f.Add(nestedClass)
	f.Add("kind: List\nitems:\n- kind: SecretProviderClass\n  spec:\n    parameters: {secrets: 'array: [\"name: a\"]'}\n    provider: 'nested'\n")
	c := &Converter{Dialects: map[string]spec.Dialect{"nested": nested}}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<14 {
			return
		}
		got, conversions, err := c.File("f", []byte(text))
		if (err != nil || len(conversions) == 0) && string(got) != text {
			t.Fatalf("changed without a conversion: %v", err)
		}
		if err != nil || len(conversions) == 0 {
			return
		}
		// What was converted is native, so that nothing is left to do.
		again, more, err := c.File("f", got)
		if err != nil || len(more) > 0 || string(again) != string(got) {
			t.Errorf("converted again: %d, %v", len(more), err)
		}
	})
}

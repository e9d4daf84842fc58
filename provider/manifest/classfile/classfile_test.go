package classfile_test

import (
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/manifest/classfile"
)

const class = `# the web shop
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: web, namespace: prod}   # one of two
spec:
  provider: lanyard
  parameters:
    refresh: 5m
    objects: |
      # passwords

      - path: db/password     # rotated by hand
        sealed: lanyard.v1.OLD   # keep this comment
        mode: "0440"
      - {path: inline, sealed: lanyard.v1.INLINE}
      - name: user
        sealed: "lanyard.v1.QUOTED"
      - path: app/cert
        name: cert
        sealed:
      - path: vault/key
        store: vault
        key: secret/data/x
      - path: app.properties
        template: |
          user={{ .user }}

          grüße

    other: "x"  # after
  secretObjects: []
`

// changed is the class with one piece replaced.
func changed(old, replacement string) string {
	if strings.Count(class, old) != 1 {
		panic("the piece must stand in the class once: " + old)
	}
	return strings.Replace(class, old, replacement, 1)
}

func TestPut(t *testing.T) {
	const prologue = "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata:\n  name: web\nspec:\n  provider: lanyard\n"
	for name, c := range map[string]struct {
		before string
		class  string
		entry  classfile.Entry
		after  string
	}{
		"replaces a value and keeps its comment": {
			before: class,
			entry:  classfile.Entry{Path: "db/password", Sealed: "lanyard.v1.NEW"},
			after:  changed("lanyard.v1.OLD", "lanyard.v1.NEW"),
		},
		"replaces a value in braces": {
			before: class,
			entry:  classfile.Entry{Path: "inline", Sealed: "lanyard.v1.NEW"},
			after:  changed("lanyard.v1.INLINE", "lanyard.v1.NEW"),
		},
		"replaces a quoted value of an object without a path": {
			before: class,
			entry:  classfile.Entry{Name: "user", Sealed: "lanyard.v1.NEW"},
			after:  changed(`"lanyard.v1.QUOTED"`, "lanyard.v1.NEW"),
		},
		"fills in an empty field of a named object": {
			before: class,
			entry:  classfile.Entry{Path: "app/cert", Name: "cert", Sealed: "lanyard.v1.NEW"},
			after:  changed("sealed:\n", "sealed: lanyard.v1.NEW\n"),
		},
		"adds the field to an object that has no value yet": {
			before: changed("        sealed:\n", ""),
			entry:  classfile.Entry{Path: "app/cert", Name: "cert", Sealed: "lanyard.v1.NEW"},
			after:  changed("        name: cert\n        sealed:\n", "        sealed: lanyard.v1.NEW\n        name: cert\n"),
		},
		"adds an object after the last, even after a text with blank lines": {
			before: class,
			entry:  classfile.Entry{Path: "api-token", Sealed: "lanyard.v1.NEW"},
			after:  changed("          grüße\n", "          grüße\n      - path: api-token\n        sealed: lanyard.v1.NEW\n"),
		},
		"adds a named object": {
			before: class,
			entry:  classfile.Entry{Path: "a/b", Name: "b", Sealed: "lanyard.v1.NEW"},
			after:  changed("          grüße\n", "          grüße\n      - path: a/b\n        name: b\n        sealed: lanyard.v1.NEW\n"),
		},
		"quotes a path that YAML would misread": {
			before: prologue + "  parameters:\n    objects: |\n",
			entry:  classfile.Entry{Path: "0123: x", Sealed: "lanyard.v1.NEW"},
			after:  prologue + "  parameters:\n    objects: |\n      - path: '0123: x'\n        sealed: lanyard.v1.NEW\n",
		},
		"chooses the class among several documents": {
			before: class + "---\n" + prologue + "  parameters:\n    objects: |\n      - path: b\n        sealed: lanyard.v1.B\n---\n# the end\n",
			class:  "web",
			entry:  classfile.Entry{Path: "b", Sealed: "lanyard.v1.NEW"},
		},
		"passes over documents of other kinds and providers": {
			before: "kind: Secret\nmetadata: {name: web}\n---\n" + strings.Replace(class, "provider: lanyard", "provider: vault", 1) + "---\n" + class + "---\n- a list\n",
			entry:  classfile.Entry{Path: "db/password", Sealed: "lanyard.v1.NEW"},
			after:  "kind: Secret\nmetadata: {name: web}\n---\n" + strings.Replace(class, "provider: lanyard", "provider: vault", 1) + "---\n" + changed("lanyard.v1.OLD", "lanyard.v1.NEW") + "---\n- a list\n",
		},
		"adds objects to parameters that have none": {
			before: prologue + "  parameters:   # of the class\n      refresh: 5m\n",
			entry:  classfile.Entry{Path: "a", Sealed: "lanyard.v1.NEW"},
			after:  prologue + "  parameters:   # of the class\n      objects: |\n        - path: a\n          sealed: lanyard.v1.NEW\n      refresh: 5m\n",
		},
		"adds parameters to a class that has none": {
			before: prologue + "  secretObjects: []\n",
			entry:  classfile.Entry{Path: "a", Sealed: "lanyard.v1.NEW"},
			after:  prologue + "  parameters:\n    objects: |\n      - path: a\n        sealed: lanyard.v1.NEW\n  secretObjects: []\n",
		},
		"fills in empty parameters": {
			before: prologue + "  parameters:\n",
			entry:  classfile.Entry{Path: "a", Sealed: "lanyard.v1.NEW"},
			after:  prologue + "  parameters:\n    objects: |\n      - path: a\n        sealed: lanyard.v1.NEW\n",
		},
		"fills in empty objects": {
			before: prologue + "  parameters:\n    objects: # none yet\n    refresh: 5m\n",
			entry:  classfile.Entry{Path: "a", Sealed: "lanyard.v1.NEW"},
			after:  prologue + "  parameters:\n    objects: | # none yet\n      - path: a\n        sealed: lanyard.v1.NEW\n    refresh: 5m\n",
		},
		"follows the file's indentation and line ends": {
			before: strings.ReplaceAll(prologue+"  parameters:\n    objects: |-\n       - path: x\n         sealed: lanyard.v1.X\n    refresh: 5m\n", "\n", "\r\n"),
			entry:  classfile.Entry{Path: "a", Sealed: "lanyard.v1.NEW"},
			after:  strings.ReplaceAll(prologue+"  parameters:\n    objects: |-\n       - path: x\n         sealed: lanyard.v1.X\n       - path: a\n         sealed: lanyard.v1.NEW\n    refresh: 5m\n", "\n", "\r\n"),
		},
		"follows an indentation that is stated": {
			before: prologue + "  parameters:\n    objects: |2\n        - path: x\n          sealed: lanyard.v1.X\n",
			entry:  classfile.Entry{Path: "x", Sealed: "lanyard.v1.NEW"},
			after:  prologue + "  parameters:\n    objects: |2\n        - path: x\n          sealed: lanyard.v1.NEW\n",
		},
		"adds a list item where the list is indented in a stated block": {
			before: prologue + "  parameters:\n    objects: |2\n        - path: x\n          sealed: lanyard.v1.X\n",
			entry:  classfile.Entry{Path: "a", Sealed: "lanyard.v1.NEW"},
			after:  prologue + "  parameters:\n    objects: |2\n        - path: x\n          sealed: lanyard.v1.X\n        - path: a\n          sealed: lanyard.v1.NEW\n",
		},
		"ends the last line of a file that does not": {
			before: prologue + "  parameters:\n    objects: |\n      - path: x\n        sealed: lanyard.v1.X",
			entry:  classfile.Entry{Path: "a", Sealed: "lanyard.v1.NEW"},
			after:  prologue + "  parameters:\n    objects: |\n      - path: x\n        sealed: lanyard.v1.X\n      - path: a\n        sealed: lanyard.v1.NEW\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.after == "" { // the choice of a class is by name
				_, err := classfile.Open([]byte(c.before), "")
				if err == nil || !strings.Contains(err.Error(), "--class") {
					t.Errorf("Open without a name: %v", err)
				}
				c.before = strings.Replace(c.before, "name: web\n", "name: api\n", 1)
				c.class = "api"
				c.after = strings.Replace(c.before, "lanyard.v1.B", "lanyard.v1.NEW", 1)
			}
			file, err := classfile.Open([]byte(c.before), c.class)
			if err != nil {
				t.Fatal(err)
			}
			got, err := file.Put(c.entry)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.after {
				t.Errorf("got\n%s\nwant\n%s", got, c.after)
			}
			again, err := classfile.Open(got, c.class)
			if err != nil {
				t.Fatal(err)
			}
			second := c.entry
			second.Sealed = "lanyard.v1.AGAIN"
			got, err = again.Put(second)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.Replace(c.after, "lanyard.v1.NEW", "lanyard.v1.AGAIN", 1); string(got) != want {
				t.Errorf("a second time: got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestPutRefuses(t *testing.T) {
	const start = "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nspec:\n  provider: lanyard\n  parameters:"
	for name, c := range map[string]struct {
		before string
		entry  classfile.Entry
		tells  string
	}{
		"an object from a store":            {class, classfile.Entry{Path: "vault/key"}, "field store"},
		"an object from a template":         {class, classfile.Entry{Path: "app.properties"}, "field template"},
		"a path whose object has a name":    {class, classfile.Entry{Path: "app/cert"}, "--name cert"},
		"a name whose object has a path":    {class, classfile.Entry{Path: "other", Name: "cert"}, `"app/cert"`},
		"a name that two objects have":      {class + "", classfile.Entry{Path: "db/password", Name: "user"}, ""},
		"parameters in braces":              {start + " {objects: \"- path: a\"}\n", classfile.Entry{Path: "a"}, "{...}"},
		"objects in quotes":                 {start + "\n    objects: \"- path: a\"\n", classfile.Entry{Path: "a"}, "objects: |"},
		"objects folded":                    {start + "\n    objects: >\n      - path: a\n", classfile.Entry{Path: "a"}, "objects: |"},
		"objects as a real list":            {start + "\n    objects:\n    - path: a\n", classfile.Entry{Path: "a"}, "objects: |"},
		"objects with an anchor":            {start + "\n    objects: &a |\n      - path: a\n", classfile.Entry{Path: "a"}, "objects: |"},
		"a list in brackets":                {start + "\n    objects: |\n      [{path: a}]\n", classfile.Entry{Path: "a"}, "list"},
		"objects that are no YAML":          {start + "\n    objects: |\n      - path: a\n     \t- b: [\n", classfile.Entry{Path: "a"}, ""},
		"a value over several lines":        {start + "\n    objects: |\n      - path: a\n        sealed: >-\n          lanyard.v1.X\n", classfile.Entry{Path: "a"}, "one line"},
		"an object in braces without field": {start + "\n    objects: |\n      - {path: a}\n", classfile.Entry{Path: "a"}, "{...}"},
		"two objects of one path":           {start + "\n    objects: |\n      - path: a\n      - path: a\n", classfile.Entry{Path: "a"}, "two objects"},
	} {
		t.Run(name, func(t *testing.T) {
			c.entry.Sealed = "lanyard.v1.NEW"
			file, err := classfile.Open([]byte(c.before), "")
			if err == nil {
				_, err = file.Put(c.entry)
			}
			if err == nil || !strings.Contains(err.Error(), c.tells) {
				t.Errorf("error %v does not tell %q", err, c.tells)
			}
		})
	}
}

func TestPutsManyAtOnce(t *testing.T) {
	file, err := classfile.Open([]byte(class), "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := file.Put(
		classfile.Entry{Path: "z", Sealed: "lanyard.v1.Z"},
		classfile.Entry{Path: "app/cert", Name: "cert", Sealed: "lanyard.v1.C"},
		classfile.Entry{Path: "a", Sealed: "lanyard.v1.A"},
		classfile.Entry{Path: "db/password", Sealed: "lanyard.v1.P"},
	)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer(
		"lanyard.v1.OLD", "lanyard.v1.P",
		"        sealed:\n", "        sealed: lanyard.v1.C\n",
		"          grüße\n", "          grüße\n      - path: z\n        sealed: lanyard.v1.Z\n      - path: a\n        sealed: lanyard.v1.A\n",
	).Replace(class)
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	// What cannot be put is told at once, and one object twice is a mistake.
	_, err = file.Put(classfile.Entry{Path: "vault/key", Sealed: "lanyard.v1.A"}, classfile.Entry{Path: "app.properties", Sealed: "lanyard.v1.B"})
	if err == nil || !strings.Contains(err.Error(), "vault/key") || !strings.Contains(err.Error(), "app.properties") {
		t.Errorf("error %v does not tell both objects", err)
	}
	if _, err := file.Put(classfile.Entry{Path: "a", Sealed: "lanyard.v1.A"}, classfile.Entry{Path: "b", Name: "a", Sealed: "lanyard.v1.B"}); err == nil || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("one object twice: %v", err)
	}
}

// A new class is one that Put can go on with.
func TestNewClass(t *testing.T) {
	data, err := classfile.New("web", "prod", classfile.Entry{Path: "a/b", Sealed: "lanyard.v1.A"}, classfile.Entry{Path: "c", Name: "d", Sealed: "lanyard.v1.C"})
	if err != nil {
		t.Fatal(err)
	}
	want := "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata:\n  name: web\n  namespace: prod\nspec:\n  provider: lanyard\n  parameters:\n    objects: |\n" +
		"      - path: a/b\n        sealed: lanyard.v1.A\n      - path: c\n        name: d\n        sealed: lanyard.v1.C\n"
	if string(data) != want {
		t.Errorf("got\n%s", data)
	}
	file, err := classfile.Open(data, "web")
	if err != nil || file.Namespace() != "prod" || !file.Has("d") {
		t.Errorf("opened: %v", err)
	}
	if data, err := classfile.New("web", ""); err != nil || strings.Contains(string(data), "namespace") {
		t.Errorf("without a namespace: %s, %v", data, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct{ data, class, tells string }{
		"a file without a class":      {"kind: Secret\n", "", "no SecretProviderClass"},
		"a class of another provider": {strings.Replace(class, "provider: lanyard", "provider: vault", 1), "web", `"vault"`},
		"a class of another name":     {class, "api", "web"},
		"one name twice":              {class + "---\n" + class, "web", "2 times"},
		"two classes without a name":  {class + "---\n" + class, "", "--class"},
		"what is not YAML":            {"{{ .Values }}\nkind: [", "", "YAML"},
		"nothing":                     {"", "", "no SecretProviderClass"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := classfile.Open([]byte(c.data), c.class); err == nil || !strings.Contains(err.Error(), c.tells) {
				t.Errorf("error %v does not tell %q", err, c.tells)
			}
		})
	}
}

func TestTellsWhatTheFileSays(t *testing.T) {
	file, err := classfile.Open([]byte(class), "")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"user": true, "cert": true, "db/password": true, "app/cert": false, "new": false} {
		if file.Has(name) != want {
			t.Errorf("Has(%q) = %v", name, !want)
		}
	}
	if file.Namespace() != "prod" || file.ObjectName("app/cert") != "cert" || file.ObjectName("new") != "new" {
		t.Errorf("namespace %q, names %q and %q", file.Namespace(), file.ObjectName("app/cert"), file.ObjectName("new"))
	}
}

// Whatever the file, Put either refuses or keeps every line that it does not
// change; verify sees to the meaning, this to the bytes.
func FuzzPut(f *testing.F) {
	f.Add(class, "db/password")
	f.Add(class, "new")
	f.Add("apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nspec:\n  provider: lanyard\n  parameters:\n    objects:\n", "a")
	f.Add("apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nspec:\n  provider: lanyard\n", "a")
	f.Add("apiVersion: secrets-store.csi.x-k8s.io/v1\rkind: SecretProviderClass\rspec:\r  provider: lanyard\r  parameters:\r    objects: |\r      - path: a\r", "a")
	f.Fuzz(func(t *testing.T, data, path string) {
		file, err := classfile.Open([]byte(data), "")
		if err != nil {
			return
		}
		edited, err := file.Put(
			classfile.Entry{Path: path, Name: file.ObjectName(path), Sealed: "lanyard.v1.FUZZ"},
			classfile.Entry{Path: "user", Sealed: "lanyard.v1.FUZZ2"},
		)
		if err != nil {
			return
		}
		kept := 0
		rest := strings.Split(string(edited), "\n")
		lines := strings.Split(data, "\n")
		for _, line := range lines {
			for i, candidate := range rest {
				if candidate == line {
					rest, kept = rest[i+1:], kept+1
					break
				}
			}
		}
		if kept < len(lines)-2 {
			t.Errorf("kept %d of %d lines of\n%s\ngot\n%s", kept, len(lines), data, edited)
		}
	})
}

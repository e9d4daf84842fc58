package lanyard

import (
	"errors"
	"io/fs"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/spec"
)

func TestWriteIsTheOppositeOfParse(t *testing.T) {
	mode := fs.FileMode(0o400)
	class := &spec.Class{
		Refresh: 5 * time.Minute,
		Stores: map[string]map[string]any{"vault": {
			"address": "https://vault.example.com:8200", "type": "vault",
			"auth": map[string]any{"role": "web", "method": "kubernetes"},
			"tls":  map[string]any{"caCert": "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"},
		}},
		Objects: []spec.Object{
			{Path: "db/password", Store: "vault", Key: "secret/data/db", Version: "3", Property: `"my-key"`, Encoding: "base64", Mode: &mode, Optional: true, Refresh: 30 * time.Second},
			{Path: "yes", Name: "0123", Store: "vault", Key: "pki/issue/web", Options: map[string]any{"method": "PUT", "body": map[string]any{
				"common_name": "web.example.com", "ttl": "24h", "exclude_cn_from_sans": true, "n": 3, "f": 1.5, "none": nil,
				"alt_names": []any{"a", "b"}, "more": map[string]any{"deep": map[string]any{"er": "x"}},
			}}},
			{Path: "all", Store: "vault", Key: "secret/data/all", Expand: true},
			{Path: "token", Sealed: "lanyard.v1.abc"},
			{Path: "app.properties", Template: "a={{ index . \"db/password\" }}\n  b\n\n"},
		},
	}
	parameters, err := Write(class, []string{"of the database\nand its user", "", "# a hash"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(parameters)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again, class) {
		t.Errorf("class\n%+v\nwant\n%+v", again, class)
	}
	const want = `# of the database
# and its user
- path: db/password
  store: vault
  key: secret/data/db
  version: "3"
  property: '"my-key"'
  encoding: base64
  mode: "0400"
  optional: true
  refresh: 30s
- path: "yes"
  name: "0123"
  store: vault
  key: pki/issue/web
  options:
    method: PUT
    body:
`
	if got := parameters["objects"]; !strings.HasPrefix(got, want) {
		t.Errorf("objects\n%s\nwant\n%s…", got, want)
	}
	const stores = "vault:\n  type: vault\n  address: https://vault.example.com:8200\n  auth: {method: kubernetes, role: web}\n"
	if got := parameters["stores"]; !strings.HasPrefix(got, stores) {
		t.Errorf("stores\n%s\nwant\n%s…", got, stores)
	}
}

func TestWriteRefusesWhatWouldReadDifferently(t *testing.T) {
	for name, test := range map[string]struct {
		class spec.Class
		want  string
	}{
		"a whole fraction": {spec.Class{Objects: []spec.Object{{Path: "a", Store: "v", Key: "k"}, {Path: "b", Store: "v", Key: "k", Options: map[string]any{"body": map[string]any{"n": 2.0}}}}}, "object 2 (b): holds what the native syntax reads differently"},
		"no number":        {spec.Class{Stores: map[string]map[string]any{"v": {"n": math.NaN()}}, Objects: []spec.Object{{Path: "a", Store: "v", Key: "k"}}}, "stores.v.n: line 2: must be a finite number"},
		"what is no YAML":  {spec.Class{Objects: []spec.Object{{Path: "a", Store: "v", Key: "k", Options: map[string]any{"f": func() {}}}}}, "objects[0].options: cannot be written as YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Write(&test.class, nil)
			var problems spec.Problems
			if !errors.As(err, &problems) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want Problems with %q", err, test.want)
			}
		})
	}
}

func FuzzWrite(f *testing.F) {
	f.Add("- {path: a, store: v, key: k, mode: 0440, options: {body: {a: [1, x, {b: null}], n: 1.5}}}\n- {path: b, sealed: x}", "v: {type: vault, a: {b: c}}")
	f.Add("- {name: ' a ', template: \"\\ta\\n\\n\", refresh: 1h}\n- {path: \"yes\", expand: true, version: 0123}", "")
	f.Fuzz(func(t *testing.T, objects, stores string) {
		if len(objects)+len(stores) > 1<<14 {
			return
		}
		class, err := Parse(map[string]string{"objects": objects, "stores": stores})
		if err != nil || len(class.Validate()) > 0 {
			return
		}
		parameters, err := Write(class, nil)
		if err != nil {
			var problems spec.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("error %v is no Problems", err)
			}
			return // what was written does not read as the same, and that was noticed
		}
		again, err := Parse(parameters)
		if err != nil || len(again.Objects) != len(class.Objects) {
			t.Fatalf("written as\n%s\nwhich is %v", parameters["objects"], err)
		}
	})
}

package azure

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/provider/spec"
)

const oneSecret = "array:\n  - |\n    objectName: a\n    objectType: secret\n"

// parameters are those of a class that is right, with more in place of their
// own; an empty one is left out.
func parameters(more map[string]string) map[string]string {
	all := map[string]string{"keyvaultName": "kv", "tenantID": "t", "clientID": "c", "objects": oneSecret}
	maps.Copy(all, more)
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	return all
}

func TestParametersBecomeSettingsOfAStore(t *testing.T) {
	for name, test := range map[string]struct {
		more  map[string]string
		store string
		want  map[string]any
		idle  string
	}{
		"workload identity": {
			nil, "azure", map[string]any{"type": "azure-key-vault", "vault": "kv", "tenantID": "t", "auth": map[string]any{"clientID": "c"}}, "",
		},
		"the pod's own secret": {
			map[string]string{"clientID": ""}, "azure", map[string]any{"type": "azure-key-vault", "vault": "kv", "tenantID": "t"}, "",
		},
		"the node's own identity": {
			map[string]string{"clientID": "", "useVMManagedIdentity": "true"}, "azure-node", map[string]any{"vault": "kv", "tenantID": "t"}, "",
		},
		"an identity of the node": {
			map[string]string{"useVMManagedIdentity": "true", "userAssignedIdentityID": "id"}, "azure-node",
			map[string]any{"vault": "kv", "tenantID": "t", "auth": map[string]any{"identityID": "id"}}, "clientID: has no effect beside useVMManagedIdentity",
		},
		"another cloud": {
			map[string]string{"cloudName": "AZUREUSGOVERNMENTCLOUD"}, "azure",
			map[string]any{"type": "azure-key-vault", "vault": "kv", "tenantID": "t", "cloud": "usGovernment", "auth": map[string]any{"clientID": "c"}}, "",
		},
		"China": {
			map[string]string{"cloudName": "AzureChinaCloud"}, "azure",
			map[string]any{"type": "azure-key-vault", "vault": "kv", "tenantID": "t", "cloud": "china", "auth": map[string]any{"clientID": "c"}}, "",
		},
		"a cloud of one's own": {
			map[string]string{"cloudName": "AzureStackCloud", "cloudEnvFileName": "/etc/cloud.json"}, "azure",
			map[string]any{"type": "azure-key-vault", "vault": "kv", "tenantID": "t", "cloud": "AzureStackCloud", "auth": map[string]any{"clientID": "c"}},
			"cloudEnvFileName: has no effect: the file lies on the node, and the operator's configuration says which it is",
		},
		"a cloud of the operator's": {
			map[string]string{"cloudName": "AzureStackCloud"}, "azure",
			map[string]any{"type": "azure-key-vault", "vault": "kv", "tenantID": "t", "cloud": "AzureStackCloud", "auth": map[string]any{"clientID": "c"}}, "",
		},
		"an identity that pods are bound to": {
			map[string]string{"useAzureTokenProxy": " True "}, "azure",
			map[string]any{"type": "azure-key-vault", "vault": "kv", "tenantID": "t", "auth": map[string]any{"clientID": "c", "identityBinding": true}}, "",
		},
		"what the service account says": {
			map[string]string{"clientID": "", "tenantID": ""}, "azure", map[string]any{"type": "azure-key-vault", "vault": "kv"}, "",
		},
		"AD FS": {
			map[string]string{"tenantID": "adfs"}, "azure", map[string]any{"type": "azure-key-vault", "vault": "kv", "tenantID": "adfs", "auth": map[string]any{"clientID": "c"}}, "",
		},
		"what a guide gives besides": {
			map[string]string{"useWorkloadIdentity": "true", "providerName": "azure", "team": "a"}, "azure",
			map[string]any{"type": "azure-key-vault", "vault": "kv", "tenantID": "t", "auth": map[string]any{"clientID": "c"}},
			"providerName: unknown parameter, which has no effect; known are PARAMETERS; team: unknown parameter, which has no effect; known are PARAMETERS; useWorkloadIdentity: unknown parameter, which has no effect; known are PARAMETERS",
		},
		"two tenants": {
			map[string]string{"tenantId": "older"}, "azure", map[string]any{"type": "azure-key-vault", "vault": "kv", "tenantID": "t", "auth": map[string]any{"clientID": "c"}},
			"tenantId: has no effect beside tenantID",
		},
	} {
		t.Run(name, func(t *testing.T) {
			class, err := Parse(parameters(test.more))
			if err != nil {
				t.Fatal(err)
			}
			if want := map[string]map[string]any{test.store: test.want}; !reflect.DeepEqual(class.Stores, want) {
				t.Errorf("stores %v, want %v", class.Stores, want)
			}
			if class.Objects[0].Store != test.store {
				t.Errorf("the object is read from %s", class.Objects[0].Store)
			}
			if idle := strings.ReplaceAll(class.Idle.Error(), strings.Join(known(), ", "), "PARAMETERS"); idle != test.idle {
				t.Errorf("without effect: %s, want %s", idle, test.idle)
			}
		})
	}
}

func TestFieldsBecomeAnObject(t *testing.T) {
	mode := func(bits fs.FileMode) *fs.FileMode { return &bits }
	pem := map[string]any{"format": "pem"}
	for name, test := range map[string]struct {
		fields string
		want   spec.Object
	}{
		"a secret":              {"{objectName: a, objectType: secret}", spec.Object{Path: "a", Store: "azure", Key: "secrets/a", Options: pem}},
		"a key":                 {"{objectName: a, objectType: key}", spec.Object{Path: "a", Store: "azure", Key: "keys/a"}},
		"a certificate":         {"{objectName: a, objectType: cert}", spec.Object{Path: "a", Store: "azure", Key: "certificates/a"}},
		"a PFX":                 {"{objectName: a, objectType: secret, objectFormat: pfx, objectEncoding: base64}", spec.Object{Path: "a", Store: "azure", Key: "secrets/a", Encoding: "base64"}},
		"another file":          {"{objectName: a, objectType: key, objectAlias: b/c}", spec.Object{Path: "b/c", Store: "azure", Key: "keys/a"}},
		"a version":             {"{objectName: a, objectType: key, objectVersion: 0123}", spec.Object{Path: "a", Store: "azure", Key: "keys/a", Version: "0123"}},
		"the latest version":    {"{objectName: a, objectType: key, objectVersion: latest}", spec.Object{Path: "a", Store: "azure", Key: "keys/a"}},
		"some versions":         {"{objectName: a, objectType: secret, objectVersionHistory: 3}", spec.Object{Path: "a", Store: "azure", Key: "secrets/a", Expand: true, Options: map[string]any{"format": "pem", "history": 4}}},
		"a mode":                {"{objectName: a, objectType: key, filePermission: 0440}", spec.Object{Path: "a", Store: "azure", Key: "keys/a", Mode: mode(0o440)}},
		"text that is decoded":  {"{objectName: a, objectType: secret, objectEncoding: HEX}", spec.Object{Path: "a", Store: "azure", Key: "secrets/a", Encoding: "hex", Options: pem}},
		"fields without value":  {"objectName: a\nobjectType: key\nobjectVersion:\nobjectAlias: null\nfilePermission: ''\nobjectVersionHistory:\noptional:\nobjectTags:", spec.Object{Path: "a", Store: "azure", Key: "keys/a"}},
		"a history below one":   {"{objectName: a, objectType: key, objectVersionHistory: -3}", spec.Object{Path: "a", Store: "azure", Key: "keys/a"}},
		"a property":            {"{objectName: a, objectType: secret, property: ' db.password ', objectEncoding: base64}", spec.Object{Path: "a", Store: "azure", Key: "secrets/a", Property: "db.password", Encoding: "base64", Options: pem}},
		"what may be missing":   {"{objectName: a, objectType: cert, optional: true}", spec.Object{Path: "a", Store: "azure", Key: "certificates/a", Optional: true}},
		"as it was":             {"{objectName: a, objectType: cert, objectVersionNotAfter: 2026-11-27T06:00:00Z}", spec.Object{Path: "a", Store: "azure", Key: "certificates/a", Options: map[string]any{"notAfter": "2026-11-27T06:00:00Z"}}},
		"some as they were":     {"{objectName: a, objectType: secret, objectVersionHistory: 3, objectVersionNotAfter: ' 2026-11-27T07:00:00+01:00 '}", spec.Object{Path: "a", Store: "azure", Key: "secrets/a", Expand: true, Options: map[string]any{"format": "pem", "history": 4, "notAfter": "2026-11-27T07:00:00+01:00"}}},
		"the class's own vault": {"{objectName: a, objectType: key, keyvaultName: KV}", spec.Object{Path: "a", Store: "azure", Key: "keys/a"}},
		"no vault":              {"{objectName: a, objectType: key, keyvaultName: '', objectVersionNotAfter: }", spec.Object{Path: "a", Store: "azure", Key: "keys/a"}},
		"a pattern":             {"{objectName: db-*, objectType: secret, objectAlias: db, objectTags: {app: web, tier: 1}}", spec.Object{Path: "db", Store: "azure", Key: "secrets/db-*", Expand: true, Options: map[string]any{"format": "pem", "tags": map[string]any{"app": "web", "tier": "1"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			class, err := Parse(parameters(map[string]string{"objects": array(t, test.fields)}))
			if err != nil {
				t.Fatal(err)
			}
			test.want.Entry = 1
			if !reflect.DeepEqual(class.Objects, []spec.Object{test.want}) {
				t.Errorf("object %+v, want %+v", class.Objects[0], test.want)
			}
		})
	}
}

// With the operator's option, the secret of a certificate makes two files more. The
// store tells which secrets are those of certificates.
func TestCertificateAndKeyInSeparateFiles(t *testing.T) {
	separate := map[string]any{"format": "pem", "separate": true}
	for name, test := range map[string]struct {
		fields string
		want   []spec.Object
	}{
		"a secret": {"{objectName: a, objectType: secret, objectAlias: tls/a}", []spec.Object{
			{Path: "tls/a.crt", Store: "azure", Key: "secrets/a", Property: "crt", Optional: true, Options: separate},
			{Path: "tls/a.key", Store: "azure", Key: "secrets/a", Property: "key", Optional: true, Options: separate},
			{Path: "tls/a", Store: "azure", Key: "secrets/a", Property: "all", Options: separate},
		}},
		"a PFX": {"{objectName: a, objectType: secret, objectFormat: PFX}", []spec.Object{
			{Path: "a.crt", Store: "azure", Key: "secrets/a", Property: "crt", Optional: true, Options: map[string]any{"separate": true}},
			{Path: "a.key", Store: "azure", Key: "secrets/a", Property: "key", Optional: true, Options: map[string]any{"separate": true}},
			{Path: "a", Store: "azure", Key: "secrets/a", Property: "all", Options: map[string]any{"separate": true}},
		}},
		"a history":     {"{objectName: a, objectType: secret, objectVersionHistory: 2}", []spec.Object{{Path: "a", Store: "azure", Key: "secrets/a", Expand: true, Options: map[string]any{"format": "pem", "separate": true, "history": 3}}}},
		"a certificate": {"{objectName: a, objectType: cert}", []spec.Object{{Path: "a", Store: "azure", Key: "certificates/a"}}},
		"a key":         {"{objectName: a, objectType: key}", []spec.Object{{Path: "a", Store: "azure", Key: "keys/a"}}},
		"a property":    {"{objectName: a, objectType: secret, property: b}", []spec.Object{{Path: "a", Store: "azure", Key: "secrets/a", Property: "b", Options: map[string]any{"format": "pem"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			class, err := Options{SeparateCertAndKey: true}.Parse(parameters(map[string]string{"objects": array(t, test.fields)}))
			if err != nil {
				t.Fatal(err)
			}
			for i := range test.want {
				test.want[i].Entry = 1
			}
			if !reflect.DeepEqual(class.Objects, test.want) {
				t.Errorf("objects\n%+v, want\n%+v", class.Objects, test.want)
			}
		})
	}
	// A file that the class itself names goes before one that may not be there.
	class, err := Options{SeparateCertAndKey: true}.Parse(parameters(map[string]string{"objects": array(t, "{objectName: leaf, objectType: cert, objectAlias: a.crt}", "{objectName: a, objectType: secret}")}))
	if err != nil || len(class.Objects) != 3 || class.Objects[0].Key != "certificates/leaf" || len(class.Validate()) > 0 || len(class.Idle) > 0 {
		t.Errorf("objects %+v, idle %v, error %v", class.Objects, class.Idle, err)
	}
}

// array is the parameter objects with the texts.
func array(t *testing.T, texts ...string) string {
	t.Helper()
	text, err := yaml.Marshal(map[string][]string{"array": texts})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWhatIsWrongIsToldInTheClasssOwnWords(t *testing.T) {
	for name, test := range map[string]struct {
		more map[string]string
		want string
	}{
		"nothing at all": {
			map[string]string{"keyvaultName": "", "tenantID": "", "objects": ""},
			"keyvaultName: missing; give the name of the vault; objects: missing; list what the volume is to hold",
		},
		"a parameter that is misspelt":  {map[string]string{"keyVaultname": "x"}, "keyVaultname: unknown parameter, which has no effect; did you mean keyvaultName?"},
		"a flag that is none":           {map[string]string{"usePodIdentity": "no"}, `usePodIdentity: must be "true" or "false"`},
		"pod identity":                  {map[string]string{"usePodIdentity": "true"}, "usePodIdentity: AAD Pod Identity has been retired; give clientID to read as the pod by workload identity"},
		"two identities":                {map[string]string{"usePodIdentity": "true", "useVMManagedIdentity": "1"}, "usePodIdentity: only one identity can read; useVMManagedIdentity is true as well"},
		"three identities":              {map[string]string{"usePodIdentity": "true", "useVMManagedIdentity": "1", "useAzureTokenProxy": "T"}, "usePodIdentity: only one identity can read; useVMManagedIdentity and useAzureTokenProxy is true as well"},
		"the node's and a bound one":    {map[string]string{"useVMManagedIdentity": "true", "useAzureTokenProxy": "true"}, "useVMManagedIdentity: only one identity can read; useAzureTokenProxy is true as well"},
		"a binding that is no flag":     {map[string]string{"useAzureTokenProxy": "invalid"}, `useAzureTokenProxy: must be "true" or "false"`},
		"a cloud that is none":          {map[string]string{"cloudName": "Azure"}, "cloudName: must be one of AzurePublicCloud, AzureUSGovernmentCloud, AzureChinaCloud and AzureStackCloud"},
		"a cloud that is closed":        {map[string]string{"cloudName": "AzureGermanCloud"}, "cloudName: this cloud was closed in 2021"},
		"a cloud's file without it":     {map[string]string{"cloudEnvFileName": "/etc/cloud.json"}, "cloudEnvFileName: has no effect without cloudName AzureStackCloud"},
		"objects that are a list":       {map[string]string{"objects": "- objectName: a"}, "objects: line 1: must be a map of fields"},
		"another list":                  {map[string]string{"objects": "arrays: []"}, "objects: has no entries; list at least one object; objects.arrays: line 1: unknown field, which has no effect; did you mean array?"},
		"objects that are no text":      {map[string]string{"objects": "array:\n  - objectName: a\n    objectType: secret"}, "objects.array[0]: line 2: must be text that holds the object's fields; put a | after the dash"},
		"an object's text that is none": {map[string]string{"objects": array(t, "a: [")}, "object 1: line 1 of its text:"},
		"a field that is misspelt":      {map[string]string{"objects": array(t, "{objectName: a, objectType: secret, objectalias: b}")}, "object 1 (a): objectalias: unknown field, which has no effect; did you mean objectAlias?"},
		"missing fields":                {map[string]string{"objects": array(t, "{objectAlias: b}")}, "object 1 (b): objectName: missing; give the object's name in the vault; object 1 (b): objectType: missing; must be secret, key or cert"},
		"a type that is none":           {map[string]string{"objects": array(t, "{objectName: a, objectType: certificate}")}, "object 1 (a): objectType: unknown type; did you mean cert?"},
		"a format that is none":         {map[string]string{"objects": array(t, "{objectName: a, objectType: secret, objectFormat: der}")}, "object 1 (a): objectFormat: must be pem or pfx"},
		"a PFX of a certificate":        {map[string]string{"objects": array(t, "{objectName: a, objectType: cert, objectFormat: pfx}")}, "object 1 (a): objectFormat: pfx is for the objectType secret alone, which has a certificate's key and chain"},
		"an encoding of a key":          {map[string]string{"objects": array(t, "{objectName: a, objectType: key, objectEncoding: utf-8}")}, "object 1 (a): objectEncoding: is for the objectType secret alone"},
		"an encoding that is none":      {map[string]string{"objects": array(t, "{objectName: a, objectType: secret, objectEncoding: utf-16}")}, "object 1 (a): objectEncoding: must be utf-8, base64 or hex"},
		"a mode that is none":           {map[string]string{"objects": array(t, "{objectName: a, objectType: key, filePermission: 0o440}", "{objectName: b, objectType: key, filePermission: 4755}")}, "object 1 (a): filePermission: must be an octal number of permission bits, such as 0440; object 2 (b): filePermission: must be an octal number of permission bits, such as 0440"},
		"a history that is too long":    {map[string]string{"objects": array(t, "{objectName: a, objectType: key, objectVersionHistory: 50}")}, "object 1 (a): objectVersionHistory: must be at most 49"},
		"a history in words":            {map[string]string{"objects": array(t, "{objectName: a, objectType: key, objectVersionHistory: all}")}, "object 1 (a): objectVersionHistory: must be a whole number"},
		"one file twice":                {map[string]string{"objects": array(t, "{objectName: a, objectType: key}", "{objectName: a, objectType: secret}")}, "object 1 (a): objectAlias: has no effect: object 2 makes the same file"},
		"a pattern without its place":   {map[string]string{"objects": array(t, "{objectName: db-*, objectType: secret}")}, "object 1 (db-*): objectAlias: missing; say which directory the files of the pattern lie in"},
		"a pattern of keys":             {map[string]string{"objects": array(t, "{objectName: '*', objectAlias: a, objectType: key}")}, "object 1 (a): objectType: must be secret where objectName is a pattern"},
		"a version of a pattern":        {map[string]string{"objects": array(t, "{objectName: '*', objectAlias: a, objectType: secret, objectVersion: 12, objectVersionHistory: 2, property: x}")}, "object 1 (a): objectVersion: is for one object, and objectName is a pattern; object 1 (a): objectVersionHistory: is for one object, and objectName is a pattern; object 1 (a): property: is for one object, and objectName is a pattern"},
		"a time of a pattern":           {map[string]string{"objects": array(t, "{objectName: '*', objectAlias: a, objectType: secret, objectVersionNotAfter: 2026-11-27T06:00:00Z}")}, "object 1 (a): objectVersionNotAfter: is for one object, and objectName is a pattern"},
		"a time beside a version":       {map[string]string{"objects": array(t, "{objectName: a, objectType: key, objectVersion: 12, objectVersionNotAfter: 2026-11-27T06:00:00Z}")}, "object 1 (a): objectVersionNotAfter: chooses the version by its time, and objectVersion names one; leave one of the two out"},
		"a vault that is none":          {map[string]string{"objects": array(t, "{objectName: a, objectType: key, keyvaultName: 'https://other.vault.azure.net'}")}, "object 1 (a): keyvaultName: must be the name of a vault alone: letters, digits and dashes, at most 24"},
		"a vault that is a list":        {map[string]string{"objects": array(t, "{objectName: a, objectType: key, keyvaultName: [b]}")}, "object 1 (a): keyvaultName: must be text"},
		"too many vaults":               {map[string]string{"objects": array(t, ofVaults(33)...)}, "object 33 (a32): keyvaultName: a class may read from 32 vaults besides its own; split the class, one volume each"},
		"tags without a pattern":        {map[string]string{"objects": array(t, "{objectName: a, objectType: secret, objectTags: {b: c}}")}, "object 1 (a): objectTags: choose among the secrets of a pattern; give an objectName with a *"},
		"a property of a history":       {map[string]string{"objects": array(t, "{objectName: a, objectType: secret, property: b, objectVersionHistory: 2}")}, "object 1 (a): property: is for one version, and objectVersionHistory is above 1"},
		"a property of a key":           {map[string]string{"objects": array(t, "{objectName: a, objectType: key, property: b}")}, "object 1 (a): property: is for the objectType secret alone"},
		"a file outside":                {map[string]string{"objects": array(t, "{objectName: a, objectType: key, objectAlias: ../a}")}, "object 1 (../a): objectAlias: must not leave the volume; remove the .."},
	} {
		t.Run(name, func(t *testing.T) {
			class, err := Parse(parameters(test.more))
			var problems spec.Problems
			if err != nil && !errors.As(err, &problems) {
				t.Fatalf("the error is a %T", err)
			}
			if got := slices.Concat(problems.Add(class.Validate()), class.Idle).Error(); !strings.HasPrefix(got, test.want) {
				t.Errorf("problems\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// ofVaults are objects of so many vaults.
func ofVaults(count int) (entries []string) {
	for i := range count {
		entries = append(entries, fmt.Sprintf("{objectName: a%d, objectType: key, keyvaultName: kv-%d}", i, i))
	}
	return entries
}

// An entry's own vault is a store of its own: that of the class in everything else.
func TestVaultsOfEntriesBecomeStores(t *testing.T) {
	objects := array(t, "{objectName: a, objectType: key}", "{objectName: b, objectType: key, keyvaultName: Other-kv}", "{objectName: c, objectType: key, keyvaultName: other-kv}", "{objectName: d, objectType: key, keyvaultName: node}")
	for name, test := range map[string]struct {
		more     map[string]string
		store    string
		settings map[string]any
		defaults []string
	}{
		"as the pod": {
			map[string]string{"cloudName": "AzureChinaCloud"}, "azure",
			map[string]any{"type": "azure-key-vault", "tenantID": "t", "cloud": "china", "auth": map[string]any{"clientID": "c"}}, []string{"azure-node"},
		},
		"as the node": {
			map[string]string{"clientID": "", "useVMManagedIdentity": "true"}, "azure-node",
			map[string]any{"tenantID": "t"}, []string{"azure-node", "azure-node_node", "azure-node_other-kv"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.more["objects"] = objects
			class, err := Parse(parameters(test.more))
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]map[string]any{}
			for store, vault := range map[string]string{"": "kv", "_other-kv": "Other-kv", "_node": "node"} {
				settings := maps.Clone(test.settings)
				settings["vault"] = vault
				if store != "" {
					settings["base"] = test.store
				}
				want[test.store+store] = settings
			}
			if !reflect.DeepEqual(class.Stores, want) {
				t.Errorf("stores %v, want %v", class.Stores, want)
			}
			if defaults := slices.Sorted(maps.Keys(class.Defaults)); !slices.Equal(defaults, test.defaults) {
				t.Errorf("something is implied of %q, want %q", defaults, test.defaults)
			}
			for i, store := range []string{"", "_other-kv", "_other-kv", "_node"} {
				if got := class.Objects[i].Store; got != test.store+store {
					t.Errorf("object %d is read from %s", i+1, got)
				}
			}
			for setting, field := range map[string]string{"": "keyvaultName", "_node": "objects[3].keyvaultName", "_other-kv": "objects[1].keyvaultName"} {
				if got := class.Words.Of("stores." + test.store + setting + ".vault"); got != field {
					t.Errorf("the vault of store %s%s is called %s, want %s", test.store, setting, got, field)
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	classes, err := filepath.Glob(filepath.Join("testdata", "*", "class.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range classes {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		var class struct {
			Spec struct{ Parameters map[string]string }
		}
		if err := yaml.Unmarshal(text, &class); err != nil {
			f.Fatal(err)
		}
		f.Add(class.Spec.Parameters["objects"], "cloudName", class.Spec.Parameters["cloudName"])
	}
	f.Add("array: [a, [b], {c: d}, null]", "usePodIdentity", "true")
	f.Add("array: ['{objectName: a, objectType: key, keyvaultName: b, objectVersionNotAfter: 2026-11-27T06:00:00Z}']", "useVMManagedIdentity", "true")
	f.Fuzz(func(t *testing.T, objects, parameter, value string) {
		given := map[string]string{"keyvaultName": "kv", "tenantID": "t", "clientID": "c", "objects": objects, parameter: value}
		class, err := Parse(given)
		var problems spec.Problems
		if class == nil || err != nil && !errors.As(err, &problems) {
			t.Fatalf("Parse = %v, %v", class, err)
		}
		again, _ := Parse(given)
		if !reflect.DeepEqual(class, again) {
			t.Error("the same parameters make another class")
		}
		_ = problems.Add(class.Validate()).Error()
	})
}

// The lines and columns are those of the parameter, though the fields stand in a
// text within it.
func TestProblemsAreToldAtTheirPlaceInTheParameter(t *testing.T) {
	const objects = `array:
  - |

    objectName: a
    objectType: secrets
  -   |
      # a remark
      objectName: größer
      objectalias:   b
      objectType: "key"
      filePermission: 999
  - "objectName: [a]\nobjectType: key"
  - |
    objectName: c
`
	class, err := Parse(parameters(map[string]string{"objects": objects}))
	var problems spec.Problems
	if !errors.As(err, &problems) {
		t.Fatal(err)
	}
	want := map[string][2]int{
		"objects[0].objectType": {5, 5}, "objects[1].objectalias": {9, 7}, "objects[1].filePermission": {11, 7},
		"objects[2].objectName": {12, 5}, "objects[3].objectType": {14, 5},
	}
	got := map[string][2]int{}
	for _, problem := range slices.Concat(problems, class.Idle) {
		got[problem.Field] = [2]int{problem.Line, problem.Column}
	}
	if !maps.Equal(got, want) {
		t.Errorf("places %v, want %v", got, want)
	}
}

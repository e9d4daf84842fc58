package vault

import (
	"encoding/json"
	"errors"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/render"
	"github.com/lanyardhq/lanyard/provider/render/jmespath"
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

func TestParametersBecomeSettingsOfTheStore(t *testing.T) {
	const objects = "- {objectName: a, secretPath: secret/data/a, secretKey: a}"
	for name, test := range map[string]struct {
		parameters map[string]string
		want       map[string]any
		idle       string
	}{
		"nothing": {nil, map[string]any{}, ""},
		"empty ones": {map[string]string{"vaultAddress": "", "roleName": "", "vaultNamespace": "", "audience": "", "vaultCACertPath": ""},
			map[string]any{}, ""},
		"all of a login": {map[string]string{"roleName": "web", "audience": "vault-eu", "vaultAuthMountPath": "jwt-eu", "vaultNamespace": "team/a"},
			map[string]any{"namespace": "team/a", "auth": map[string]any{"role": "web", "audience": "vault-eu", "mount": "jwt-eu"}}, ""},
		"the older name of the mount": {map[string]string{"vaultKubernetesMountPath": "kubernetes-eu"},
			map[string]any{"auth": map[string]any{"mount": "kubernetes-eu"}}, ""},
		"slashes around": {map[string]string{"vaultAddress": "https://vault:8200/", "vaultAuthMountPath": "/kubernetes/"},
			map[string]any{"type": "vault", "address": "https://vault:8200", "auth": map[string]any{"mount": "kubernetes"}}, ""},
		"slashes within": {map[string]string{"vaultAddress": "https://host//vault/", "vaultAuthMountPath": "clusters//eu", "vaultNamespace": "/team//a/"},
			map[string]any{"type": "vault", "address": "https://host//vault", "namespace": "team/a", "auth": map[string]any{"mount": "clusters/eu"}}, ""},
		"slashes alone": {map[string]string{"vaultAddress": "/", "vaultAuthMountPath": "//", "vaultNamespace": "/"}, map[string]any{}, ""},
		"files and a name": {map[string]string{"vaultCACertPath": "/tls/ca.crt", "vaultTLSServerName": "vault.internal", "vaultTLSClientCertPath": "/tls/tls.crt", "vaultTLSClientKeyPath": "/tls/tls.key"},
			map[string]any{"tls": map[string]any{"caCertFile": "/tls/ca.crt", "serverName": "vault.internal", "clientCertFile": "/tls/tls.crt", "clientKeyFile": "/tls/tls.key"}}, ""},
		"a directory": {map[string]string{"vaultCADirectory": "/tls"},
			map[string]any{"tls": map[string]any{"caCertDir": "/tls"}}, ""},
		"a file and a directory": {map[string]string{"vaultCACertPath": "/tls/ca.crt", "vaultCADirectory": "/tls"},
			map[string]any{"tls": map[string]any{"caCertFile": "/tls/ca.crt"}}, "vaultCADirectory: has no effect beside vaultCACertPath"},
		"not verified": {map[string]string{"vaultSkipTLSVerify": "true"},
			map[string]any{"tls": map[string]any{"insecureSkipVerify": true}}, ""},
		"not verified, with a file": {map[string]string{"vaultSkipTLSVerify": "1", "vaultCACertPath": "/tls/ca.crt"},
			map[string]any{"tls": map[string]any{"insecureSkipVerify": true}}, "vaultCACertPath: has no effect beside vaultSkipTLSVerify"},
		"verified": {map[string]string{"vaultSkipTLSVerify": "false"}, map[string]any{}, ""},
		"plain text": {map[string]string{"vaultAddress": "http://vault:8200", "vaultSkipTLSVerify": "true", "vaultTLSServerName": "x"},
			map[string]any{"type": "vault", "address": "http://vault:8200"},
			"vaultSkipTLSVerify: has no effect with a vaultAddress of http://; vaultTLSServerName: has no effect with a vaultAddress of http://"},
	} {
		t.Run(name, func(t *testing.T) {
			parameters := map[string]string{"objects": objects}
			for name, value := range test.parameters {
				parameters[name] = value
			}
			class := parse(t, parameters)
			if got := class.Stores[StoreName]; !reflect.DeepEqual(got, test.want) {
				t.Errorf("settings %v, want %v", got, test.want)
			}
			if got := class.Idle.Error(); got != test.idle {
				t.Errorf("without effect: %s, want %s", got, test.idle)
			}
		})
	}
}

func TestFieldsBecomeAnObject(t *testing.T) {
	mode := func(bits fs.FileMode) *fs.FileMode { return &bits }
	whole := func(more map[string]any) map[string]any {
		options := map[string]any{"whole": true}
		for name, value := range more {
			options[name] = value
		}
		return options
	}
	for name, test := range map[string]struct {
		fields string
		want   spec.Object
		idle   string
	}{
		"a key":                     {"{secretPath: secret/data/db, secretKey: password}", spec.Object{Key: "secret/data/db", Property: "password"}, ""},
		"no key":                    {"{secretPath: secret/data/db}", spec.Object{Key: "secret/data/db", Options: whole(nil)}, ""},
		"a key without a value":     {"{secretPath: secret/data/db, secretKey: }", spec.Object{Key: "secret/data/db", Options: whole(nil)}, ""},
		"a key with a dot":          {"{secretPath: a/b, secretKey: tls.crt}", spec.Object{Key: "a/b", Property: `"tls.crt"`}, ""},
		"a key with quotes":         {`{secretPath: a/b, secretKey: 'a"b<c\d'}`, spec.Object{Key: "a/b", Property: `"a\"b<c\\d"`}, ""},
		"a key that is a number":    {"{secretPath: a/b, secretKey: 0123}", spec.Object{Key: "a/b", Property: `"0123"`}, ""},
		"a key that looks true":     {"{secretPath: a/b, secretKey: true}", spec.Object{Key: "a/b", Property: "true"}, ""},
		"a key of the language":     {"{secretPath: a/b, secretKey: let}", spec.Object{Key: "a/b", Property: `"let"`}, ""},
		"with v1":                   {"{secretPath: v1/secret/data/db, secretKey: k}", spec.Object{Key: "secret/data/db", Property: "k"}, ""},
		"with a slash and v1":       {"{secretPath: /v1/secret/data/db, secretKey: k}", spec.Object{Key: "secret/data/db", Property: "k"}, ""},
		"with slashes":              {"{secretPath: /secret//data/db/, secretKey: k}", spec.Object{Key: "secret/data/db", Property: "k"}, ""},
		"a version":                 {`{secretPath: "secret/data/db?version=3", secretKey: k}`, spec.Object{Key: "secret/data/db", Version: "3", Property: "k"}, ""},
		"the latest version":        {`{secretPath: "secret/data/db?version=0", secretKey: k}`, spec.Object{Key: "secret/data/db", Property: "k", Options: map[string]any{"query": map[string]any{"version": "0"}}}, ""},
		"arguments":                 {`{secretPath: "aws/creds/x?ttl=1h&role_arn=arn%3Aaws", secretKey: k}`, spec.Object{Key: "aws/creds/x", Property: "k", Options: map[string]any{"query": map[string]any{"ttl": "1h", "role_arn": "arn:aws"}}}, ""},
		"a write":                   {"{secretPath: pki/issue/x, method: PUT, secretKey: k, secretArgs: {common_name: a, ttl: 24h, n: 3}}", spec.Object{Key: "pki/issue/x", Property: "k", Options: map[string]any{"method": "PUT", "body": map[string]any{"common_name": "a", "ttl": "24h", "n": 3}}}, ""},
		"a write without arguments": {"{secretPath: a/b, method: post}", spec.Object{Key: "a/b", Options: whole(map[string]any{"method": "POST"})}, ""},
		"arguments of a read":       {"{secretPath: a/b, secretKey: k, secretArgs: {ttl: 1h}}", spec.Object{Key: "a/b", Property: "k"}, "object 1 (f): secretArgs: has no effect with GET: arguments of a GET go into the query of secretPath"},
		"an octal permission":       {"{secretPath: a/b, secretKey: k, filePermission: 0600}", spec.Object{Key: "a/b", Property: "k", Mode: mode(0o600)}, ""},
		"with an o":                 {"{secretPath: a/b, secretKey: k, filePermission: 0o440}", spec.Object{Key: "a/b", Property: "k", Mode: mode(0o440)}, ""},
		"in decimal":                {"{secretPath: a/b, secretKey: k, filePermission: 384}", spec.Object{Key: "a/b", Property: "k", Mode: mode(0o600)}, ""},
		"no permission":             {"{secretPath: a/b, secretKey: k, filePermission: 0}", spec.Object{Key: "a/b", Property: "k"}, ""},
		"base64":                    {"{secretPath: a/b, secretKey: k, encoding: Base64}", spec.Object{Key: "a/b", Property: "k", Encoding: "base64"}, ""},
		"hex":                       {"{secretPath: a/b, secretKey: k, encoding: hex}", spec.Object{Key: "a/b", Property: "k", Encoding: "hex"}, ""},
		"utf-8":                     {"{secretPath: a/b, secretKey: k, encoding: UTF-8}", spec.Object{Key: "a/b", Property: "k"}, ""},
		"any encoding of the whole": {"{secretPath: a/b, encoding: base46}", spec.Object{Key: "a/b", Options: whole(nil)}, "object 1 (f): encoding: has no effect without secretKey"},
		"utf-8 of the whole":        {"{secretPath: a/b, encoding: UTF-8}", spec.Object{Key: "a/b", Options: whole(nil)}, ""},
		"an encoding of the whole":  {"{secretPath: a/b, encoding: hex}", spec.Object{Key: "a/b", Options: whole(nil)}, "object 1 (f): encoding: has no effect without secretKey"},
	} {
		t.Run(name, func(t *testing.T) {
			class := parse(t, map[string]string{"objects": "- {objectName: f, " + test.fields[1:]})
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

// A file with the password and one with the whole answer must be of one read,
// where every read makes another password.
func TestAKeyComesFromTheAnswerThatAnotherFileShows(t *testing.T) {
	class := parse(t, map[string]string{"objects": `
- {objectName: user, secretPath: database/creds/web, secretKey: username}
- {objectName: all, secretPath: /v1/database/creds/web}
- {objectName: other, secretPath: database/creds/other, secretKey: username}
`})
	user, all, other := class.Objects[0], class.Objects[1], class.Objects[2]
	if !reflect.DeepEqual(user.Options, all.Options) || user.Key != all.Key {
		t.Errorf("they are read apart: %+v and %+v", user, all)
	}
	if want := insideAnswer + "username"; user.Property != want {
		t.Errorf("property %s, want %s", user.Property, want)
	}
	if other.Property != "username" || other.Options != nil {
		t.Errorf("an object of another secret is %+v", other)
	}
}

// The original's cache of answers has the path and the method as they are written for its
// key, so that the first object's arguments are sent for all of them.
func TestOneRequestIsMadeOfAPathAndAMethod(t *testing.T) {
	const first = "- {objectName: crt, secretPath: pki/issue/web, method: PUT, secretKey: certificate, secretArgs: {common_name: a}}\n"
	for name, test := range map[string]struct {
		objects string
		body    any
		idle    string
	}{
		"without arguments":   {first + "- {objectName: key, secretPath: pki/issue/web, method: PUT, secretKey: private_key}", map[string]any{"common_name": "a"}, ""},
		"with the same":       {first + "- {objectName: key, secretPath: pki/issue/web, method: PUT, secretKey: private_key, secretArgs: {common_name: a}}", map[string]any{"common_name": "a"}, ""},
		"with others":         {first + "- {objectName: key, secretPath: pki/issue/web, method: PUT, secretKey: private_key, secretArgs: {common_name: b}}", map[string]any{"common_name": "a"}, "object 2 (key): secretArgs: has no effect: object 1 has the same secretPath and method, and one request with its secretArgs is for both"},
		"the first has none":  {"- {objectName: crt, secretPath: pki/issue/web, method: PUT}\n- {objectName: key, secretPath: pki/issue/web, method: PUT, secretArgs: {common_name: b}}", nil, "object 2 (key): secretArgs: has no effect: object 1 has the same secretPath and method, and one request with its secretArgs is for both"},
		"another method":      {first + "- {objectName: key, secretPath: pki/issue/web, method: POST, secretArgs: {common_name: b}}", map[string]any{"common_name": "b"}, ""},
		"the method in lower": {first + "- {objectName: key, secretPath: pki/issue/web, method: put, secretArgs: {common_name: b}}", map[string]any{"common_name": "b"}, ""},
		"another spelling":    {first + "- {objectName: key, secretPath: /v1/pki/issue/web, method: PUT, secretArgs: {common_name: b}}", map[string]any{"common_name": "b"}, ""},
		"another query":       {first + "- {objectName: key, secretPath: 'pki/issue/web?x=y', method: PUT, secretArgs: {common_name: b}}", map[string]any{"common_name": "b"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			class := parse(t, map[string]string{"objects": test.objects})
			if got := class.Objects[1].Options["body"]; !reflect.DeepEqual(got, test.body) {
				t.Errorf("the second sends %v, want %v", got, test.body)
			}
			if got := class.Idle.Error(); got != test.idle {
				t.Errorf("without effect: %q, want %q", got, test.idle)
			}
		})
	}
}

// A secret reads alike whether a file shows its whole answer or not: the object
// under its field data is the secret where the store takes it for one.
func TestAKeyOfAWholeAnswerIsWhatTheStoreTakesForTheSecret(t *testing.T) {
	const made = `"created_time":"2024-05-01T10:00:00.5Z"`
	for name, test := range map[string]struct{ data, want string }{
		"KV version 2":                      {`{"data":{"key":"inner"},"metadata":{"version":3,` + made + `}}`, "inner"},
		"KV version 1":                      {`{"key":"outer"}`, "outer"},
		"with an object under data":         {`{"key":"outer","data":{"key":"inner"}}`, "outer"},
		"with a third field":                {`{"key":"outer","data":{"key":"inner"},"metadata":{"version":3,` + made + `}}`, "outer"},
		"with metadata of its own":          {`{"data":{"key":"inner"},"metadata":{"version":"3",` + made + `},"key":"outer"}`, "outer"},
		"metadata that is text":             {`{"metadata":"x","key":"outer"}`, "outer"},
		"nothing but an object under data":  {`{"data":{"key":"inner"}}`, ""},
		"without the time":                  {`{"data":{"key":"inner"},"metadata":{"version":3}}`, ""},
		"a version below one":               {`{"data":{"key":"inner"},"metadata":{"version":0,` + made + `}}`, ""},
		"an empty secret of KV version 2":   {`{"data":{},"metadata":{"version":3,` + made + `}}`, ""},
		"a secret that has data and others": {`{"data":{"data":{"key":"x"},"key":"inner"},"metadata":{"version":3,` + made + `}}`, "inner"},
	} {
		t.Run(name, func(t *testing.T) {
			property, err := jmespath.Compile(insideAnswer + "key")
			if err != nil {
				t.Fatal(err)
			}
			got, err := property.Apply([]byte(`{"request_id":"","data":`+test.data+`}`), render.Hooks{})
			if string(got) != test.want || (err == nil) != (test.want != "") {
				t.Errorf("selects %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestRefusedSyntaxNamesObjectFieldAndRemedy(t *testing.T) {
	object := func(text string) map[string]string {
		return map[string]string{"objects": "- {objectName: first, secretPath: a/b}\n- objectName: db\n  secretPath: secret/data/db\n  " + text}
	}
	for name, test := range map[string]struct {
		parameters map[string]string
		want       string
	}{
		"no parameters":         {nil, "objects: missing; list what the volume is to hold"},
		"empty objects":         {map[string]string{"objects": ""}, "objects: has no entries; list at least one object"},
		"unknown parameter":     {map[string]string{"objects": "- {objectName: a, secretPath: a/b}", "vaultAdress": "x"}, "vaultAdress: unknown parameter, which has no effect; did you mean vaultAddress?"},
		"one of other case":     {map[string]string{"objects": "- {objectName: a, secretPath: a/b}", "rolename": "x"}, "rolename: unknown parameter, which has no effect; did you mean roleName?"},
		"a native parameter":    {map[string]string{"objects": "- {objectName: a, secretPath: a/b}", "stores": ""}, "stores: unknown parameter, which has no effect; known are objects, audience, roleName, vaultAddress, vaultNamespace, vaultAuthMountPath, vaultKubernetesMountPath, vaultSkipTLSVerify, vaultCACertPath, vaultCADirectory, vaultTLSServerName, vaultTLSClientCertPath, vaultTLSClientKeyPath"},
		"two mounts":            {map[string]string{"objects": "- {objectName: a, secretPath: a/b}", "vaultAuthMountPath": "a", "vaultKubernetesMountPath": "b"}, "vaultKubernetesMountPath: is the older name of vaultAuthMountPath, which is given too; remove this one"},
		"not a truth value":     {map[string]string{"objects": "- {objectName: a, secretPath: a/b}", "vaultSkipTLSVerify": "yes"}, `vaultSkipTLSVerify: must be "true" or "false"`},
		"objects as a map":      {map[string]string{"objects": "array: []"}, "objects: line 1: must be a list; begin each item with a dash"},
		"unknown field":         {object("secretkey: x"), "object 2 (db): secretkey: unknown field, which has no effect; did you mean secretKey?"},
		"field of long ago":     {object("objectVersion: x"), "object 2 (db): objectVersion: unknown field, which has no effect; known are objectName, secretPath, secretKey, method, secretArgs, filePermission, encoding"},
		"given twice":           {object("secretPath: x"), "object 2 (db): secretPath: is given twice; remove this one or that of the line above"},
		"no name":               {map[string]string{"objects": "- {secretPath: a/b}"}, "object 1: objectName: missing; say which file the secret becomes"},
		"no path":               {map[string]string{"objects": "- {objectName: a}"}, "object 1 (a): secretPath: missing; give the path in Vault, such as secret/data/prod/db"},
		"a path of nothing":     {map[string]string{"objects": "- {objectName: a, secretPath: /v1/}"}, "object 1 (a): secretPath: names no secret; give the path in Vault, such as secret/data/prod/db"},
		"a bad query":           {map[string]string{"objects": "- {objectName: a, secretPath: 'a/b?x=%zz'}"}, "object 1 (a): secretPath: the arguments after the ? cannot be read; write them as name=value, joined by &"},
		"an argument twice":     {map[string]string{"objects": "- {objectName: a, secretPath: 'a/b?x=1&x=2'}"}, "object 1 (a): secretPath: gives an argument twice after the ?; keep one"},
		"a deletion":            {object("method: DELETE"), "object 2 (db): method: must be one of GET, PUT, POST, LIST"},
		"a key that is a list":  {object("secretKey: [a]"), "object 2 (db): secretKey: must be text"},
		"arguments as text":     {object("secretArgs: a"), "object 2 (db): secretArgs: must be a map of fields"},
		"a permission in text":  {object("filePermission: '0600'"), "object 2 (db): filePermission: must be a number of permission bits, without quotes, such as 0600"},
		"a permission in words": {object("filePermission: rw"), "object 2 (db): filePermission: must be a number of permission bits, without quotes, such as 0600"},
		"no octal number":       {object("filePermission: 0680"), "object 2 (db): filePermission: must be a number of permission bits, without quotes, such as 0600"},
		"beyond permissions":    {object("filePermission: 04755"), "object 2 (db): filePermission: must be permission bits alone, at most 0777 (511 in decimal)"},
		"another encoding":      {object("secretKey: k\n  encoding: base46"), "object 2 (db): encoding: unknown encoding; did you mean base64?"},
		"an alias":              {map[string]string{"objects": "- &a {objectName: a, secretPath: a/b}\n- *a"}, "object 1 (a): objectName: has no effect: object 2 makes the same file"},
		"the same file twice":   {map[string]string{"objects": "- {objectName: a, secretPath: a/b}\n- {objectName: a, secretPath: a/c}"}, "object 1 (a): objectName: has no effect: object 2 makes the same file"},
		"out of the volume":     {map[string]string{"objects": "- {objectName: ../a, secretPath: a/b}"}, "object 1 (../a): objectName: must not leave the volume; remove the .."},
		"several at once": {
			map[string]string{"objects": "- {objectName: a, secretpath: a/b, method: PATCH}\n- {objectName: /b, secretPath: a/b, filePermision: 1}", "role": "x", "vaultSkipTLSVerify": ""},
			`vaultSkipTLSVerify: must be "true" or "false"; object 1 (a): method: must be one of GET, PUT, POST, LIST; object 1 (a): secretPath: missing; give the path in Vault, such as secret/data/prod/db; object 2 (/b): objectName: must be relative to the volume; remove the leading /; role: unknown parameter, which has no effect; did you mean roleName?; object 1 (a): secretpath: unknown field, which has no effect; did you mean secretPath?; object 2 (/b): filePermision: unknown field, which has no effect; did you mean filePermission?`,
		},
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
	f.Add("- {objectName: a, secretPath: 'v1/a/b?version=1&x=2', secretKey: k, filePermission: 0600}\n- {objectName: b, secretPath: a/b}", "http://v", "true", "a")
	f.Add("- {objectName: ../a, secretPath: /, method: PUT, secretArgs: {a: [1, {b: null}]}, encoding: hex}", "", "x", "")
	f.Add("[]", "https://u:p@v/x?y", "", "/auth/")
	f.Fuzz(func(t *testing.T, objects, address, skip, mount string) {
		if len(objects) > 1<<16 {
			return
		}
		class, err := Parse(map[string]string{"objects": objects, "vaultAddress": address, "vaultSkipTLSVerify": skip, "vaultAuthMountPath": mount, "vaultCACertPath": skip})
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
			if o.Store != StoreName || o.Key == "" || o.Path == "" || strings.HasPrefix(o.Key, "/") || strings.HasSuffix(o.Key, "/") || strings.Contains(o.Key, "?") {
				t.Errorf("accepted the object %+v", o)
			}
			if o.Property == "" && o.Options["whole"] != true {
				t.Errorf("an object without a key does not show the whole answer: %+v", o)
			}
		}
	})
}

// Whatever a key is called, the expression that it becomes selects it, and it
// alone.
func FuzzSecretKey(f *testing.F) {
	for _, key := range []string{"password", "tls.crt", `say "hi"`, `a\\b`, "let", "[0]", "a || b", "größe", "\u2028", "0123", "@", "`x`"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if key == "" || len(key) > 200 || !utf8.ValidString(key) {
			return
		}
		versioned := map[string]any{"data": map[string]string{key: "value"}, "metadata": map[string]any{"version": 3, "created_time": "2024-05-01T10:00:00.5Z"}}
		for name, data := range map[string]any{"": map[string]string{key: "value", key + "x": "other"}, "whole": map[string]any{"data": versioned}} {
			expression := dialect.Property(key)
			if name == "whole" {
				expression = insideAnswer + expression
			}
			property, err := jmespath.Compile(expression)
			if err != nil {
				t.Fatalf("%s: %v", expression, err)
			}
			secret, err := json.Marshal(data)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := property.Apply(secret, render.Hooks{}); err != nil || string(got) != "value" {
				t.Errorf("%s selects %q of %s, %v", expression, got, secret, err)
			}
		}
	})
}

package synced

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAnAnnotatedClass(t *testing.T) {
	n := quiet(t)
	n.put("db", map[string]any{"value": "planted-one"})
	n.class("db", one)
	made := n.holds("db", map[string]string{"password": "planted-one"})
	if owner := made.OwnerReferences; len(owner) != 1 || owner[0].Kind != "SecretProviderClass" || owner[0].Name != "db" {
		t.Errorf("owned by %+v", owner)
	}
	n.state("db", "Synced", "")
	n.event("Normal SecretCreated db: Made: db")
	n.put("db", map[string]any{"value": "planted-two"})
	changed := n.holds("db", map[string]string{"password": "planted-two"})
	n.event("Normal SecretChanged db: Changed: db")
	if made.UID != changed.UID {
		t.Error("the Secret was made anew")
	}
}

func TestASecretSync(t *testing.T) {
	n := quiet(t)
	n.put("db", map[string]any{"value": "planted-one"})
	n.apply(`
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: db}
spec:` + one)
	n.sync("db", `{type: Opaque, data: [{sourcePath: password, targetKey: pw}], labels: {app: shop}, annotations: {note: hello}}`)
	made := n.holds("db", map[string]string{"pw": "planted-one"})
	if made.Labels["app"] != "shop" || made.Annotations["note"] != "hello" {
		t.Errorf("%v %v", made.Labels, made.Annotations)
	}
	n.condition("db", "Create", "True", "CreateSucceeded")
	n.condition("db", "Update", "True", "NoValueChange")
	n.put("db", map[string]any{"value": "planted-two"})
	n.holds("db", map[string]string{"pw": "planted-two"})
	n.condition("db", "Update", "True", "NoValueChange")
	if n.status("db") != nil {
		t.Error("the class did not ask, and has a status")
	}
}

// Every kind of value that this Vault, files and sealed values have, and every type of Secret.
func TestDialectsAndTypes(t *testing.T) {
	n := quiet(t)
	certificate, key := selfSigned(t)
	n.put("db", map[string]any{"value": "planted-db", "user": "planted-user", "config": `{"auths":{}}`, "number": 9007199254740991})
	n.put("tls", map[string]any{"cert": certificate, "key": key})
	n.must(os.Mkdir(filepath.Join(n.path("files"), n.namespace), 0o700))
	n.must(os.WriteFile(filepath.Join(n.path("files"), n.namespace, "token"), []byte("planted\x00file"), 0o600))
	for name, c := range map[string]struct {
		spec string
		want map[string]map[string]string // by Secret and key
	}{
		"vault": {`
  provider: vault
  secretObjects:
  - secretName: from-vault
    type: Opaque
    labels: {app: shop}
    data: [{objectName: user, key: username}, {objectName: password, key: password}]
  parameters:
    roleName: workload
    objects: |
      - objectName: password
        secretPath: secret/data/$namespace/web/db
        secretKey: value
      - objectName: user
        secretPath: secret/data/$namespace/web/db
        secretKey: user
`, map[string]map[string]string{"from-vault": {"username": "planted-user", "password": "planted-db"}}},
		"native": {`
  provider: lanyard
  secretObjects:
  - secretName: native-login
    type: kubernetes.io/basic-auth
    data: [{objectName: db/user, key: username}, {objectName: db/value, key: password}]
  - secretName: native-registry
    type: kubernetes.io/dockerconfigjson
    data: [{objectName: config.json, key: .dockerconfigjson}]
  - secretName: native-tls
    type: kubernetes.io/tls
    data: [{objectName: both.pem, key: tls.crt}, {objectName: both.pem, key: tls.key}]
  - secretName: native-ssh
    type: kubernetes.io/ssh-auth
    data: [{objectName: both.pem, key: ssh-privatekey}]
  - secretName: native-url
    data: [{objectName: url, key: url}, {objectName: db/number, key: number}]
  parameters:
    stores: |
      vault: {auth: {role: workload}}
    objects: |
      - {path: db, store: vault, key: secret/data/$namespace/web/db, expand: true}
      - {path: config.json, store: vault, key: secret/data/$namespace/web/db, property: config}
      - {name: cert, store: vault, key: secret/data/$namespace/web/tls, property: cert}
      - {name: key, store: vault, key: secret/data/$namespace/web/tls, property: key}
      - {path: both.pem, template: "{{ .key }}{{ .cert }}"}
      - {name: user, store: vault, key: secret/data/$namespace/web/db, property: user}
      - {path: url, template: "postgres://{{ .user }}@db"}
`, map[string]map[string]string{
			"native-login":    {"username": "planted-user", "password": "planted-db"},
			"native-registry": {".dockerconfigjson": `{"auths":{}}`},
			"native-tls":      {"tls.crt": certificate, "tls.key": key},
			"native-ssh":      {"ssh-privatekey": key + certificate},
			"native-url":      {"url": "postgres://planted-user@db", "number": "9007199254740991"},
		}},
		"sealed": {`
  provider: lanyard
  secretObjects:
  - secretName: sealed
    data: [{objectName: token, key: token}, {objectName: file, key: file}]
  parameters:
    objects: |
      - {path: token, sealed: $sealed}
      - {path: file, store: files, key: $namespace/token}
`, map[string]map[string]string{"sealed": {"token": "planted-sealed", "file": "planted\x00file"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := &tenant{T: t, place: n.place, namespace: n.namespace}
			n.class(name, c.spec, "$sealed", n.sealed("token", "planted-sealed"))
			for secret, want := range c.want {
				n.holds(secret, want)
			}
			status := n.state(name, "Synced", "")
			if len(status.Secrets) != len(c.want) {
				t.Errorf("%+v", status)
			}
			if name == "vault" && n.secret("from-vault").Labels["app"] != "shop" {
				t.Error("the Secret lacks its label")
			}
		})
	}
}

// sealed is a sealed value of an object of the class for web.
func (n *tenant) sealed(object, value string) string {
	n.Helper()
	cmd := exec.CommandContext(n.Context(), n.path("lanyard-sync"), "seal", "--public", n.path("public.yaml"), "-n", n.namespace, "--service-account", "web", "--name", object)
	cmd.Stdin = strings.NewReader(value)
	output, err := cmd.Output()
	n.must(err)
	return strings.TrimSpace(string(output))
}

// selfSigned is a certificate with its key, each in PEM.
func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "web"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded}))
}

// Each of these is told in the status and by an Event; the Secret that was there stays as
// it is, those beside it are written all the same, and once it is fixed all is well.
func TestWhatGoesWrong(t *testing.T) {
	for name, c := range map[string]struct {
		spoil, fix func(n *tenant)
		reason     string
		texts      []string
	}{
		"no such provider": {
			func(n *tenant) { n.class("db", strings.Replace(one, "provider: lanyard", "provider: nowhere", 1)) }, nil,
			"ProviderError", []string{"nowhere"},
		},
		"a class that cannot be read": {
			func(n *tenant) { n.class("db", strings.Replace(one, "property: value", "attribute: value", 1)) }, nil,
			"ProviderError", []string{"attribute"},
		},
		"a missing secret": {
			func(n *tenant) { n.remove("db") }, func(n *tenant) { n.put("db", map[string]any{"value": "planted-db"}) },
			"ProviderError", []string{"password", "/web/db", "Vault has nothing there"},
		},
		"a missing property": {
			func(n *tenant) { n.put("db", map[string]any{"other": "planted-other"}) }, func(n *tenant) { n.put("db", map[string]any{"value": "planted-db"}) },
			"ProviderError", []string{"password", "selects nothing"},
		},
		"denied": {
			func(n *tenant) { n.class("db", strings.Replace(one, "/web/db", "/api/db", 1)) }, nil,
			"ProviderError", []string{"password", "/api/db", "permission denied"},
		},
		"another service account": {
			func(n *tenant) {
				n.patch("SecretProviderClass", "db", `{"metadata":{"annotations":{"lanyard.dev/sync":"default"}}}`)
			}, nil,
			"ProviderError", []string{"permission denied"},
		},
		"no such service account": {
			func(n *tenant) {
				n.patch("SecretProviderClass", "db", `{"metadata":{"annotations":{"lanyard.dev/sync":"later"}}}`)
			}, nil,
			"UserInputValidationFailed", []string{"there is no service account later"},
		},
		"a service account without a name": {
			func(n *tenant) {
				n.patch("SecretProviderClass", "db", `{"metadata":{"annotations":{"lanyard.dev/sync":""}}}`)
			}, nil,
			"UserInputValidationFailed", []string{"must name a service account"},
		},
		"no such file": {
			func(n *tenant) {
				n.class("db", strings.Replace(one, "objectName: password", "objectName: passwort", 1))
			}, nil,
			"UserInputValidationFailed", []string{"Secret db: key password: the class makes no file passwort; it makes password"},
		},
		"a type that must not be": {
			func(n *tenant) {
				n.class("db", strings.Replace(one, "type: Opaque", "type: kubernetes.io/service-account-token", 1))
			}, nil,
			"ValidatingAdmissionPolicyCheckFailed", []string{"may not write the type kubernetes.io/service-account-token"},
		},
		"another type": {
			func(n *tenant) {
				n.class("db", strings.Replace(one, "type: Opaque", "type: kubernetes.io/basic-auth", 1))
			}, nil,
			"UserInputValidationFailed", []string{"Secret db", "type", "field is immutable"},
		},
		"a key that no Secret can have": {
			func(n *tenant) { n.class("db", strings.Replace(one, "key: password", "key: 'pass word'", 1)) }, nil,
			"UserInputValidationFailed", []string{"Secret db", "pass word"},
		},
		"a name that no Secret can have": {
			func(n *tenant) { n.class("db", strings.Replace(one, "secretName: db", "secretName: Db_", 1)) }, nil,
			"UserInputValidationFailed", []string{"Secret Db_"},
		},
		"no certificate": {
			func(n *tenant) {
				n.class("db", strings.NewReplacer("secretName: db", "secretName: tls", "type: Opaque", "type: kubernetes.io/tls", "key: password", "key: tls.crt").Replace(one))
			}, nil,
			"UserInputValidationFailed", []string{"Secret tls: key tls.crt: password: has no certificate"},
		},
		"half a TLS pair": {
			func(n *tenant) {
				certificate, _ := selfSigned(n.T)
				n.put("db", map[string]any{"value": certificate})
				n.class("db", strings.NewReplacer("secretName: db", "secretName: tls", "type: Opaque", "type: kubernetes.io/tls", "key: password", "key: tls.crt").Replace(one))
			}, func(n *tenant) { n.put("db", map[string]any{"value": "planted-db"}); n.class("db", one) },
			"UserInputValidationFailed", []string{"Secret tls", "tls.key"},
		},
		"no docker configuration": {
			func(n *tenant) {
				n.class("db", strings.NewReplacer("secretName: db", "secretName: docker", "type: Opaque", "type: kubernetes.io/dockerconfigjson", "key: password", "key: .dockerconfigjson").Replace(one))
			}, nil,
			"UserInputValidationFailed", []string{"Secret docker: key .dockerconfigjson: password: is no JSON object"},
		},
		"a label of the controller's": {
			func(n *tenant) {
				n.class("db", strings.Replace(one, "type: Opaque", "labels: {lanyard.dev/synced-from: x}", 1))
			}, nil,
			"UserInputValidationFailed", []string{"the label lanyard.dev/synced-from is the controller's own"},
		},
		"an annotation of the controller's": {
			func(n *tenant) {
				n.class("db", strings.Replace(one, "type: Opaque", "annotations: {secrets-store.sync.x-k8s.io/a: x}", 1))
			}, nil,
			"UserInputValidationFailed", []string{"the annotation secrets-store.sync.x-k8s.io/a is the controller's own"},
		},
		"a label that cannot be": {
			func(n *tenant) { n.class("db", strings.Replace(one, "type: Opaque", "labels: {app: '!'}", 1)) }, nil,
			"UserInputValidationFailed", []string{"Secret db", "labels"},
		},
		"a value that is too large": {
			func(n *tenant) {
				n.put("db", map[string]any{"value": strings.Repeat("x", 500_000) + strings.Repeat("y", 500_000) + strings.Repeat("z", 100_000)})
			},
			func(n *tenant) { n.put("db", map[string]any{"value": "planted-db"}) },
			"UserInputValidationFailed", []string{"Secret db", "Too long"},
		},
		"no secretObjects": {
			func(n *tenant) {
				_, parameters, _ := strings.Cut(one, "  parameters:")
				n.class("db", "  provider: lanyard\n  parameters:"+parameters)
			}, nil,
			"UserInputValidationFailed", []string{"secretObjects: missing"},
		},
		"an immutable Secret": {
			func(n *tenant) {
				n.patch("Secret", "db", `{"immutable":true}`)
				n.put("db", map[string]any{"value": "planted-new"})
			}, func(n *tenant) { n.put("db", map[string]any{"value": "planted-db"}) },
			"UserInputValidationFailed", []string{"Secret db", "immutable"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := quiet(t)
			n.put("db", map[string]any{"value": "planted-db"})
			n.class("db", one)
			before := n.holds("db", map[string]string{"password": "planted-db"})
			was := n.state("db", "Synced", "")

			c.spoil(n)
			now := n.state("db", "Failed", c.reason, c.texts...)
			n.event(append([]string{"Warning " + c.reason}, c.texts[0])...)
			if now.Since.Before(was.Since) {
				t.Errorf("since %v, and before since %v", now.Since, was.Since)
			}
			n.passes(2)
			if after := n.secret("db"); after == nil || after.UID != before.UID || !maps.EqualFunc(after.Data, before.Data, func(a, b []byte) bool { return string(a) == string(b) }) {
				t.Errorf("the Secret did not stay as it was: %v", after)
			}
			if later := n.status("db"); !later.Since.Equal(now.Since) {
				t.Errorf("it fails since %v, and before that it said %v", later.Since, now.Since)
			}

			if c.fix != nil {
				c.fix(n)
			} else {
				n.class("db", one)
			}
			n.state("db", "Synced", "")
			n.holds("db", map[string]string{"password": "planted-db"})
		})
	}
}

func TestAServiceAccountThatIsMadeLater(t *testing.T) {
	n := quiet(t)
	n.must(n.vaultPut("later", "db", "planted"))
	n.apply(`
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: db, annotations: {lanyard.dev/sync: later}}
spec:` + strings.Replace(one, "/web/", "/later/", 1))
	n.state("db", "Failed", "UserInputValidationFailed", "there is no service account later in namespace "+n.namespace)
	n.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: later}\n")
	n.holds("db", map[string]string{"password": "planted"})
}

// One Secret that cannot be written keeps none of the others.
func TestSecretsOfOneClassDoNotHoldEachOther(t *testing.T) {
	n := quiet(t)
	n.put("db", map[string]any{"value": "planted"})
	untouched := n.foreign("b", nil)
	n.class("db", strings.Replace(one, "  - secretName: db", `
  - {secretName: a, data: [{objectName: password, key: a}]}
  - {secretName: b, data: [{objectName: password, key: b}]}
  - {secretName: c, data: [{objectName: nothing, key: c}]}
  - secretName: db`[1:], 1))
	n.holds("a", map[string]string{"a": "planted"})
	n.holds("db", map[string]string{"password": "planted"})
	n.state("db", "Failed", "SecretNotOwned", "Secret b is there already and is somebody else's", "Secret c: key c: the class makes no file nothing")
	untouched()
}

func TestAnOptionalObject(t *testing.T) {
	n := quiet(t)
	n.put("db", map[string]any{"value": "planted"})
	n.class("db", strings.NewReplacer("{objectName: password, key: password}", "{objectName: password, key: password}, {objectName: extra, key: extra}",
		"    objects: |", "    objects: |\n      - {path: extra, store: vault, key: secret/data/$namespace/web/extra, property: value, optional: true}").Replace(one))
	n.holds("db", map[string]string{"password": "planted"})
	n.put("extra", map[string]any{"value": "more"})
	n.holds("db", map[string]string{"password": "planted", "extra": "more"})
	n.remove("extra")
	n.holds("db", map[string]string{"password": "planted"})
	n.state("db", "Synced", "")
}

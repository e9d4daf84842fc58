package mount

import (
	"crypto/tls"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// One class with everything that a class can say.
func TestEveryFeatureReachesTheVolume(t *testing.T) {
	t.Parallel()
	eachDoor(t, quick(), func(t *testing.T, n *node) {
		n.preparePKI(t)
		web := n.pod(t, "shop", "web")
		n.put(t, "web/db", map[string]any{"user": "shop", "password": "first"})
		n.put(t, "web/db", map[string]any{"user": "shop", "password": "second", "ports": []int{5432, 6432}, "key": "aGVsbG8="})
		if err := os.WriteFile(filepath.Join(n.files, "licence"), []byte("licensed\x00to you"), 0o600); err != nil {
			t.Fatal(err)
		}

		versions := n.mounted(t, web, asWeb(`
- {path: db/password, store: vault, key: secret/data/web/db, property: password, mode: "0400"}
- {path: db/old-password, store: vault, key: secret/data/web/db, property: password, version: 1}
- {path: db/ports.json, store: vault, key: secret/data/web/db, property: "ports[?@ > `+"`6000`"+`]"}
- {path: decoded, store: vault, key: secret/data/web/db, property: key, encoding: base64}
- {path: whole.json, store: vault, key: secret/data/web/db, version: 1}
- {path: each, store: vault, key: secret/data/web/db, expand: true, mode: "0440"}
- {path: not/there, store: vault, key: secret/data/web/none, optional: true}
- {path: no-such-field, store: vault, key: secret/data/web/db, property: absent, optional: true}
- {path: licence, store: files, key: licence}
- {path: api-token, sealed: `+n.seal(t, web, "api-token", "sealed for web")+`}
- {path: tls.crt, store: vault, key: pki/issue/web, property: certificate, options: {method: POST, body: {common_name: web.shop.example}}}
- {path: tls.key, store: vault, key: pki/issue/web, property: private_key, options: {method: POST, body: {common_name: web.shop.example}}}
- {name: user, store: vault, key: secret/data/web/db, property: user}
- path: app.properties
  mode: "0640"
  template: |
    url=postgres://{{ .user }}:{{ index . "db/password" }}@db/app
`))

		got := web.holds(t)
		pair, err := tls.X509KeyPair([]byte(got["tls.crt"]), []byte(got["tls.key"]))
		if err != nil {
			t.Errorf("the certificate and its key: %v", err)
		} else if err := pair.Leaf.VerifyHostname("web.shop.example"); err != nil {
			t.Error(err)
		}
		if issued := n.proxy.Count(http.MethodPut, "pki/issue/") + n.proxy.Count(http.MethodPost, "pki/issue/"); issued != 1 {
			t.Errorf("the certificate and its key took %d requests, want 1", issued)
		}
		delete(got, "tls.crt")
		delete(got, "tls.key")
		want := map[string]string{
			"db/password":     "second",
			"db/old-password": "first",
			"db/ports.json":   "[6432]",
			"decoded":         "hello",
			"whole.json":      `{"password":"first","user":"shop"}`,
			"each/user":       "shop",
			"each/password":   "second",
			"each/ports":      "[5432,6432]",
			"each/key":        "aGVsbG8=",
			"licence":         "licensed\x00to you",
			"api-token":       "sealed for web",
			"app.properties":  "url=postgres://shop:second@db/app\n",
		}
		if !maps.Equal(got, want) {
			t.Errorf("the volume holds\n%q\nwant\n%q", got, want)
		}

		modes := web.modes(t)
		for path, want := range map[string]fs.FileMode{"db/password": 0o400, "each/user": 0o440, "app.properties": 0o640, "licence": 0o644} {
			if modes[path] != want {
				t.Errorf("%s has mode %o, want %o", path, modes[path], want)
			}
		}

		if n.once == nil {
			wantVersionsOfFeatures(t, versions)
		}
		if logins := n.proxy.Count("", "auth/jwt/login"); logins != 1 {
			t.Errorf("%d logins, want 1", logins)
		}
	})
}

// wantVersionsOfFeatures checks what only the driver is told.
func wantVersionsOfFeatures(t *testing.T, versions map[string]string) {
	t.Helper()
	ids := slices.Sorted(maps.Keys(versions))
	wantIDs := []string{"api-token", "app.properties", "db/old-password", "db/password", "db/ports.json", "decoded", "each", "licence", "no-such-field", "not/there", "tls.crt", "tls.key", "user", "whole.json"}
	if !slices.Equal(ids, wantIDs) {
		t.Errorf("versions of %v, want %v", ids, wantIDs)
	}
	if versions["not/there"] != "absent" || versions["no-such-field"] != "absent" {
		t.Errorf("the absent objects have versions %q and %q", versions["not/there"], versions["no-such-field"])
	}
	seen := map[string]string{}
	for id, version := range versions {
		if version == "absent" {
			continue
		}
		if len(version) != len("keyprint-")+32 || seen[version] != "" {
			t.Errorf("version %q of %s is no hash of its own; %s has the same", version, id, seen[version])
		}
		seen[version] = id
	}
}

// preparePKI makes a certificate authority at pki/ with the role web.
func (n *node) preparePKI(t *testing.T) {
	t.Helper()
	n.vault.Must(t, http.MethodPost, "sys/mounts/pki", map[string]any{"type": "pki"})
	n.vault.Must(t, http.MethodPost, "pki/root/generate/internal", map[string]any{"common_name": "test", "key_type": "ec", "key_bits": 256, "ttl": "24h"})
	n.vault.Must(t, http.MethodPost, "pki/roles/web", map[string]any{
		"allowed_domains": "shop.example", "allow_subdomains": true, "key_type": "ec", "key_bits": 256, "max_ttl": "1h",
	})
}

package vault_test

import (
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/keytest"
	"github.com/lanyardhq/lanyard/provider/key/vault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// quota is how Vault refuses what is beyond a rate limit quota.
const quota = `{"errors":["request path \"x\": rate limit quota exceeded"]}`

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	node  identity.Identity
	scope = key.Context{"cluster": "test", "namespace": "prod"}
)

// settings are those of the fake's key kms, as the node.
func (f *fakeTransit) settings(t *testing.T, more map[string]any) key.Settings {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret-id")
	if err := os.WriteFile(path, []byte("planted-secret-id\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fields := map[string]any{
		"address": f.URL, "key": "kms", "binding": "associatedData", "retries": 1,
		"auth": map[string]any{"method": "approle", "roleID": "r", "secretIDFile": path},
	}
	maps.Copy(fields, more)
	return key.Settings{Fields: fields, ByOperator: true}
}

func (f *fakeTransit) open(t *testing.T, more map[string]any) key.Key {
	t.Helper()
	opened, err := vault.NewType(vault.Options{}).Open(f.settings(t, more))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened
}

// The derived keys and those with a bound payload meet the contract against
// the real Vault in integration/keys.
func TestAssociatedDataMeetsTheContract(t *testing.T) {
	keytest.Run(t, func(t *testing.T) *keytest.Fixture {
		f := newFake(t)
		same := f.settings(t, map[string]any{"address": f.URL + "/", "mount": "transit"})
		return &keytest.Fixture{
			Type: vault.NewType(vault.Options{}), Settings: f.settings(t, nil), Other: f.settings(t, map[string]any{"key": "other"}), SameKey: &same,
			OtherCallers: map[string]identity.Identity{"a pod": {Namespace: "prod", ServiceAccount: "web"}},
			Rotate:       func(t *testing.T) { f.rotate(t, "kms") },
			Fail:         func(*testing.T) { f.Close() },
			Answers: &keytest.Answers{
				Settings: f.settings(t, map[string]any{"retries": 0}), Rewrite: f.Rewrite,
				// Vault alone knows its key, and an old one does not tell imported_key.
				Values: []string{"data.type", "data.latest_version", "data.ciphertext", "data.plaintext"}, Free: []string{"data.imported_key", "request_id"},
				Throttled: backendtest.Throttling{
					"encrypt": f.Way("/v1/transit/encrypt/", http.StatusTooManyRequests, quota), "login": f.Way("/v1/auth/", http.StatusTooManyRequests, quota),
					"overload": f.Way("/v1/transit/encrypt/", http.StatusServiceUnavailable, `{"errors":["overloaded, try again later"]}`),
				},
			},
			DetectsVersion:  true,
			InvalidSettings: map[string]key.Settings{"address key mount auth.method": {Fields: map[string]any{"mount": "/"}}},
			Planted:         []string{"planted-secret-id", "planted-token"},
		}
	})
}

func TestSettingsThatAreRefused(t *testing.T) {
	f := newFake(t)
	for name, test := range map[string]struct {
		more map[string]any
		want []string
	}{
		"no key":                  {map[string]any{"key": ""}, []string{"key: must be the name"}},
		"path for a key":          {map[string]any{"key": "../sys"}, []string{"key: must be the name"}},
		"path for a key, escaped": {map[string]any{"key": "a%2fb"}, []string{"key: must be the name"}},
		"mount with a query":      {map[string]any{"mount": "transit?x"}, []string{"mount: must be the path"}},
		"binding misspelled":      {map[string]any{"binding": "derivd"}, []string{"binding: ", "derived"}},
		"known as two words":      {map[string]any{"knownAs": "a b"}, []string{"knownAs: must be"}},
		"unknown field":           {map[string]any{"keyy": "a"}, []string{"keyy: ", "key"}},
		"several at once":         {map[string]any{"key": "", "timeout": "1ms", "binding": "x"}, []string{"key: ", "timeout: ", "binding: "}},
	} {
		t.Run(name, func(t *testing.T) {
			opened, err := vault.NewType(vault.Options{}).Open(f.settings(t, test.more))
			if err == nil {
				opened.Close()
				t.Fatal("Open took them")
			}
			for _, want := range test.want {
				if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want invalid with %q", err, want)
				}
			}
		})
	}
}

func TestARetiredKeyNeedsNoFiles(t *testing.T) {
	f := newFake(t)
	gone := f.settings(t, map[string]any{"address": "https://vault.example.com:8200", "knownAs": "prod", "tls": map[string]any{"caCertFile": "/nonexistent/ca.pem"}})
	if _, err := vault.NewType(vault.Options{}).Open(gone); !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "tls.caCertFile") {
		t.Errorf("a key that is used opens without them: %v", err)
	}
	gone.NameOnly = true
	opened, err := vault.NewType(vault.Options{}).Open(gone)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if same := f.open(t, map[string]any{"knownAs": "prod"}); opened.Name() != same.Name() {
		t.Errorf("it is %q, want %q", opened.Name(), same.Name())
	}
}

func TestKeysThatMustNotBeUsed(t *testing.T) {
	f := newFake(t)
	for name, test := range map[string]struct {
		about   map[string]any
		binding string
		want    string
	}{
		"convergent":                 {map[string]any{"derived": true, "convergent_encryption": true}, "derived", "convergently"},
		"RSA":                        {map[string]any{"type": "rsa-2048"}, "payload", "is of the type rsa-2048"},
		"signing":                    {map[string]any{"type": "ed25519"}, "payload", "is of the type ed25519"},
		"not derived":                {nil, "derived", "with derived=true"},
		"derived":                    {map[string]any{"derived": true, "convergent_encryption": false}, "payload", "set binding to derived"},
		"Vault without its versions": {map[string]any{"imported_key": nil}, "associatedData", "needs 1.13"},
	} {
		t.Run(name, func(t *testing.T) {
			f.add(t, "unfit", test.about)
			opened := f.open(t, map[string]any{"key": "unfit", "binding": test.binding})
			_, err := opened.Encrypt(t.Context(), node, secret.NewString("a"), scope)
			_, current := opened.Current(t.Context(), node)
			for _, err := range []error{err, current} {
				if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want invalid with %q", err, test.want)
				}
			}
			if f.calls["transit/encrypt/unfit"] != 0 {
				t.Error("Vault was asked to encrypt all the same")
			}
		})
	}
}

func TestAVaultThatIgnoresAssociatedDataIsRefused(t *testing.T) {
	f := newFake(t)
	opened := f.open(t, nil)
	f.answer = func(w http.ResponseWriter, path string) bool {
		if path != "transit/encrypt/kms" {
			return false
		}
		_, _ = w.Write([]byte(`{"request_id":"1","data":{"ciphertext":"vault:v1:` + strings.Repeat("A", 88) + `","key_version":1},"warnings":["Endpoint ignored these unrecognized parameters: [associated_data]"]}`))
		return true
	}
	if _, err := opened.Encrypt(t.Context(), node, secret.NewString("a"), scope); !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "1.13") {
		t.Errorf("error %v, want one that tells the version that is needed", err)
	}
}

func TestAnswersThatCannotBeTrusted(t *testing.T) {
	f := newFake(t)
	opened := f.open(t, nil)
	made, err := opened.Encrypt(t.Context(), node, secret.NewString("a"), scope)
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]string{
		"empty":                 ``,
		"not JSON":              `<html>`,
		"cut short":             `{"request_id":"1","data":{"plain`,
		"no data":               `{"request_id":"1"}`,
		"nothing in it":         `{"request_id":"1","data":{}}`,
		"empty values":          `{"request_id":"1","data":{"plaintext":"","ciphertext":"","key_version":0}}`,
		"wrong types":           `{"request_id":"1","data":{"plaintext":1,"ciphertext":[]}}`,
		"not base64":            `{"request_id":"1","data":{"plaintext":"%","ciphertext":"vault:v1:%","key_version":1}}`,
		"versions that differ":  `{"request_id":"1","data":{"plaintext":"%","ciphertext":"vault:v1:AAAA","key_version":2}}`,
		"set bits at the end":   `{"request_id":"1","data":{"plaintext":"AB==","ciphertext":"vault:v1:AB==","key_version":1}}`,
		"version with a zero":   `{"request_id":"1","data":{"plaintext":"%","ciphertext":"vault:v01:AAAA","key_version":1}}`,
		"more than the longest": `{"request_id":"1","data":{"plaintext":"` + strings.Repeat("\u0025", 9) + `","ciphertext":"vault:v1:` + strings.Repeat("AAAA", 3000) + `","key_version":1}}`,
	} {
		t.Run(name, func(t *testing.T) {
			f.answer = func(w http.ResponseWriter, _ string) bool { _, _ = w.Write([]byte(answer)); return true }
			again, err := opened.Encrypt(t.Context(), node, secret.NewString("a"), scope)
			if !errors.Is(err, fault.ErrUnavailable) || len(again.Data) != 0 {
				t.Errorf("Encrypt: %d bytes, error %v", len(again.Data), err)
			}
			plain, err := opened.Decrypt(t.Context(), node, made, scope)
			if !errors.Is(err, fault.ErrUnavailable) || plain.Len() != 0 {
				t.Errorf("Decrypt: %d bytes, error %v", plain.Len(), err)
			}
		})
	}
}

func TestTheKeyIsDescribedOnceAndNotForEachEncryption(t *testing.T) {
	f := newFake(t)
	opened := f.open(t, nil)
	for range 5 {
		if _, err := opened.Encrypt(t.Context(), node, secret.NewString("a"), scope); err != nil {
			t.Fatal(err)
		}
	}
	if f.calls["transit/keys/kms"] != 1 || f.calls["transit/encrypt/kms"] != 5 || f.calls["auth/approle/login"] != 1 {
		t.Errorf("calls %v, want one login, one description and five encryptions", f.calls)
	}
	if _, err := opened.Current(t.Context(), node); err != nil || f.calls["transit/keys/kms"] != 2 {
		t.Errorf("Current made %d calls, error %v", f.calls["transit/keys/kms"]-1, err)
	}
}

func TestTheNameStaysWhenVaultMoves(t *testing.T) {
	f := newFake(t)
	before := f.open(t, map[string]any{"knownAs": "https://old.example.com:8200"})
	other := f.open(t, map[string]any{"address": "https://new.example.com", "knownAs": "https://old.example.com:8200"})
	if want := "vault https://old.example.com:8200 - transit/keys/kms"; before.Name() != want || other.Name() != want {
		t.Errorf("names %q and %q, want %q", before.Name(), other.Name(), want)
	}
	team := f.open(t, map[string]any{"namespace": "team-a", "mount": "keys/transit"})
	if want := "vault " + f.URL + " team-a keys/transit/keys/kms"; team.Name() != want {
		t.Errorf("name %q, want %q", team.Name(), want)
	}
}

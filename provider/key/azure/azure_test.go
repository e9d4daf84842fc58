package azure_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/azure"
	"github.com/lanyardhq/lanyard/provider/key/keytest"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func TestMain(m *testing.M) { backendtest.Main(m) }

const (
	audience   = "api://AzureADTokenExchange"
	webClient  = "client-of-web"
	nodeClient = "client-of-node"
)

var (
	node  identity.Identity
	scope = key.Context{"cluster": "test", "namespace": "prod"}
)

// fixture is a vault whose keys the service account prod/web and the node may
// use, and a Managed HSM that is the same.
type fixture struct {
	azure  *azuretest.Server
	vault  *azuretest.Vault
	hsm    *azuretest.Vault
	issuer *identitytest.Issuer
	tokens []string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	server := azuretest.New(t)
	f := &fixture{azure: server, vault: server.Vault("kms-kv"), hsm: server.VaultAt("kms-hsm.managedhsm.azure.net"), issuer: server.NewIssuer(t)}
	server.Federate(webClient, azuretest.Federation{Issuer: azuretest.IssuerName, Subject: identitytest.Subject("prod/web"), Audience: audience})
	server.SetMachine(nodeClient)
	for _, vault := range []*azuretest.Vault{f.vault, f.hsm} {
		vault.Grant(webClient, "*")
		vault.Grant(nodeClient, "*")
	}
	for _, name := range []string{"kms", "other"} {
		f.rotate(t, name)
		f.rotateHSM(t, name)
	}
	return f
}

// rsaKeys are made once: making one takes long.
var rsaKeys = func() []*rsa.PrivateKey {
	made := make([]*rsa.PrivateKey, 8)
	for i := range made {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		made[i] = key
	}
	return made
}()

// rotate makes a new version of an RSA key; the key material may repeat.
func (f *fixture) rotate(t *testing.T, name string) string {
	t.Helper()
	random := []byte{0}
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	half := int(random[0]) % 4
	if name == "other" {
		half += 4
	}
	return f.vault.PutKey(name, rsaKeys[half])
}

// rotateHSM makes a new version of a symmetric key.
func (f *fixture) rotateHSM(t *testing.T, name string) string {
	t.Helper()
	plain := make([]byte, 32)
	if _, err := rand.Read(plain); err != nil {
		t.Fatal(err)
	}
	return f.hsm.PutKey(name, azuretest.AESKey(plain))
}

// pod is one of a service account, as "namespace/name".
func (f *fixture) pod(t *testing.T, account string) identity.Identity {
	t.Helper()
	namespace, name, _ := strings.Cut(account, "/")
	expires := time.Now().Add(time.Hour)
	token := f.issuer.Token(t, account, audience, expires)
	f.tokens = append(f.tokens, token)
	return identity.Identity{
		Namespace: namespace, ServiceAccount: name, Pod: name + "-1", PodUID: "uid-of-the-pod",
		Tokens: map[string]identity.Token{audience: {JWT: secret.NewString(token), Expires: expires}},
	}
}

// settings are those of the RSA key kms, with those of more in their place;
// nil takes one away.
func (f *fixture) settings(more map[string]any) key.Settings {
	fields := map[string]any{
		"vault": "kms-kv", "key": "kms", "endpoint": f.azure.Endpoint, "authorityHost": f.azure.Authority, "tenantID": azuretest.Tenant,
		"auth": map[string]any{"clientID": webClient}, "tls": map[string]any{"caCert": f.azure.CACert}, "retries": 1, "timeout": "1m",
	}
	maps.Copy(fields, more)
	maps.DeleteFunc(fields, func(_ string, value any) bool { return value == nil })
	return key.Settings{Fields: fields, ByOperator: true}
}

func (f *fixture) asNode(more map[string]any) key.Settings {
	settings := f.settings(map[string]any{"auth": map[string]any{"method": "managedIdentity", "metadataEndpoint": f.azure.Metadata}})
	maps.Copy(settings.Fields, more)
	maps.DeleteFunc(settings.Fields, func(_ string, value any) bool { return value == nil })
	return settings
}

var ofHSM = map[string]any{"vault": nil, "hsm": "kms-hsm", "algorithm": "A256KW"}

func open(t *testing.T, settings key.Settings) key.Key {
	t.Helper()
	opened, err := azure.NewType(azure.Options{}).Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened
}

func encrypt(t *testing.T, with key.Key) key.Ciphertext {
	t.Helper()
	made, err := with.Encrypt(t.Context(), node, secret.NewString("plaintext"), scope)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestKeyVaultMeetsTheContract(t *testing.T) {
	for name, test := range map[string]struct{ asPod, hsm bool }{
		"RSA, as the node": {false, false}, "HSM, as a pod": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			keytest.Run(t, func(t *testing.T) *keytest.Fixture {
				f := newFixture(t)
				of, rotate := map[string]any{}, f.rotate
				if test.hsm {
					of, rotate = ofHSM, f.rotateHSM
				}
				settings, as, login := f.asNode, node, "metadata"
				others := map[string]identity.Identity{"a pod": f.pod(t, "prod/web")}
				if test.asPod {
					settings, as, login = f.settings, f.pod(t, "prod/web"), "token"
					others = map[string]identity.Identity{"the node": node, "another service account": f.pod(t, "prod/other"), "another namespace": f.pod(t, "dev/web")}
				}
				other, same, broken := settings(of), settings(of), settings(of)
				other.Fields["key"] = "other"
				withoutRetries := settings(of)
				withoutRetries.Fields["retries"] = 0
				same.Fields["key"] = "KMS"
				maps.Copy(broken.Fields, map[string]any{"key": "kms/1", "algorithm": "RSA1_5", "timeout": "0s"})
				return &keytest.Fixture{
					Type: azure.NewType(azure.Options{}), Settings: settings(of), Other: other, SameKey: &same,
					Identity: as, OtherCallers: others, DetectsVersion: true,
					Rotate: func(t *testing.T) { rotate(t, "kms") },
					Fail:   func(*testing.T) { f.azure.Add(azuretest.Fault{Drop: true}) },
					Answers: &keytest.Answers{
						Settings: withoutRetries, Rewrite: f.azure.Rewrite, Throttled: f.azure.Throttling("wrapkey", login),
						Others: map[string]string{"/keys/kms": "/keys/other", "https://kms-": "https://other-"},
						OtherVersions: func(made key.Ciphertext) map[string]string {
							return map[string]string{made.Version: strings.Repeat("0f", 16)}
						},
					},
					InvalidSettings: map[string]key.Settings{"key algorithm timeout": broken},
					Planted:         f.tokens,
				}
			})
		})
	}
}

func TestTheVersionIsThatOfTheKeyIdentifier(t *testing.T) {
	f := newFixture(t)
	opened := open(t, f.asNode(nil))
	for range 3 {
		id := f.rotate(t, "kms")
		if made := encrypt(t, opened); made.Version != id {
			t.Errorf("version %q, want %q", made.Version, id)
		}
	}
}

func TestADisabledVersionSaysSo(t *testing.T) {
	f := newFixture(t)
	opened := open(t, f.asNode(nil))
	made := encrypt(t, opened)
	f.rotate(t, "kms")
	f.vault.Disable("keys/kms", made.Version)
	if _, err := opened.Decrypt(t.Context(), node, made, scope); !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "is disabled; enable it") {
		t.Errorf("error %v", err)
	}
	f.vault.Delete("keys/kms")
	if _, err := opened.Decrypt(t.Context(), node, made, scope); !errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), "recover it") {
		t.Errorf("error %v", err)
	}
}

func TestTheWrongAlgorithmIsNoAnswer(t *testing.T) {
	f := newFixture(t)
	opened := open(t, f.asNode(map[string]any{"algorithm": "A256KW"}))
	if made, err := opened.Encrypt(t.Context(), node, secret.NewString("a"), scope); !errors.Is(err, fault.ErrInvalid) || len(made.Data) != 0 {
		t.Errorf("%d bytes, error %v", len(made.Data), err)
	}
}

func TestAnswersThatCannotBeTrusted(t *testing.T) {
	f := newFixture(t)
	opened := open(t, f.asNode(map[string]any{"retries": 1}))
	made := encrypt(t, opened)
	kid := "https://kms-kv.vault.azure.net/keys/kms/" + made.Version
	for name, body := range map[string]string{
		"empty":              ``,
		"no fields":          `{}`,
		"no key identifier":  `{"value":"AAAA"}`,
		"no value":           `{"kid":"` + kid + `"}`,
		"another key":        `{"kid":"https://kms-kv.vault.azure.net/keys/other/` + made.Version + `","value":"AAAA"}`,
		"another vault":      `{"kid":"https://other.vault.azure.net/keys/kms/` + made.Version + `","value":"AAAA"}`,
		"no version":         `{"kid":"https://kms-kv.vault.azure.net/keys/kms","value":"AAAA"}`,
		"HTML":               `<html>`,
		"value of a type":    `{"kid":"` + kid + `","value":7}`,
		"value not base64":   `{"kid":"` + kid + `","value":"%%%"}`,
		"far too long value": `{"kid":"` + kid + `x","value":"` + strings.Repeat("A", 9000) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			repair := f.azure.Add(azuretest.Fault{Action: "wrapkey", Body: body})
			defer repair()
			if body == "" {
				repair()
				repair = f.azure.Add(azuretest.Fault{Action: "wrapkey", Truncate: true})
				defer repair()
			}
			again, err := opened.Encrypt(t.Context(), node, secret.NewString("a"), scope)
			if !errors.Is(err, fault.ErrUnavailable) || len(again.Data) != 0 {
				t.Errorf("Encrypt: %d bytes, error %v", len(again.Data), err)
			}
			if name == "another vault" && !strings.Contains(err.Error(), "a key at other.vault.azure.net, and the one that was asked for is at kms-kv.vault.azure.net") {
				t.Errorf("the hosts are not named: %v", err)
			}
		})
	}
	repair := f.azure.Add(azuretest.Fault{Action: "unwrapkey", Body: `{"kid":"` + kid + `","value":"AAAA"}`})
	if plain, err := opened.Decrypt(t.Context(), node, made, scope); !errors.Is(err, fault.ErrUnavailable) || plain.Len() != 0 {
		t.Errorf("a data key that is short: %d bytes, error %v", plain.Len(), err)
	}
	repair()
	if plain, err := opened.Decrypt(t.Context(), node, made, scope); err != nil || !bytes.Equal(plain.Reveal(), []byte("plaintext")) {
		t.Errorf("after the repair: %d bytes, error %v", plain.Len(), err)
	}
}

package gcp_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/grpc/codes"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/backend/gcp/gcptest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/gcp"
	"github.com/lanyardhq/lanyard/provider/key/keytest"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func TestMain(m *testing.M) { backendtest.Main(m) }

const (
	pool    = "shop.svc.id.goog"
	account = "kms@shop.iam.gserviceaccount.com"
	kmsName = "projects/shop/locations/europe-west3/keyRings/lanyard/cryptoKeys/kms"
)

var (
	node     identity.Identity
	scope    = key.Context{"cluster": "test", "namespace": "prod"}
	audience = gcptest.GKE("shop", "europe-west3", "one")
)

// cloud is a Google Cloud with one cluster, whose service account web in the
// namespace prod, and whose node, may use all keys of the project shop.
type cloud struct {
	*gcptest.Server
	issuer *identitytest.Issuer
	tokens []string
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{Server: gcptest.New(t)}
	c.issuer = c.NewIssuer(t)
	c.PutProvider(audience, gcptest.Provider{Pool: pool, Issuer: gcptest.IssuerName, TokenAudience: pool})
	c.Grant("projects/shop", gcptest.Workload(pool, "prod", "web"))
	c.PutAccount(account)
	c.SetNode(account, "shop", "europe-west3", "one")
	c.Grant("projects/shop", gcptest.Account(account))
	c.PutKey(kmsName)
	return c
}

// pod is one of a service account with its token.
func (c *cloud) pod(t *testing.T, namespace, name string) identity.Identity {
	t.Helper()
	expires := time.Now().Add(time.Hour)
	token := c.issuer.Token(t, namespace+"/"+name, pool, expires)
	c.tokens = append(c.tokens, token)
	return identity.Identity{
		Namespace: namespace, ServiceAccount: name, Pod: name + "-0", PodUID: "u0",
		Tokens: map[string]identity.Token{pool: {JWT: secret.NewString(token), Expires: expires}},
	}
}

// asPod and asNode are settings of a key.
func (c *cloud) asPod(name string, more map[string]any) key.Settings {
	fields := c.Settings(audience)
	delete(fields, "regionalEndpoint")
	delete(fields, "parameters")
	maps.Copy(fields, map[string]any{"key": name, "retries": 1, "timeout": "1m"})
	maps.Copy(fields, more)
	return key.Settings{Fields: fields, ByOperator: true}
}

func (c *cloud) asNode(name string, more map[string]any) key.Settings {
	settings := c.asPod(name, map[string]any{"auth": map[string]any{"method": "metadata", "metadataEndpoint": c.Identity}})
	maps.Copy(settings.Fields, more)
	return settings
}

func open(t *testing.T, settings key.Settings) key.Key {
	t.Helper()
	opened, err := gcp.NewType(gcp.Options{}).Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened
}

func TestCloudKMSMeetsTheContract(t *testing.T) {
	for _, asPod := range []bool{true, false} {
		t.Run(fmt.Sprintf("as a pod %t", asPod), func(t *testing.T) {
			keytest.Run(t, func(t *testing.T) *keytest.Fixture {
				c := newCloud(t)
				settings, as, login := c.asNode, node, "metadata"
				others := map[string]identity.Identity{"a pod": c.pod(t, "prod", "web")}
				if asPod {
					settings, as, login = c.asPod, c.pod(t, "prod", "web"), "token"
					others = map[string]identity.Identity{"the node": node, "another service account": c.pod(t, "prod", "other"), "another namespace": c.pod(t, "dev", "web")}
				}
				const other = "projects/shop/locations/europe-west3/keyRings/lanyard/cryptoKeys/other"
				c.PutKey(other)
				same := settings(kmsName, map[string]any{"endpoint": c.Endpoint + "/"})
				return &keytest.Fixture{
					Type: gcp.NewType(gcp.Options{}), Settings: settings(kmsName, nil), Other: settings(other, nil), SameKey: &same,
					Identity: as, OtherCallers: others,
					Rotate: func(*testing.T) { c.PutKey(kmsName) },
					Fail:   func(*testing.T) { c.Stop() },
					Answers: &keytest.Answers{
						Settings: settings(kmsName, map[string]any{"retries": 0}), Rewrite: c.Rewrite, Throttled: c.Throttling("Encrypt", login),
						Free:   []string{"protectionLevel", "usedPrimary"},
						Others: map[string]string{kmsName: other, "/shop/": "/elsewhere/"},
					},
					InvalidSettings: map[string]key.Settings{"key timeout retries": settings("kms", map[string]any{"timeout": "1ns", "retries": 100})},
					Planted:         append(c.tokens, "ya29."),
				}
			})
		})
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	c := newCloud(t)
	for name, test := range map[string]struct {
		settings key.Settings
		want     string
	}{
		"a version":               {c.asNode(kmsName+"/cryptoKeyVersions/1", nil), "key: must be the resource name"},
		"a key ring":              {c.asNode("projects/shop/locations/europe-west3/keyRings/lanyard", nil), "key: must be the resource name"},
		"a path out":              {c.asNode("projects/shop/locations/../keyRings/a/cryptoKeys/b", nil), "key: must be the resource name"},
		"the node's own by class": {key.Settings{Fields: c.asNode(kmsName, nil).Fields}, "auth.method: "},
		"unknown field":           {c.asNode(kmsName, map[string]any{"keyring": "a"}), "keyring: "},
	} {
		t.Run(name, func(t *testing.T) {
			opened, err := gcp.NewType(gcp.Options{}).Open(test.settings)
			if err == nil {
				opened.Close()
			}
			if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want invalid with %q", err, test.want)
			}
		})
	}
}

// Whatever is damaged on its way is never taken for what was sent.
func TestDamagedAnswersAreNotUsed(t *testing.T) {
	for name, broken := range map[string]gcptest.Fault{
		"corrupt": {Corrupt: true}, "without checksums": {Unchecked: true}, "empty": {Empty: true}, "of another key": {Other: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			opened := open(t, c.asNode(kmsName, nil))
			made, err := opened.Encrypt(t.Context(), node, secret.NewString("plaintext"), scope)
			if err != nil {
				t.Fatal(err)
			}
			repair := c.Add(broken)
			again, err := opened.Encrypt(t.Context(), node, secret.NewString("plaintext"), scope)
			if !errors.Is(err, fault.ErrUnavailable) || len(again.Data) != 0 {
				t.Errorf("Encrypt: %d bytes, error %v", len(again.Data), err)
			}
			if !broken.Other {
				plain, err := opened.Decrypt(t.Context(), node, made, scope)
				if !errors.Is(err, fault.ErrUnavailable) || plain.Len() != 0 {
					t.Errorf("Decrypt: %d bytes, error %v", plain.Len(), err)
				}
			}
			repair()
			if plain, err := opened.Decrypt(t.Context(), node, made, scope); err != nil || plain.RevealString() != "plaintext" {
				t.Errorf("Decrypt after the repair: %d bytes, error %v", plain.Len(), err)
			}
		})
	}
}

func TestStatesOfAVersionSayWhatToDo(t *testing.T) {
	for state, test := range map[kmspb.CryptoKeyVersion_CryptoKeyVersionState]struct {
		kind error
		want string
	}{
		kmspb.CryptoKeyVersion_DISABLED:          {fault.ErrInvalid, "versions enable"},
		kmspb.CryptoKeyVersion_DESTROY_SCHEDULED: {fault.ErrInvalid, "versions restore"},
		kmspb.CryptoKeyVersion_DESTROYED:         {fault.ErrNotFound, "is lost"},
	} {
		t.Run(state.String(), func(t *testing.T) {
			c := newCloud(t)
			opened := open(t, c.asNode(kmsName, nil))
			made, err := opened.Encrypt(t.Context(), node, secret.NewString("plaintext"), scope)
			if err != nil {
				t.Fatal(err)
			}
			c.PutKey(kmsName)
			c.SetKeyState(kmsName, 1, state)
			if _, err := opened.Decrypt(t.Context(), node, made, scope); !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %v with %q", err, test.kind, test.want)
			}
			if version, err := opened.Current(t.Context(), node); err != nil || version != "2" {
				t.Errorf("Current = %q, %v", version, err)
			}
		})
	}
}

func TestFailuresAreOfTheRightKind(t *testing.T) {
	for code, kind := range map[codes.Code]error{
		codes.Unavailable: fault.ErrUnavailable, codes.ResourceExhausted: fault.ErrUnavailable, codes.Internal: fault.ErrUnavailable,
		codes.DeadlineExceeded: fault.ErrUnavailable, codes.PermissionDenied: fault.ErrDenied, codes.NotFound: fault.ErrNotFound,
		codes.InvalidArgument: fault.ErrInvalid, codes.Unimplemented: fault.ErrInvalid, codes.Unauthenticated: fault.ErrUnauthenticated,
	} {
		t.Run(code.String(), func(t *testing.T) {
			c := newCloud(t)
			opened := open(t, c.asNode(kmsName, map[string]any{"retries": 1}))
			c.Add(gcptest.Fault{Method: "Encrypt", Code: code, Message: "a fault of the test"})
			if _, err := opened.Current(t.Context(), node); !errors.Is(err, kind) || !strings.Contains(err.Error(), kmsName) {
				t.Errorf("error %v, want %v with the key", err, kind)
			}
		})
	}
}

func TestARevokedTokenIsReplaced(t *testing.T) {
	c := newCloud(t)
	opened := open(t, c.asNode(kmsName, nil))
	for range 2 {
		if _, err := opened.Current(t.Context(), node); err != nil {
			t.Fatal(err)
		}
		c.RevokeTokens()
	}
	if n := c.Calls("metadata"); n < 2 {
		t.Errorf("%d access tokens, want another after the first was revoked", n)
	}
}

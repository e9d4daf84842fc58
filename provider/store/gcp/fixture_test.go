package gcp_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/backend/gcp/gcptest"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/gcp"
)

// The tests wait for bounds on time more than they compute.
func TestMain(m *testing.M) { backendtest.Main(m) }

const (
	pool    = "shop.svc.id.goog"
	project = "projects/shop"
)

// audience is that of the exchange for the test's cluster.
var audience = gcptest.GKE("shop", "europe-west3", "one")

// cloud is a Google Cloud with one cluster, whose service account web in the
// namespace prod may read the secrets of the project shop.
type cloud struct {
	*gcptest.Server
	issuer *identitytest.Issuer
	web    identity.Identity
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{Server: gcptest.New(t)}
	c.issuer = c.NewIssuer(t)
	c.PutProvider(audience, gcptest.Provider{Pool: pool, Issuer: gcptest.IssuerName, TokenAudience: pool})
	c.Grant(project, gcptest.Workload(pool, "prod", "web"))
	c.web = c.pod(t, "web", pool)
	return c
}

// pod is one of a service account in prod with a token for the audience.
func (c *cloud) pod(t *testing.T, account, audience string) identity.Identity {
	t.Helper()
	expires := time.Now().Add(time.Hour)
	token := c.issuer.Token(t, "prod/"+account, audience, expires)
	return identity.Identity{
		Namespace: "prod", ServiceAccount: account, Pod: account + "-0", PodUID: "u0",
		Tokens: map[string]identity.Token{audience: {JWT: secret.NewString(token), Expires: expires}},
	}
}

// settings are those of the operator for the cloud's store.
func (c *cloud) settings(change func(fields, auth map[string]any)) store.Settings {
	fields := c.Settings(audience)
	auth, _ := fields["auth"].(map[string]any)
	change(fields, auth)
	return store.Settings{Fields: fields, ByOperator: true}
}

func unchanged(map[string]any, map[string]any) {}

// open opens a store until the test ends.
func (c *cloud) open(t *testing.T, opts gcp.Options, change func(fields, auth map[string]any)) store.Store {
	t.Helper()
	opened, err := gcp.NewType(opts).Open(c.settings(change))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened
}

// read reads with a deadline like that of a mount.
func read(t *testing.T, s store.Store, as identity.Identity, ref store.Reference) (store.Value, error) {
	t.Helper()
	if err := s.Check(ref); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	return s.Read(ctx, as, ref)
}

func wantValue(t *testing.T, s store.Store, as identity.Identity, ref store.Reference, want string) store.Value {
	t.Helper()
	value, err := read(t, s, as, ref)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(value.Data.Reveal()); got != want {
		t.Errorf("Read = %q, want %q", got, want)
	}
	return value
}

// wantError checks an error's kind and text, and that no token is in it.
func wantError(t *testing.T, err, kind error, says ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("error %v is not %q", err, kind)
		return
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
	for _, part := range []string{"ya29.", "eyJ", "PRIVATE KEY-----\n"} {
		if strings.Contains(err.Error(), part) {
			t.Errorf("error %q shows a token or key", err)
		}
	}
}

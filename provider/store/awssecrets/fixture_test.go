package awssecrets_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/awssecrets"
)

// The tests wait for bounds on time more than they compute.
func TestMain(m *testing.M) { backendtest.Main(m) }

const (
	ireland   = "eu-west-1"
	frankfurt = "eu-central-1"
)

// fixture is an AWS with a role for the service account prod/web, and the type
// over it.
type fixture struct {
	*awstest.Server
	issuer *identitytest.Issuer
	typ    *awssecrets.Type
	role   string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	server := awstest.New(t)
	platform := aws.New(aws.Options{})
	t.Cleanup(platform.Close)
	return &fixture{
		Server: server, issuer: server.NewIssuer(t), typ: awssecrets.NewType(platform),
		role: server.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}, Reads: []string{"*"}}),
	}
}

// pod is a pod of a service account with its token for STS.
func (f *fixture) pod(t *testing.T, account string) identity.Identity {
	t.Helper()
	namespace, name, _ := strings.Cut(account, "/")
	expires := time.Now().Add(time.Hour)
	return identity.Identity{
		Cluster: "test", Namespace: namespace, ServiceAccount: name, Pod: name + "-0", PodUID: "uid-" + name,
		Tokens: map[string]identity.Token{"sts.amazonaws.com": {JWT: secret.NewString(f.issuer.Token(t, account, "sts.amazonaws.com", expires)), Expires: expires}},
	}
}

// settings are those of the role in Ireland, changed by change.
func (f *fixture) settings(change func(fields, auth map[string]any)) store.Settings {
	auth := map[string]any{"role": f.role, "stsEndpoint": f.URL}
	fields := map[string]any{"region": ireland, "endpoint": f.URL, "timeout": "1m", "auth": auth}
	if change != nil {
		change(fields, auth)
	}
	return store.Settings{Fields: fields, ByOperator: true}
}

func (f *fixture) open(t *testing.T, change func(fields, auth map[string]any)) store.BatchReader {
	t.Helper()
	opened, err := f.typ.Open(f.settings(change))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened.(store.BatchReader)
}

func mustRead(t *testing.T, s store.Store, as identity.Identity, ref store.Reference) store.Value {
	t.Helper()
	if err := s.Check(ref); err != nil {
		t.Fatalf("Check: %v", err)
	}
	value, err := s.Read(t.Context(), as, ref)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return value
}

// wantFailure checks the kind of an error and what it must tell.
func wantFailure(t *testing.T, err, kind error, texts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("error %v, want the kind %q", err, kind)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
}

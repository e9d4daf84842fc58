package awssecrets_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/awssecrets"
)

// A private endpoint or a proxy that ends TLS has a certificate of one's own
// authority. It holds for STS as for the service, and credentials that were had from
// whom one store trusts are not those of a store that trusts others.
func TestEndpointsWithAnAuthorityOfOnesOwn(t *testing.T) {
	server, platform := awstest.NewTLS(t), aws.New(aws.Options{})
	t.Cleanup(platform.Close)
	f := &fixture{
		Server: server, issuer: server.NewIssuer(t), typ: awssecrets.NewType(platform),
		role: server.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}, Reads: []string{"*"}}),
	}
	f.PutSecret(ireland, "db", "hunter2")
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, []byte(f.Authority), 0o600); err != nil {
		t.Fatal(err)
	}
	web, db := f.pod(t, "prod/web"), store.Reference{Key: "db"}
	trusting := func(tls map[string]any) store.Store {
		return f.open(t, func(fields, _ map[string]any) { fields["tls"], fields["retries"] = tls, 0 })
	}
	for name, tls := range map[string]map[string]any{"text": {"caCert": f.Authority}, "file": {"caCertFile": file}, "directory": {"caCertDir": filepath.Dir(file)}} {
		if value := mustRead(t, trusting(tls), web, db); value.Data.RevealString() != "hunter2" {
			t.Errorf("%s: another value was read", name)
		}
	}
	_, err := trusting(nil).Read(t.Context(), web, db)
	wantFailure(t, err, fault.ErrUnavailable, "AssumeRoleWithWebIdentity", "unknown authority", "give that in tls.caCert")
}

func TestFilesOfAuthoritiesAreTheOperatorsAlone(t *testing.T) {
	f := newFixture(t)
	given := f.settings(func(fields, _ map[string]any) { fields["tls"] = map[string]any{"caCertFile": "/etc/ca.crt"} })
	given.ByOperator = false
	_, err := f.typ.Open(given)
	wantFailure(t, err, fault.ErrInvalid, "tls.caCertFile: reads a file of the node")
	given = f.settings(func(fields, _ map[string]any) { fields["tls"] = map[string]any{"insecureSkipVerify": true} })
	_, err = f.typ.Open(given)
	wantFailure(t, err, fault.ErrInvalid, "tls.insecureSkipVerify: has no place here")
}

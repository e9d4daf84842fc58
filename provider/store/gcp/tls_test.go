package gcp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/gcp/gcptest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/gcp"
)

func TestEndpointsWithAnAuthorityOfOnesOwn(t *testing.T) {
	c := &cloud{Server: gcptest.NewTLS(t)}
	c.issuer = c.NewIssuer(t)
	c.PutProvider(audience, gcptest.Provider{Pool: pool, Issuer: gcptest.IssuerName, TokenAudience: pool})
	c.Grant(project, gcptest.Workload(pool, "prod", "web"))
	c.web = c.pod(t, "web", pool)
	c.Put(db, []byte("one"))

	settings := func(tls map[string]any) func(fields, auth map[string]any) {
		return func(fields, _ map[string]any) { fields["tls"], fields["retries"] = tls, 0 }
	}
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, []byte(c.Authority), 0o600); err != nil {
		t.Fatal(err)
	}
	wantValue(t, c.open(t, gcp.Options{}, settings(map[string]any{"caCert": c.Authority})), c.web, store.Reference{Key: db}, "one")
	wantValue(t, c.open(t, gcp.Options{}, settings(map[string]any{"caCertFile": file})), c.web, store.Reference{Key: db}, "one")

	// Nobody else's certificate will do, at the identity services to begin with.
	for name, tls := range map[string]map[string]any{"the system's": {}, "another": {"caCert": anotherAuthority(t)}} {
		t.Run(name, func(t *testing.T) {
			before := c.Calls("token")
			_, err := read(t, c.open(t, gcp.Options{}, settings(tls)), c.web, store.Reference{Key: db})
			wantError(t, err, fault.ErrUnavailable, "certificate signed by unknown authority", "give that in tls.caCert")
			if c.Calls("token") != before {
				t.Error("a token was sent to a server that is not trusted")
			}
		})
	}
}

// anotherAuthority has signed no certificate of the cloud's.
func anotherAuthority(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	made, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made}))
}

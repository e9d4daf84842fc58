package remote

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// pair writes a client certificate that ends at a time, followed by another one, and its key.
func pair(t *testing.T, certificate, key string, ends time.Time) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(path string, blocks ...pem.Block) {
		var content []byte
		for _, block := range blocks {
			content = append(content, pem.EncodeToMemory(&block)...)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made := func(ends time.Time) pem.Block {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: ends.Add(-time.Hour), NotAfter: ends}
		raw, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
		if err != nil {
			t.Fatal(err)
		}
		return pem.Block{Type: "CERTIFICATE", Bytes: raw}
	}
	write(certificate, made(ends), made(ends.Add(24*time.Hour)))
	write(key, pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

func TestClientCertificatesTellTheirEndWhileConnectionsUseThem(t *testing.T) {
	directory := t.TempDir()
	certificate, key := filepath.Join(directory, "c.pem"), filepath.Join(directory, "k.pem")
	ends := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	pair(t, certificate, key, ends)
	calls := NewCalls(1)
	want := func(when string, ends time.Time) {
		t.Helper()
		text := ""
		if !ends.IsZero() {
			text = fmt.Sprintf(`# HELP lanyard_client_certificate_expiry_timestamp_seconds When the client certificate of a file of the configuration ends; without a value while the file cannot be read.
# TYPE lanyard_client_certificate_expiry_timestamp_seconds gauge
lanyard_client_certificate_expiry_timestamp_seconds{file=%[1]q} %[2]d
# HELP lanyard_client_certificate_start_timestamp_seconds From when the client certificate of a file of the configuration is valid; without a value while the file cannot be read.
# TYPE lanyard_client_certificate_start_timestamp_seconds gauge
lanyard_client_certificate_start_timestamp_seconds{file=%[1]q} %[3]d
`, certificate, ends.Unix(), ends.Add(-time.Hour).Unix())
		}
		if err := testutil.CollectAndCompare(calls.Certificates, strings.NewReader(text)); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	want("before a connection", time.Time{})
	transports := NewTransports(Options{Calls: calls})
	_, first, err := transports.Acquire(Route{TLS: TLS{ClientCertFile: certificate, ClientKeyFile: key}})
	if err != nil {
		t.Fatal(err)
	}
	_, second, err := transports.Acquire(Route{TLS: TLS{ClientCertFile: certificate, ClientKeyFile: key}, Address: "a:1", Endpoint: "b:2"})
	if err != nil {
		t.Fatal(err)
	}
	_, none, err := transports.Acquire(Route{})
	if err != nil {
		t.Fatal(err)
	}
	defer none()
	want("in use", ends)
	pair(t, certificate, key, ends.Add(time.Hour))
	want("renewed on disk", ends.Add(time.Hour))
	first()
	want("in use by another", ends.Add(time.Hour))
	for what, content := range map[string]string{"no certificate": "none", "broken": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if err := os.WriteFile(certificate, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		want(what, time.Time{})
	}
	pair(t, certificate, key, ends)
	second()
	want("after the last connection", time.Time{})
}

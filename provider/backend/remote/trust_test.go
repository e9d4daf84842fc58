package remote

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// must returns the value for who hands it the test.
func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// signer is an authority, and a server's certificate for 127.0.0.1 and
// localhost that it has signed.
type signer struct {
	pem    []byte
	server tls.Certificate
}

func newSigner(t *testing.T) signer {
	t.Helper()
	var key [2]*ecdsa.PrivateKey
	for i := range key {
		key[i] = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &key[0].PublicKey, key[0]))(t)
	issuer := must(x509.ParseCertificate(der))(t)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"}, NotBefore: template.NotBefore, NotAfter: template.NotAfter,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed := must(x509.CreateCertificate(rand.Reader, leaf, issuer, &key[1].PublicKey, key[0]))(t)
	return signer{
		pem:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		server: tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key[1]},
	}
}

// rotating is a server whose certificate changes, and the files of authorities.
type rotating struct {
	*testing.T
	server        *httptest.Server
	current       atomic.Pointer[signer]
	file          string
	first, second signer
}

func rotate(t *testing.T) *rotating {
	r := &rotating{T: t, first: newSigner(t), second: newSigner(t), file: filepath.Join(t.TempDir(), "ca.pem")}
	r.current.Store(&r.first)
	r.write(r.first.pem)
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	r.server.EnableHTTP2 = true
	r.server.TLS = r.serverTLS()
	r.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	r.server.StartTLS()
	t.Cleanup(r.server.Close)
	return r
}

// serverTLS shows the current certificate, whatever name the client says.
func (r *rotating) serverTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{r.current.Load().server}, NextProtos: []string{"h2", "http/1.1"}}, nil
	}}
}

func (r *rotating) write(content []byte) {
	r.Helper()
	if err := os.WriteFile(r.file, content, 0o600); err != nil {
		r.Fatal(err)
	}
}

// get makes a call over a new connection and returns the protocol.
func (r *rotating) get(trust *Trust, host string) (string, error) {
	dialer := &net.Dialer{}
	transport := &http.Transport{DialContext: dialer.DialContext, DialTLSContext: trust.DialTLS(dialer.DialContext), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	_, port, _ := net.SplitHostPort(r.server.Listener.Addr().String())
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "https://"+net.JoinHostPort(host, port), nil)
	if err != nil {
		return "", err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func (r *rotating) wantTrusted(trust *Trust, host string) {
	r.Helper()
	if proto, err := r.get(trust, host); err != nil || proto != "HTTP/2.0" {
		r.Errorf("%s: %s, %v; want an answer over HTTP/2", host, proto, err)
	}
}

func (r *rotating) wantUnknown(trust *Trust) {
	r.Helper()
	var unknown x509.UnknownAuthorityError
	if _, err := r.get(trust, "127.0.0.1"); !errors.As(err, &unknown) {
		r.Errorf("%v, want an unknown authority", err)
	}
}

func TestAChangedFileOfAuthoritiesHoldsForTheNextHandshake(t *testing.T) {
	r := rotate(t)
	for name, source := range map[string]Source{"file": {File: r.file}, "directory": {Directory: filepath.Dir(r.file)}} {
		t.Run(name, func(t *testing.T) {
			r.T = t
			r.current.Store(&r.first)
			r.write(r.first.pem)
			trust := must(newTrust(&tls.Config{MinVersion: tls.VersionTLS12}, source))(t)
			r.wantTrusted(trust, "127.0.0.1")
			r.wantTrusted(trust, "localhost")

			r.current.Store(&r.second)
			r.wantUnknown(trust)
			r.write(r.second.pem)
			r.wantTrusted(trust, "127.0.0.1")
			r.current.Store(&r.first)
			r.wantUnknown(trust)
		})
	}
}

func TestFilesThatCannotBeUsedLeaveWhatWasTrusted(t *testing.T) {
	r := rotate(t)
	trust := must(newTrust(&tls.Config{MinVersion: tls.VersionTLS12}, Source{File: r.file}))(t)
	r.write([]byte("no certificate"))
	r.wantTrusted(trust, "127.0.0.1")
	if err := os.Remove(r.file); err != nil {
		t.Fatal(err)
	}
	r.wantTrusted(trust, "127.0.0.1")
	r.current.Store(&r.second)
	r.wantUnknown(trust)
}

func TestTheNameIsCheckedToo(t *testing.T) {
	r := rotate(t)
	trust := must(newTrust(&tls.Config{MinVersion: tls.VersionTLS12, ServerName: "vault.example.com"}, Source{File: r.file}))(t)
	var name x509.HostnameError
	if _, err := r.get(trust, "127.0.0.1"); !errors.As(err, &name) {
		t.Errorf("%v, want a wrong name", err)
	}
}

func TestWhatIsNoAuthorityIsRefusedAtTheStart(t *testing.T) {
	directory := t.TempDir()
	file := filepath.Join(directory, "ca.pem")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, source := range map[string]Source{
		"holds no certificate in PEM":         {File: file},
		"no file in " + directory + " holds":  {Directory: directory},
		"no such file":                        {File: file + "x"},
		"-----BEGIN CERTIFICATE-----":         {PEM: "no certificate"},
		"open " + directory + "x: no such fi": {Directory: directory + "x"},
	} {
		if _, err := newTrust(&tls.Config{MinVersion: tls.VersionTLS12}, source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", source, err, want)
		}
	}
}

func TestCredentialsFollowTheFileToo(t *testing.T) {
	r := rotate(t)
	trust := must(newTrust(&tls.Config{MinVersion: tls.VersionTLS12}, Source{File: r.file}))(t)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(r.serverTLS())))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	listener := must(new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"))(t)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	ask := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		conn := must(grpc.NewClient("passthrough:///"+listener.Addr().String(), grpc.WithTransportCredentials(trust.Credentials())))(t)
		defer conn.Close()
		_, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	r.current.Store(&r.second)
	if err := ask(); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("%v, want an unknown authority", err)
	}
	r.write(r.second.pem)
	if err := ask(); err != nil {
		t.Error(err)
	}
}

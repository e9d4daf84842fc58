// Package proxytest is an HTTP proxy for tests, which opens connections with CONNECT
// and notes them.
package proxytest

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// Proxy is a running proxy.
type Proxy struct {
	// URL is the proxy's, and CACertFile the authority of one with TLS.
	URL, CACertFile string
	// Route, if set, is where the proxy connects to for a host and port that was asked
	// for; an empty answer refuses with 403.
	Route func(address string) string
	// Authorization, if set, is the header that each request must have.
	Authorization string

	mu        sync.Mutex
	requested []string
}

// Start runs a proxy in plain text until the test ends.
func Start(t testing.TB) *Proxy {
	t.Helper()
	p := &Proxy{}
	server := httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(server.Close)
	p.URL = server.URL
	return p
}

// StartTLS runs a proxy with TLS until the test ends.
func StartTLS(t testing.TB) *Proxy {
	t.Helper()
	p := &Proxy{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	server.TLS = &tls.Config{NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	p.URL, p.CACertFile = server.URL, filepath.Join(t.TempDir(), "proxy.pem")
	if err := os.WriteFile(p.CACertFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// Requested are the hosts and ports that connections were requested to, without repetitions.
func (p *Proxy) Requested() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(p.requested)))
}

func (p *Proxy) serve(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodConnect {
		http.Error(w, "CONNECT alone is served", http.StatusMethodNotAllowed)
		return
	}
	if p.Authorization != "" && req.Header.Get("Proxy-Authorization") != p.Authorization {
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	p.mu.Lock()
	p.requested = append(p.requested, req.Host)
	p.mu.Unlock()
	target := req.Host
	if p.Route != nil {
		target = p.Route(req.Host)
	}
	if target == "" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	var dialer net.Dialer
	server, err := dialer.DialContext(req.Context(), "tcp", target)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	client, buffered, err := hijacker.Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n") //nolint:errcheck // the client will notice
	join(client, buffered.Reader, server)
}

// join hands bytes on in both directions until either end closes.
func join(client net.Conn, from *bufio.Reader, server net.Conn) {
	var group sync.WaitGroup
	group.Go(func() { _, _ = io.Copy(server, from); _ = server.Close() })   //nolint:errcheck // a connection that ends
	group.Go(func() { _, _ = io.Copy(client, server); _ = client.Close() }) //nolint:errcheck // a connection that ends
	group.Wait()
}

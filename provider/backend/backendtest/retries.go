package backendtest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/test/bufconn"
)

// connBytes is the buffer of a connection in memory.
const connBytes = 64 << 10

// Dial opens a connection, as net.Dialer.DialContext does.
type Dial = func(ctx context.Context, network, address string) (net.Conn, error)

// InMemory serves a handler until the test ends on connections in memory, which the
// function that it returns opens whatever the address: over TLS if secure is not
// nil. Unlike a socket's, these connections let the clock of a testing/synctest
// bubble go on while both ends wait.
func InMemory(t testing.TB, handler http.Handler, secure *tls.Config) Dial {
	t.Helper()
	listener := bufconn.Listen(connBytes)
	server := &http.Server{Handler: handler, TLSConfig: secure} //nolint:gosec // its clients are tests
	serve := func() error { return server.Serve(listener) }
	if secure != nil {
		serve = func() error { return server.ServeTLS(listener, "", "") }
	}
	go func() { _ = serve() }()              //nolint:errcheck // it ends with Close
	t.Cleanup(func() { _ = server.Close() }) //nolint:errcheck // the test has ended
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return listener.DialContext(ctx) }
}

// CheckRetries checks that a call that fails each time is made again exactly as
// often as the setting retries says. tries makes it with so many retries, in a
// testing/synctest bubble, and returns how many calls the server counted.
func CheckRetries(t *testing.T, tries func(t *testing.T, retries int) int) {
	t.Helper()
	now := time.Now()
	for _, retries := range []int{0, 1, 8} {
		t.Run(strconv.Itoa(retries), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(now)) // the certificates and tokens of the servers are of today
				if got := tries(t, retries); got != retries+1 {
					t.Errorf("%d calls with %d retries, want %d", got, retries, retries+1)
				}
			})
		})
	}
}

package vault

import (
	"crypto/sha256"
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

// idleConnections are how many connections to an address wait for the next
// call: as many as a node's mounts use at once by default.
const idleConnections = 64

// transports are the connection pools, one for each address with its TLS
// settings, so that a node's many identities share connections.
type transports struct {
	observed string
	calls    *remote.Calls

	mu   sync.Mutex
	open map[[sha256.Size]byte]*sharedTransport
}

type sharedTransport struct {
	pool    *http.Transport
	bounded http.RoundTripper
	users   int
}

func newTransports(observed string, calls *remote.Calls) *transports {
	return &transports{observed: observed, calls: calls, open: map[[sha256.Size]byte]*sharedTransport{}}
}

// acquire returns the transport for the settings and the function that gives
// it back, to be called once.
func (t *transports) acquire(config *Settings) (http.RoundTripper, func(), error) {
	canonical, err := json.Marshal(struct {
		Address string
		TLS     TLSSettings
	}{config.Address, config.TLS})
	if err != nil {
		return nil, nil, err
	}
	id := sha256.Sum256(canonical)

	t.mu.Lock()
	defer t.mu.Unlock()
	shared := t.open[id]
	if shared == nil {
		trust, problems := config.TLS.trust()
		if len(problems) > 0 {
			return nil, nil, problems.Err()
		}
		dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
		pool := &http.Transport{
			// No Proxy: the node's environment has no say in where tokens go.
			DialContext:           dialer.DialContext,
			DialTLSContext:        trust.DialTLS(dialer.DialContext),
			ForceAttemptHTTP2:     true,
			HTTP2:                 &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
			MaxIdleConnsPerHost:   idleConnections,
			IdleConnTimeout:       90 * time.Second,
			ExpectContinueTimeout: time.Second,
			// Answers are bounded as they are read; gzip would hide their size.
			DisableCompression: true,
		}
		shared = &sharedTransport{pool: pool, bounded: t.calls.Transport(t.observed, pool)}
		t.open[id] = shared
	}
	shared.users++
	return shared.bounded, sync.OnceFunc(func() { t.release(id, shared) }), nil
}

func (t *transports) release(id [sha256.Size]byte, shared *sharedTransport) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if shared.users--; shared.users == 0 {
		delete(t.open, id)
		shared.pool.CloseIdleConnections()
	}
}

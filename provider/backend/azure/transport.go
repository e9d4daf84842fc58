package azure

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

const (
	// idleConnections are how many connections to an address wait for the next
	// call: as many as a node's mounts use at once by default.
	idleConnections = 64
	// maxAnswerBytes bounds one answer. A secret has at most 25 kB; a page of
	// 25 versions with their tags stays far below.
	// https://learn.microsoft.com/azure/key-vault/secrets/about-secrets
	maxAnswerBytes = 1 << 20
)

// errAnswerTooLarge ends the reading of an answer.
var errAnswerTooLarge = errors.New("the answer is larger than 1 MiB, which none of Key Vault's is")

// transports are the connection pools, one for each vault with its TLS
// settings, so that a node's many identities share connections.
type transports struct {
	observed string
	calls    *remote.Calls

	mu   sync.Mutex
	open map[[sha256.Size]byte]*sharedTransport
}

// sharedTransport is one pool. It implements policy.Transporter.
type sharedTransport struct {
	pool   *http.Transport
	client *http.Client
	users  int
}

// Do makes a call; the answer's body ends with an error at maxAnswerBytes.
func (t *sharedTransport) Do(req *http.Request) (*http.Response, error) {
	resp, err := t.client.Do(req)
	lost, ok := req.Context().Value(lostKey{}).(*error)
	if !ok {
		lost = new(error)
	}
	if err == nil {
		resp.Body = &boundedBody{body: resp.Body, left: maxAnswerBytes, lost: lost}
	} else {
		*lost = err
	}
	return resp, err
}

// lostKey is the context's key for where the error of a call without an answer,
// or with one that breaks off, is put. The client of Entra ID keeps no more of it than its text.
type lostKey struct{}

func newTransports(observed string, calls *remote.Calls) *transports {
	return &transports{observed: observed, calls: calls, open: map[[sha256.Size]byte]*sharedTransport{}}
}

// acquire returns the transport for the settings and the function that gives
// it back, to be called once.
func (t *transports) acquire(config *Settings) (*sharedTransport, func(), error) {
	canonical, err := json.Marshal(struct {
		Address, Endpoint string
		TLS               TLS
	}{config.Address, config.Endpoint, config.TLS})
	if err != nil {
		return nil, nil, err
	}
	id := sha256.Sum256(canonical)

	t.mu.Lock()
	defer t.mu.Unlock()
	shared := t.open[id]
	if shared == nil {
		if shared, err = t.make(config); err != nil {
			return nil, nil, err
		}
		t.open[id] = shared
	}
	shared.users++
	return shared, sync.OnceFunc(func() { t.release(id, shared) }), nil
}

func (t *transports) make(config *Settings) (*sharedTransport, error) {
	trust, problems := config.TLS.trust()
	if len(problems) > 0 {
		return nil, problems.Err()
	}
	dial := dialTo(config)
	pool := &http.Transport{
		// No Proxy: the node's environment has no say in where tokens go.
		DialContext:           dial,
		DialTLSContext:        trust.DialTLS(dial),
		ForceAttemptHTTP2:     true,
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
		MaxIdleConnsPerHost:   idleConnections,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		// Answers are bounded as they are read; gzip would hide their size.
		DisableCompression: true,
	}
	return &sharedTransport{pool: pool, client: &http.Client{
		Transport: t.calls.Transport(t.observed, pool),
		// Neither Key Vault nor Entra ID redirects; whoever does is not one.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (t *transports) release(id [sha256.Size]byte, shared *sharedTransport) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if shared.users--; shared.users == 0 {
		delete(t.open, id)
		shared.pool.CloseIdleConnections()
	}
}

// dialTo dials the settings' endpoint for the vault, whose name stays what TLS
// checks, and every other address as it is.
func dialTo(config *Settings) remote.Dial {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	vault := ""
	if parsed, err := url.Parse(config.Address); err == nil {
		vault = hostPort(parsed)
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if config.Endpoint != "" && address == vault {
			address = config.Endpoint
		}
		return dialer.DialContext(ctx, network, address)
	}
}

// hostPort is what is dialled for an https address.
func hostPort(address *url.URL) string {
	if address.Port() == "" {
		return net.JoinHostPort(strings.ToLower(address.Hostname()), "443")
	}
	return strings.ToLower(address.Host)
}

// trust makes the TLS configuration. The file of authorities is read at each
// handshake, so that it may be renewed on disk.
func (t *TLS) trust() (*remote.Trust, Problems) {
	var problems Problems
	source := remote.Source{PEM: t.CACert, File: t.CACertFile}
	trust, err := remote.NewTrust(&tls.Config{MinVersion: tls.VersionTLS12}, source)
	if err != nil {
		problems.Add("tls."+source.Setting(), "%v", err)
	}
	return trust, problems
}

// boundedBody reads so many bytes, and fails where there are more.
type boundedBody struct {
	body io.ReadCloser
	left int64
	lost *error // why it broke off
}

func (b *boundedBody) Read(into []byte) (int, error) {
	if int64(len(into)) > b.left+1 {
		into = into[:b.left+1]
	}
	n, err := b.body.Read(into)
	if b.left -= int64(n); b.left < 0 {
		return n, errAnswerTooLarge
	}
	if err != nil && err != io.EOF {
		*b.lost = err
	}
	return n, err
}

func (b *boundedBody) Close() error { return b.body.Close() }

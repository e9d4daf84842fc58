package aws

import (
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

const (
	// idleConnections are how many connections to an address wait for the next
	// call: as many as a node's mounts use at once by default.
	idleConnections = 64
	// maxAnswerBytes is the most that is read of an answer: a batch of twenty
	// secrets of 64 KiB, each byte of them escaped.
	maxAnswerBytes = 16 << 20
)

// pool are the connections to all addresses, which stores share.
type pool struct {
	calls     *remote.Calls
	transport *http.Transport
}

func newPool(calls *remote.Calls) *pool {
	return &pool{calls: calls, transport: &http.Transport{
		// No Proxy: the node's environment has no say in where tokens go.
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   idleConnections,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		// Answers are bounded as they are read; gzip would hide their size.
		DisableCompression: true,
	}}
}

// client makes the calls of one kind of store.
func (p *pool) client(storeType string) *http.Client {
	return &http.Client{
		Transport: bounded{p.calls.Transport(storeType, p.transport)},
		// A signature is for one host, and what it leads to is for no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (p *pool) close() { p.transport.CloseIdleConnections() }

// errTooLarge is what reading an answer ends with that is larger than any that
// AWS gives.
var errTooLarge = errors.New("the answer is larger than 16 MiB")

// bounded ends answers that are too large.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(req)
	if err == nil {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxAnswerBytes}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

// Read implements io.Reader.
func (b *boundedBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	if b.left -= n; b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// Package faultproxy is a reverse proxy for tests and benchmarks that records
// every request and makes a server slow, unhelpful or broken on demand. Faults
// may be added and removed while requests are in flight.
//
// New or Start starts a Proxy before a server; Add gives it a Fault; Count and Requests
// tell what came through.
package faultproxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// keptRequests is the most requests that a Proxy remembers one by one; counts
// go on beyond it.
const keptRequests = 50_000

// Fault is something that happens to requests. Its zero value matches every
// request and does nothing to it.
type Fault struct {
	// Method and Prefix say which requests it happens to: those with the
	// method, and with a path (without "/v1/") that starts with the prefix.
	// Empty matches all.
	Method, Prefix string
	// Times is how many requests it happens to; zero means all until it is
	// removed.
	Times int

	// Delay is waited before anything else.
	Delay time.Duration
	// Status, if not zero, is answered with Header and Body, and the server
	// is not asked.
	Status int
	Header http.Header
	Body   string
	// Refuse closes the connection without asking the server.
	Refuse bool
	// Hangup asks the server, and closes the connection without answering.
	Hangup bool
	// HalfBody answers the header and half of the body, and closes.
	HalfBody bool
	// EmptyBody answers the server's status and no body.
	EmptyBody bool
	// Rewrite answers what it makes of the body of an answer with status 200.
	Rewrite func(body []byte) []byte
}

// Request is one request that came through.
type Request struct {
	Method string
	// Path is without "/v1/"; Query is raw.
	Path, Query string
	Header      http.Header
	// Status is what was answered; zero if the connection was closed instead.
	Status int
	At     time.Time
}

// Proxy is a running proxy.
type Proxy struct {
	// Address is its URL, without a path.
	Address string

	server *http.Server
	target *httputil.ReverseProxy
	base   http.RoundTripper

	mu          sync.Mutex
	delay       time.Duration
	faults      []*Fault
	requests    []Request
	counts      map[string]int // by method and path
	inFlight    int
	maxInFlight int
}

// Options say where a proxy stands.
type Options struct {
	// Target is the URL of the server behind it, without a path; Roots are what
	// the server's certificate is checked against, the system's if nil.
	Target string
	Roots  *x509.CertPool
	// Listen is the address and port; a free port of 127.0.0.1 if empty.
	Listen string
	// Certificate, if there is one, makes the proxy speak HTTPS.
	Certificate *tls.Certificate
}

// New starts a proxy before the server at target, a URL without a path, on a
// free port of 127.0.0.1. It runs until Close.
func New(target string) (*Proxy, error) { return Start(Options{Target: target}) }

// Start starts a proxy, which runs until Close.
func Start(opts Options) (*Proxy, error) {
	to, err := url.Parse(opts.Target)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", cmp.Or(opts.Listen, "127.0.0.1:0")) //nolint:noctx // takes no time
	if err != nil {
		return nil, err
	}
	scheme := "http"
	address := listener.Addr().String()
	if opts.Certificate != nil {
		scheme = "https"
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{*opts.Certificate}, MinVersion: tls.VersionTLS12})
	}
	transport := &http.Transport{
		MaxIdleConnsPerHost: 256, IdleConnTimeout: 30 * time.Second,
		TLSClientConfig: &tls.Config{RootCAs: opts.Roots, MinVersion: tls.VersionTLS12},
	}
	p := &Proxy{
		Address: scheme + "://" + address,
		base:    transport,
		counts:  map[string]int{},
		target: &httputil.ReverseProxy{
			Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to) },
			Transport:     transport,
			FlushInterval: -1,
			ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		},
	}
	p.server = &http.Server{Handler: http.HandlerFunc(p.serve), ReadHeaderTimeout: 10 * time.Second}
	go p.server.Serve(listener) //nolint:errcheck // ends with http.ErrServerClosed, by Close
	return p, nil
}

// Close ends the proxy and breaks the connections that it still has.
func (p *Proxy) Close() {
	p.server.Close() //nolint:errcheck,gosec // the listener is all that could fail to close
	if t, ok := p.base.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// SetDelay makes every request wait for that long, beside any fault's delay.
func (p *Proxy) SetDelay(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = delay
}

// Add makes the fault happen from now on, after the faults that were added
// before it. The first that matches a request is the one that happens. remove
// ends it.
func (p *Proxy) Add(fault Fault) (remove func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	added := &fault
	p.faults = append(p.faults, added)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.drop(added)
	}
}

// Clear removes all faults and the delay.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults, p.delay = nil, 0
}

// Count is how many requests had the method and a path that starts with the
// prefix; empty counts all.
func (p *Proxy) Count(method, prefix string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	count := 0
	for key, n := range p.counts {
		m, path, _ := strings.Cut(key, " ")
		if (method == "" || m == method) && strings.HasPrefix(path, prefix) {
			count += n
		}
	}
	return count
}

// MaxInFlight is the most requests that were in flight at one time.
func (p *Proxy) MaxInFlight() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.maxInFlight
}

// Requests are what came through, the earliest first; the first 50,000 of them.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Request(nil), p.requests...)
}

// Reset forgets all requests and counts.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests, p.counts, p.maxInFlight = nil, map[string]int{}, p.inFlight
}

// take returns the fault that happens to a request, nil if none does, and the
// delay before it.
func (p *Proxy) take(method, path string) (*Fault, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, fault := range p.faults {
		if (fault.Method != "" && fault.Method != method) || !strings.HasPrefix(path, fault.Prefix) {
			continue
		}
		happens := *fault
		if fault.Times == 1 {
			p.drop(fault)
		} else if fault.Times > 1 {
			fault.Times--
		}
		return &happens, p.delay + happens.Delay
	}
	return nil, p.delay
}

func (p *Proxy) drop(fault *Fault) {
	for i, f := range p.faults {
		if f == fault {
			p.faults = append(p.faults[:i:i], p.faults[i+1:]...)
			return
		}
	}
}

// entered counts a request as it comes, so that who has an answer finds it
// counted.
func (p *Proxy) entered(request Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight++
	p.maxInFlight = max(p.maxInFlight, p.inFlight)
	p.counts[request.Method+" "+request.Path]++
}

// left records a request just before it is answered: its client may send the
// next as soon as it has the answer.
func (p *Proxy) left(request Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight--
	if len(p.requests) < keptRequests {
		p.requests = append(p.requests, request)
	}
}

func wait(ctx context.Context, delay time.Duration) bool {
	if delay <= 0 {
		return true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Package outbox sends lines of text to an HTTP service, many with one call, and keeps those that wait in memory:
// records of the audit trail and spans of traces.
//
// Start with New.
package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/nodefile"
	"github.com/lanyardhq/lanyard/internal/proxy"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

const (
	maxQueue   = 8 << 20          // bytes that wait
	maxBatch   = 512 << 10        // bytes of one call; one line alone may be more
	callTime   = 10 * time.Second // bounds one call
	closeTime  = 5 * time.Second  // bounds all that is sent when the process ends
	firstPause = time.Second      // the backoff before the first retry; it doubles
	maxPause   = 30 * time.Second
	maxAnswer  = 64 << 10
	maxToken   = 16 << 10
)

// Service is where lines are sent, and who says so.
type Service struct {
	// URL is called with POST.
	URL string
	// TokenFile and HeadersFile are read before each call; empty for none.
	TokenFile, HeadersFile string
	// TLS has the files of the connection.
	TLS remote.TLS
	// Proxy is the operator's.
	Proxy proxy.Settings
}

// Kind is what the lines are.
type Kind struct {
	// Name is what calls are observed as, and Lines what errors call the lines, such as "records".
	Name, Lines string
	// Body is the body of a call for a batch of lines, and its type.
	Body func(batch []byte) (body []byte, contentType string, err error)
	// Gather is how long lines are gathered for one call, unless they fill one before; zero sends at once.
	Gather time.Duration
	// Rejected is the field of an OTLP service's answer with the number of lines that it has not taken;
	// empty for another service.
	Rejected string
}

// Watcher is told what becomes of lines.
type Watcher interface {
	// Sent is told of lines that were taken.
	Sent(lines uint64)
	// Lost is told of lines that are given up.
	Lost(lines uint64)
	// Failed is told why lines cannot be sent now, each time that this is tried.
	Failed(err error)
}

// Box sends lines to a service. What is not sent yet waits in memory; while the service is down and the queue is full,
// newer lines are lost. It is safe for concurrent use.
type Box struct {
	// Pause waits for a while, or until ctx ends. It may be replaced before the first line.
	Pause func(ctx context.Context, d time.Duration)

	service Service
	kind    Kind
	watcher Watcher
	client  *http.Client
	release func()

	lifetime context.Context //nolint:containedctx // it ends what is sent
	end      context.CancelFunc
	ended    chan struct{}

	mu     sync.Mutex
	queue  []byte
	closed bool
	hurry  func() // ends the gathering
	wake   chan struct{}
}

// New returns a Box that sends until Close. It reads the service's certificates.
func New(service Service, kind Kind, watcher Watcher) (*Box, error) {
	if service.HeadersFile != "" {
		if _, err := remote.ReadHeaders(service.HeadersFile, ownHeader); err != nil {
			return nil, err
		}
	}
	transports := remote.NewTransports(remote.Options{Calls: remote.NewCalls(4), MaxAnswer: maxAnswer})
	transport, release, err := transports.Acquire(remote.Route{TLS: service.TLS, Network: remote.Network{Proxy: service.Proxy}})
	if err != nil {
		return nil, err
	}
	b := newBox(service, kind, watcher)
	b.client, b.release = transport.Client(kind.Name), release
	b.lifetime, b.end = context.WithCancel(context.Background())
	go b.run()
	return b, nil
}

func newBox(service Service, kind Kind, watcher Watcher) *Box {
	return &Box{Pause: wait, service: service, kind: kind, watcher: watcher, hurry: func() {}, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// ownHeader says that a header belongs to the call itself.
func ownHeader(name string) bool { return name == "Content-Type" }

// wait waits for the time, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Add queues whole lines, each with its end. It does not wait.
func (b *Box) Add(lines []byte) {
	b.mu.Lock()
	full := b.closed || len(b.queue) > 0 && len(b.queue)+len(lines) > maxQueue
	if !full {
		b.queue = append(b.queue, lines...)
		b.signal()
		if len(b.queue) >= maxBatch {
			b.hurry()
		}
	}
	b.mu.Unlock()
	if full {
		b.watcher.Lost(count(lines))
		b.watcher.Failed(fmt.Errorf("%d MiB of %s wait to be sent", maxQueue>>20, b.kind.Lines))
	}
}

// signal wakes run. It is called with mu held, while the Box is not closed.
func (b *Box) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// count is the number of lines.
func count(lines []byte) uint64 { return uint64(bytes.Count(lines, []byte{'\n'})) } //nolint:gosec // not negative

// Close sends what is queued, for a while, and ends. It is called once; lines that come later are lost.
func (b *Box) Close() {
	b.mu.Lock()
	b.closed = true
	b.hurry()
	close(b.wake)
	b.mu.Unlock()
	defer time.AfterFunc(closeTime, b.end).Stop()
	<-b.ended
	b.end()
	b.release()
}

func (b *Box) run() {
	defer close(b.ended)
	for range b.wake {
		b.gather()
		b.sendAll()
	}
	b.sendAll()
}

// gather waits until lines are worth a call.
func (b *Box) gather() {
	ctx, cancel := context.WithCancel(b.lifetime)
	defer cancel()
	b.mu.Lock()
	enough := b.kind.Gather <= 0 || b.closed || len(b.queue) >= maxBatch
	b.hurry = cancel
	b.mu.Unlock()
	if !enough {
		b.Pause(ctx, b.kind.Gather)
	}
}

// sendAll sends what is queued, and what comes meanwhile if that is enough.
func (b *Box) sendAll() {
	for first := true; ; first = false {
		b.mu.Lock()
		batch := b.queue[:cut(b.queue, maxBatch)]
		later := !first && !b.closed && b.kind.Gather > 0 && len(b.queue) < maxBatch
		if later && len(batch) > 0 {
			b.signal()
		}
		b.mu.Unlock()
		if later || len(batch) == 0 {
			return
		}
		rejected, err := b.deliver(batch)
		n := count(batch)
		if err != nil {
			b.watcher.Lost(n)
			b.watcher.Failed(err)
		} else {
			rejected = min(n, rejected)
			b.watcher.Sent(n - rejected)
			b.watcher.Lost(rejected)
		}
		b.mu.Lock()
		if b.queue = b.queue[len(batch):]; len(b.queue) == 0 {
			b.queue = nil
		}
		b.mu.Unlock()
	}
}

// cut is the length of the whole lines within limit, and of one at least.
func cut(lines []byte, limit int) int {
	if len(lines) <= limit {
		return len(lines)
	}
	if i := bytes.LastIndexByte(lines[:limit], '\n'); i >= 0 {
		return i + 1
	}
	return bytes.IndexByte(lines, '\n') + 1
}

// deliver sends a batch until the service takes it or refuses it for good. While the
// process ends it is tried once more at most.
func (b *Box) deliver(batch []byte) (rejected uint64, err error) {
	body, contentType, err := b.kind.Body(batch)
	if err != nil {
		return 0, err
	}
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		rejected, after, err := b.post(body, contentType)
		var passing *passingError
		if err == nil || !errors.As(err, &passing) || b.lifetime.Err() != nil || b.stopping() {
			return rejected, err
		}
		b.watcher.Failed(err)
		b.Pause(b.lifetime, max(after, pause/2+rand.N(pause)))
	}
}

func (b *Box) stopping() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// passingError may pass by itself.
type passingError struct{ error }

// post makes one call. after is the pause that the service asks for.
// Which failures are retried: https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
func (b *Box) post(body []byte, contentType string) (rejected uint64, after time.Duration, err error) {
	ctx, cancel := context.WithTimeout(b.lifetime, callTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.service.URL, bytes.NewReader(body))
	if err != nil {
		return 0, 0, err
	}
	if err := b.authorize(req); err != nil {
		return 0, 0, &passingError{err} // the file may be replaced at this moment
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := b.client.Do(req)
	if err != nil {
		return 0, 0, &passingError{errors.New(message.Excerpt(err.Error()))}
	}
	defer resp.Body.Close()            //nolint:errcheck // it is only read
	answer, _ := io.ReadAll(resp.Body) //nolint:errcheck // the status counts
	switch status := resp.StatusCode; {
	case status >= 200 && status < 300:
		return b.rejected(answer), 0, nil
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500:
		return 0, min(remote.RetryAfter(resp.Header), 5*time.Minute), &passingError{fmt.Errorf("the service answered with status %d", status)}
	default:
		return 0, 0, fmt.Errorf("the service refused the %s with status %d", b.kind.Lines, status)
	}
}

// authorize adds what the files say.
func (b *Box) authorize(req *http.Request) error {
	if b.service.HeadersFile != "" {
		headers, err := remote.ReadHeaders(b.service.HeadersFile, ownHeader)
		if err != nil {
			return err
		}
		headers.AddTo(req.Header)
	}
	if b.service.TokenFile == "" {
		return nil
	}
	token, err := nodefile.ReadPrivate(b.service.TokenFile, maxToken)
	if err == nil {
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	return err
}

// rejected is how many lines an OTLP service says that it has not taken.
// https://opentelemetry.io/docs/specs/otlp/#partial-success-1
func (b *Box) rejected(answer []byte) uint64 {
	var parsed struct {
		PartialSuccess map[string]json.RawMessage `json:"partialSuccess"`
	}
	if b.kind.Rejected == "" || json.Unmarshal(answer, &parsed) != nil {
		return 0
	}
	// A number, or its digits as text.
	n, err := strconv.ParseUint(strings.Trim(string(parsed.PartialSuccess[b.kind.Rejected]), `"`), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Package backendtest has what the servers of tests for clouds share: they listen,
// count their calls and make them go wrong. It is no part of the product.
package backendtest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// NewServer returns a server that has a port of an IP address of this machine and
// is not started.
func NewServer(address string, handler http.Handler) (*httptest.Server, error) {
	listener, err := Listen(address)
	if err != nil {
		return nil, err
	}
	// Tests break connections on purpose, which is not worth a log line.
	config := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)} //nolint:gosec // its clients are tests
	return &httptest.Server{Listener: listener, Config: config}, nil
}

// Listen opens a port of an IP address of this machine.
func Listen(address string) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort(address, "0")) //nolint:noctx // it takes no time
}

// Ending starts a server at an address, which ends with the test; an error ends the
// test.
func Ending[S interface{ Close() }](t testing.TB, start func(address string) (S, error), address string) S {
	t.Helper()
	server, err := start(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// Counter counts calls by name. The zero Counter has counted none. It is safe for
// concurrent use.
type Counter struct {
	mu     sync.Mutex
	counts map[string]int
}

// Count counts one call.
func (c *Counter) Count(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.counts[name]++
}

// Calls is how many calls of a name were made since ResetCalls, refused ones
// included; the empty name stands for all.
func (c *Counter) Calls(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if name != "" {
		return c.counts[name]
	}
	total := 0
	for _, n := range c.counts {
		total += n
	}
	return total
}

// ResetCalls begins to count anew.
func (c *Counter) ResetCalls() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts = nil
}

// Faults are the faults that calls meet, the oldest first. It is safe for
// concurrent use.
type Faults[F any] struct {
	mu    sync.Mutex
	added []*counted[F]
}

type counted[F any] struct {
	fault *F
	left  int // calls that still meet it; below zero: all
}

// Add makes so many calls meet the fault, all if times is zero, until the function
// that it returns is called.
func (f *Faults[F]) Add(fault *F, times int) (repair func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	added := &counted[F]{fault, times}
	if times == 0 {
		added.left = -1
	}
	f.added = append(f.added, added)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		added.left = 0
	}
}

// Meet returns the first fault that fits the call; nil if there is none.
func (f *Faults[F]) Meet(fits func(*F) bool) *F {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, added := range f.added {
		if added.left == 0 || !fits(added.fault) {
			continue
		}
		if added.left > 0 {
			added.left--
		}
		return added.fault
	}
	return nil
}

// Wait waits for the delay; false if the caller hung up before.
func Wait(ctx context.Context, delay time.Duration) bool {
	select {
	case <-time.After(delay):
		return true
	case <-ctx.Done():
		return false
	}
}

// Clock tells a server the time. The zero Clock is the machine's. It is safe for
// concurrent use.
type Clock struct {
	now atomic.Pointer[func() time.Time]
}

// SetClock makes the server tell the time with now.
func (c *Clock) SetClock(now func() time.Time) { c.now.Store(&now) }

// Now is the server's time.
func (c *Clock) Now() time.Time {
	if now := c.now.Load(); now != nil {
		return (*now)()
	}
	return time.Now()
}

// WriteJSON answers with a body of JSON.
func WriteJSON(w http.ResponseWriter, status int, contentType string, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	Write(w, status, encoded)
}

// Write answers with a body.
func Write(w http.ResponseWriter, status int, body []byte) {
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:errcheck // the client has gone
}

// Truncate breaks off an answer in the middle of its body.
func Truncate(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	Write(w, status, body[:len(body)/2])
	panic(http.ErrAbortHandler) // closes the connection without a word
}

// Random returns so many random bytes.
func Random(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.Read(b) // it never fails
	return b
}

// NewAEAD returns AES-256-GCM under a random key.
func NewAEAD() cipher.AEAD {
	block, err := aes.NewCipher(Random(32))
	if err != nil {
		panic(err) // the key has the right length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // the cipher has the right block
	}
	return aead
}

// Matches is true if a pattern, whose * at the end stands for any text, covers the
// name.
func Matches(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok && strings.HasPrefix(name, prefix) || pattern == name {
			return true
		}
	}
	return false
}

// UntilAnswered makes a call that is allowed so long, again while its time was over before
// it had an answer, which is the machine's matter, and returns the error of the last.
func UntilAnswered(t testing.TB, allowed time.Duration, call func(context.Context) error) error {
	t.Helper()
	var err error
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), allowed)
		err = call(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			break
		}
	}
	return err
}

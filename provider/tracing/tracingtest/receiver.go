// Package tracingtest has a service that spans are sent to, for tests.
//
// Start with New.
package tracingtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/tracing"
)

// Receiver takes spans over OTLP/HTTP with JSON.
type Receiver struct {
	*httptest.Server

	// Status is what it answers with; 200 if zero. It is set before the first span.
	Status int

	mu      sync.Mutex
	bodies  []string
	headers http.Header
	spans   []Span
}

// Span is one that was received.
type Span struct {
	TraceID    string `json:"traceId"`
	SpanID     string `json:"spanId"`
	ParentID   string `json:"parentSpanId"`
	Name       string `json:"name"`
	Kind       int    `json:"kind"`
	Start      string `json:"startTimeUnixNano"`
	End        string `json:"endTimeUnixNano"`
	Attributes []struct {
		Key   string         `json:"key"`
		Value map[string]any `json:"value"`
	} `json:"attributes"`
	Status struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"status"`
}

// New starts a Receiver that ends with the test.
func New(t testing.TB) *Receiver {
	t.Helper()
	r := &Receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var parsed struct {
			ResourceSpans []struct {
				ScopeSpans []struct {
					Spans []Span `json:"spans"`
				} `json:"scopeSpans"`
			} `json:"resourceSpans"`
		}
		if err == nil {
			err = json.Unmarshal(body, &parsed)
		}
		if err != nil {
			t.Errorf("what is sent is no OTLP: %v: %s", err, body)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bodies, r.headers = append(r.bodies, string(body)), req.Header
		for _, resource := range parsed.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				r.spans = append(r.spans, scope.Spans...)
			}
		}
		if r.Status != 0 {
			w.WriteHeader(r.Status)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// Tracer is a Tracer that sends to the Receiver, of everything unless change says otherwise.
func (r *Receiver) Tracer(t testing.TB, change func(*config.Tracing)) *tracing.Tracer {
	t.Helper()
	settings := config.DefaultTracing()
	settings.URL = r.URL + "/v1/traces"
	if change != nil {
		change(&settings)
	}
	tracer, err := tracing.New(tracing.Options{Settings: settings, Service: "lanyard", Version: "v1", Node: "node-1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tracer.Close)
	return tracer
}

// Text is all that was sent.
func (r *Receiver) Text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.bodies, "\n")
}

// Header is that of the last call.
func (r *Receiver) Header() http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.headers
}

// Spans are those that were received, in the order in which they began.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Clone(r.spans)
	slices.SortStableFunc(all, func(a, b Span) int { return strings.Compare(a.Start, b.Start) })
	return all
}

// Tree is the spans of all traces, each on a line, indented below its parent, with its attributes but for those that
// differ each time: ports and the UIDs of pods.
func (r *Receiver) Tree() string {
	spans := r.Spans()
	var b strings.Builder
	var write func(parent string, depth int)
	known := map[string]bool{}
	for _, s := range spans {
		known[s.SpanID] = true
	}
	write = func(parent string, depth int) {
		for _, s := range spans {
			if s.ParentID == parent || parent == "" && !known[s.ParentID] {
				fmt.Fprintf(&b, "%s%s\n", strings.Repeat("  ", depth), s)
				write(s.SpanID, depth+1)
			}
		}
	}
	write("", 0)
	return b.String()
}

// String is the span's name, its attributes, and how it failed.
func (s Span) String() string {
	text := s.Name
	for _, a := range s.Attributes {
		if a.Key == "server.port" {
			continue
		}
		for _, value := range a.Value {
			text += fmt.Sprintf(" %s=%v", a.Key[strings.LastIndex(a.Key, ".")+1:], value)
		}
	}
	if s.Status.Code != 0 {
		text += " FAILED " + s.Status.Message
	}
	return strings.TrimSpace(text)
}

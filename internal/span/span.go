// Package span makes spans of what is done below a span, such as a call within a mount. Where nothing is traced its
// functions do nothing and allocate nothing, so that whoever does something worth a span says so without a condition.
//
// What a span says comes from names that the operator or Kubernetes chose, numbers, and the words of kinds of failure:
// never from a value, a token, or the text of an error, and never from the name or the path of a secret.
//
// Start with Start.
package span

import (
	"context"
	"net/http"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// scope is what the spans of this program are called by.
const scope = "lanyard"

// maxRequests bounds the requests that a span counts the attempts of.
const maxRequests = 256

// Span is one that is recorded. All methods may be called on nil, which is none.
type Span struct {
	of        trace.Span
	propagate bool

	mu       sync.Mutex
	requests map[Request]int
}

// Request is what makes one call like another: a repetition of it is a retry.
type Request struct{ Method, Host, Path string }

type key struct{}

// Of is the span of a context; nil for none.
func Of(ctx context.Context) *Span {
	s, _ := ctx.Value(key{}).(*Span)
	return s
}

// Root begins a span of a tracer, below the one that ctx may have from a caller of this process's. It returns nil, and
// ctx as it was, if the tracer does not record it. With propagate the calls below it tell their servers of it.
func Root(ctx context.Context, tracer trace.Tracer, name string, propagate bool) (context.Context, *Span) {
	below, of := tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer))
	if !of.IsRecording() {
		return ctx, nil
	}
	s := &Span{of: of, propagate: propagate}
	return context.WithValue(below, key{}, s), s
}

// Start begins a span below that of ctx, and returns the context of what is done within it. If ctx has none it returns
// ctx and nil.
func Start(ctx context.Context, name string) (context.Context, *Span) { return begin(ctx, name) }

// Call is Start for a call to a server.
func Call(ctx context.Context, name string) (context.Context, *Span) {
	return begin(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
}

func begin(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, *Span) {
	parent := Of(ctx)
	if parent == nil {
		return ctx, nil
	}
	ctx, of := parent.of.TracerProvider().Tracer(scope).Start(ctx, name, options...)
	s := &Span{of: of, propagate: parent.propagate}
	return context.WithValue(ctx, key{}, s), s
}

// Within returns ctx with the span of another context, for what is done for that one and outlives it.
func Within(ctx, other context.Context) context.Context {
	s := Of(other)
	if s == nil {
		return ctx
	}
	return context.WithValue(trace.ContextWithSpan(ctx, s.of), key{}, s)
}

// Text notes a name.
func (s *Span) Text(name, value string) {
	if s != nil && value != "" {
		s.of.SetAttributes(attribute.String(name, value))
	}
}

// Number notes a number.
func (s *Span) Number(name string, value int) {
	if s != nil {
		s.of.SetAttributes(attribute.Int(name, value))
	}
}

// Flag notes that something is so, or not.
func (s *Span) Flag(name string, value bool) {
	if s != nil {
		s.of.SetAttributes(attribute.Bool(name, value))
	}
}

// Fail says that what the span is about failed, with the word of the kind of failure.
func (s *Span) Fail(kind string) {
	if s != nil {
		s.of.SetStatus(codes.Error, kind)
	}
}

// Attempt is the how many-th time that the same request is made below the span, from 1.
func (s *Span) Attempt(r Request) int {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.requests == nil {
		s.requests = map[Request]int{}
	}
	if _, known := s.requests[r]; !known && len(s.requests) >= maxRequests {
		return 1
	}
	s.requests[r]++
	return s.requests[r]
}

// Inject adds the headers of W3C Trace Context that name the span, if its tracer wants servers to know of it.
func (s *Span) Inject(ctx context.Context, header http.Header) {
	if s != nil && s.propagate {
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(header))
	}
}

// End ends the span. It is called once.
func (s *Span) End() {
	if s != nil {
		s.of.End()
	}
}

// From returns ctx with the span of a caller in another process, of whom the headers of W3C Trace Context tell; ctx
// itself if they do not.
func From(ctx context.Context, parent, state string) context.Context {
	if parent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": parent, "tracestate": state})
}

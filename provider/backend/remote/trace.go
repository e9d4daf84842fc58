package remote

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/lanyardhq/lanyard/internal/span"
)

// traceCall begins the span of a call that is observed as the name, below that of its context, and returns the request
// to make and the function that ends the span with the answer's status, zero for none. The span has no path: it may
// hold the name of a secret.
// https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client
func traceCall(req *http.Request, observed string) (*http.Request, func(status int)) {
	ctx, attempt := req.Context(), 0
	if parent := span.Of(ctx); parent != nil {
		attempt = parent.Attempt(span.Request{Method: req.Method, Host: req.URL.Host, Path: req.URL.Path})
	}
	ctx, s := span.Call(ctx, "call")
	if s == nil {
		return req, func(int) {}
	}
	s.Text("lanyard.call", observed)
	s.Text("http.request.method", req.Method)
	s.Text("server.address", req.URL.Hostname())
	s.Number("server.port", portOf(req.URL))
	s.Number("lanyard.attempt", attempt)
	traced := req.Clone(ctx)
	s.Inject(ctx, traced.Header)
	return traced, func(status int) {
		if status > 0 {
			s.Number("http.response.status_code", status)
		}
		if status == 0 || status >= http.StatusBadRequest {
			s.Fail("")
		}
		s.End()
	}
}

// portOf is the port of a URL, or that of its scheme.
func portOf(u *url.URL) int {
	port, err := strconv.Atoi(u.Port())
	switch {
	case err == nil:
		return port
	case u.Scheme == "http":
		return 80
	}
	return 443
}

// traceRPC is traceCall for a call over gRPC, whose status is what HTTP would have.
func traceRPC(ctx context.Context, observed, address string) (context.Context, func(status int)) {
	ctx, s := span.Call(ctx, "call")
	if s == nil {
		return ctx, func(int) {}
	}
	s.Text("lanyard.call", observed)
	s.Text("rpc.system", "grpc")
	s.Text("server.address", address)
	return ctx, func(status int) {
		s.Number("http.response.status_code", status)
		if status >= http.StatusBadRequest || status == 0 {
			s.Fail("")
		}
		s.End()
	}
}

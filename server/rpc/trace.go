package rpc

import (
	"context"

	"google.golang.org/grpc/metadata"

	"github.com/lanyardhq/lanyard/internal/span"
)

// traced is the context of a call with the trace that its caller names by W3C Trace
// Context.
// https://www.w3.org/TR/trace-context/
func traced(ctx context.Context) context.Context {
	return span.From(ctx, only(ctx, "traceparent"), only(ctx, "tracestate"))
}

// only is the value of a header that a call may have once.
func only(ctx context.Context, name string) string {
	if values := metadata.ValueFromIncomingContext(ctx, name); len(values) == 1 {
		return values[0]
	}
	return ""
}

// Package recovery lets a panic fail the one gRPC call that it happened in. It
// tells the type and the place of a panic and never its text or a function's
// arguments, which may hold a secret.
//
// Start with Interceptor.
package recovery

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Panic is what may be told of a panic.
type Panic struct {
	// Method is the gRPC method that was called.
	Method string
	// Type is the Go type of the panic's value.
	Type string
	// Stack lists the functions that led to it, innermost first.
	Stack string
}

// Interceptor answers a call that panics with codes.Internal and text, and
// tells found of it.
func Interceptor(text string, found func(Panic)) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
		defer func() {
			if value := recover(); value != nil {
				found(Panic{Method: info.FullMethod, Type: fmt.Sprintf("%T", value), Stack: stack()})
				resp, err = nil, status.Error(codes.Internal, text)
			}
		}()
		return handler(ctx, req)
	}
}

// stack lists functions without the arguments that the runtime's own listing
// has.
func stack() string {
	const (
		most    = 64
		skipped = 3 // runtime.Callers, stack, the deferred function
	)
	callers := make([]uintptr, most)
	frames := runtime.CallersFrames(callers[:runtime.Callers(skipped, callers)])
	var b strings.Builder
	for {
		frame, more := frames.Next()
		fmt.Fprintf(&b, "%s %s:%d\n", frame.Function, frame.File, frame.Line)
		if !more {
			return b.String()
		}
	}
}

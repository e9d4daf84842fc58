package rpc

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"
)

// intercept is what each call passes through: Observe, recovery and the caller's trace.
func (opts Options) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	return opts.Observe(ctx, req, info, func(ctx context.Context, req any) (any, error) {
		return opts.recovery(traced(ctx), req, info, handler)
	})
}

// recovery answers a call that panics with codes.Internal, counts it and logs it.
// The log has the type and the place of the panic. It never has the panic's text
// or a function's arguments, which may hold a secret.
func (opts Options) recovery(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if value := recover(); value != nil {
			opts.Metrics.panics.Inc()
			klog.ErrorS(nil, "Panic; the call failed, the "+opts.Program+" goes on; please report this", append(opts.Log[:len(opts.Log):len(opts.Log)], "method", info.FullMethod, "type", fmt.Sprintf("%T", value), "stack", stack())...)
			resp, err = nil, status.Error(codes.Internal, "internal error: the "+opts.Program+" panicked; its log on this node says where")
		}
	}()
	return handler(ctx, req)
}

// stack lists functions without the arguments that the runtime's own listing
// has.
func stack() string {
	const (
		maxDepth = 64
		skipped  = 3 // runtime.Callers, stack, the deferred function
	)
	callers := make([]uintptr, maxDepth)
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

package csi

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

// recoverPanic lets a panic fail the one call that it happened in.
func (s *service) recoverPanic(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if value := recover(); value != nil {
			s.metrics.panics.Inc()
			klog.ErrorS(nil, "Panic; the call failed, the provider goes on; please report this", "dialect", s.dialect, "method", info.FullMethod, "type", typeName(value), "stack", stack())
			resp, err = nil, status.Error(codes.Internal, "internal error: the provider panicked; its log on this node says where")
		}
	}()
	return handler(ctx, req)
}

// typeName is all that is told of a value whose text may hold a secret.
func typeName(value any) string { return fmt.Sprintf("%T", value) }

// stack lists the functions that led to a panic, innermost first, without the
// arguments that the runtime's own listing has: they may be a secret's bytes.
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

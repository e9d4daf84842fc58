package recovery

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestAPanicFailsItsCallAndTellsNothingSecret(t *testing.T) {
	var found Panic
	call := Interceptor("internal error", func(p Panic) { found = p })
	resp, err := call(t.Context(), "hunter2", &grpc.UnaryServerInfo{FullMethod: "/a/B"}, func(_ context.Context, req any) (any, error) {
		panic(req)
	})
	if resp != nil || status.Code(err) != codes.Internal || status.Convert(err).Message() != "internal error" {
		t.Errorf("%v, %v", resp, err)
	}
	if found.Method != "/a/B" || found.Type != "string" || !strings.Contains(found.Stack, "TestAPanicFails") || strings.Contains(found.Stack, "hunter2") {
		t.Errorf("told of %+v", found)
	}
}

func TestACallThatDoesNotPanicIsLeftAlone(t *testing.T) {
	call := Interceptor("internal error", func(Panic) { t.Error("told of a panic") })
	if resp, err := call(t.Context(), 1, &grpc.UnaryServerInfo{}, func(_ context.Context, req any) (any, error) { return req, nil }); resp != 1 || err != nil {
		t.Errorf("%v, %v", resp, err)
	}
}

package rpc

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"
)

func TestAPanicFailsItsCallAndTellsNothingSecret(t *testing.T) {
	var log bytes.Buffer
	klog.SetLogger(textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&log))))
	t.Cleanup(klog.ClearLogger)
	opts := Options{Program: "provider", Metrics: NewMetrics(prometheus.NewRegistry(), "provider"), Log: []any{"dialect", "vault"}}
	resp, err := opts.recovery(t.Context(), "hunter2", &grpc.UnaryServerInfo{FullMethod: "/a/B"}, func(_ context.Context, req any) (any, error) {
		panic(req)
	})
	if resp != nil || status.Code(err) != codes.Internal || status.Convert(err).Message() != "internal error: the provider panicked; its log on this node says where" {
		t.Errorf("%v, %v", resp, err)
	}
	for _, want := range []string{`dialect="vault"`, `method="/a/B"`, `type="string"`, "TestAPanicFails"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %s:\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("the log has the panic's text:\n%s", log.String())
	}
}

func TestACallThatDoesNotPanicIsLeftAlone(t *testing.T) {
	if resp, err := (Options{}).recovery(t.Context(), 1, &grpc.UnaryServerInfo{}, func(_ context.Context, req any) (any, error) { return req, nil }); resp != 1 || err != nil {
		t.Errorf("%v, %v", resp, err)
	}
}

package csi

import (
	"context"

	"google.golang.org/grpc/stats"

	"github.com/lanyardhq/lanyard/provider/engine"
)

// deliveries gives each call a Delivery, which is done when gRPC has written the answer.
type deliveries struct{}

type deliveryKey struct{}

// deliveryOf is the Delivery of a call; nil outside of one.
func deliveryOf(ctx context.Context) *engine.Delivery {
	delivery, _ := ctx.Value(deliveryKey{}).(*engine.Delivery)
	return delivery
}

// TagRPC implements stats.Handler.
func (deliveries) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, deliveryKey{}, &engine.Delivery{})
}

// HandleRPC implements stats.Handler.
func (deliveries) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if _, ended := event.(*stats.End); ended {
		deliveryOf(ctx).Done()
	}
}

// TagConn implements stats.Handler.
func (deliveries) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (deliveries) HandleConn(context.Context, stats.ConnStats) {}

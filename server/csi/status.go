package csi

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// maxText is the maximum size in bytes of a status's text; an event shows 1 KiB of it.
const maxText = 8 << 10

// statusOf turns what a mount failed with into a gRPC status.
func statusOf(err error) *status.Status {
	if s, ok := status.FromError(err); ok {
		return s
	}
	var failed *engine.MountError
	if errors.As(err, &failed) {
		return status.New(fault.Of(failed.Kind).CSI, bounded(failed.Text))
	}
	switch {
	case errors.Is(err, context.Canceled):
		return status.New(codes.Canceled, "the caller gave up")
	case errors.Is(err, context.DeadlineExceeded):
		return status.New(codes.DeadlineExceeded, "the caller's time was over before the mount was done")
	}
	// The text of another error may hold a secret.
	klog.ErrorS(nil, "Mount failed with an error that is no MountError; please report this", "type", fmt.Sprintf("%T", err))
	return status.New(codes.Internal, "internal error; the provider's log on this node says more")
}

// bounded makes a text fit for a status: valid UTF-8 of at most maxText bytes.
func bounded(text string) string {
	if len(text) > maxText {
		const cut = "… (shortened)"
		text = text[:maxText-len(cut)]
		return strings.ToValidUTF8(text, "") + cut
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

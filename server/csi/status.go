package csi

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// maxText is the most bytes of a status's text; an event holds 1 KiB of it.
const maxText = 8 << 10

// statusOf turns what a mount failed with into a gRPC status.
func statusOf(err error) *status.Status {
	if s, ok := status.FromError(err); ok {
		return s
	}
	var failed *engine.MountError
	if errors.As(err, &failed) {
		return status.New(codeOf(failed.Kind), bounded(failed.Text))
	}
	switch {
	case errors.Is(err, context.Canceled):
		return status.New(codes.Canceled, "the caller gave up")
	case errors.Is(err, context.DeadlineExceeded):
		return status.New(codes.DeadlineExceeded, "the caller's time was over before the mount was done")
	}
	// What another error says was not written to be shown.
	klog.ErrorS(nil, "Mount failed with an error that is no MountError; please report this", "type", typeName(err))
	return status.New(codes.Internal, "internal error; the provider's log on this node says more")
}

// codeOf is the code for a kind of failure. It is never one by which the kubelet
// takes the mount for one that may still go on: Unavailable, ResourceExhausted,
// Aborted, and for a caller that waits, Canceled and DeadlineExceeded. After those
// the kubelet leaves the target directory where it is; a driver with rotation
// switched on then takes the directory for a volume that was mounted a moment
// ago, answers the next try without asking the provider, and the pod starts with
// an empty volume.
//
// isFinalError in https://github.com/kubernetes/kubernetes/blob/v1.34.4/pkg/volume/csi/csi_client.go,
// rotationCacheDuration in the driver's pkg/secrets-store/nodeserver.go (v1.6.0).
func codeOf(kind error) codes.Code {
	for _, known := range []struct {
		kind error
		code codes.Code
	}{
		{fault.ErrInvalid, codes.InvalidArgument},
		{fault.ErrNotFound, codes.NotFound},
		{fault.ErrUnauthenticated, codes.Unauthenticated},
		{fault.ErrDenied, codes.PermissionDenied},
		{fault.ErrUnavailable, codes.Unknown},
		{fault.ErrTooLarge, codes.OutOfRange},
		{fault.ErrPrecondition, codes.FailedPrecondition},
		{fault.ErrInternal, codes.Internal},
		{context.Canceled, codes.Canceled},
		{context.DeadlineExceeded, codes.DeadlineExceeded},
	} {
		if errors.Is(kind, known.kind) {
			return known.code
		}
	}
	return codes.Internal
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

package kms

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/kmsring"
)

// maxText is the most bytes of an error's text, which the API server logs and
// shows in its health endpoint.
const maxText = 2 << 10

// kinds are the kinds of failure, with the gRPC code that the API server gets
// and the word in metrics.
func kinds() []kind {
	return []kind{
		{kmsring.ErrUnknownKey, codes.FailedPrecondition, "unknown_key"},
		{kmsring.ErrRetiredKey, codes.FailedPrecondition, "retired_key"},
		{errForeign, codes.FailedPrecondition, "foreign"},
		{fault.ErrInvalid, codes.InvalidArgument, "invalid"},
		{fault.ErrNotFound, codes.NotFound, "not_found"},
		{fault.ErrUnauthenticated, codes.Unauthenticated, "unauthenticated"},
		{fault.ErrDenied, codes.PermissionDenied, "denied"},
		{fault.ErrUnavailable, codes.Unavailable, "unavailable"},
		{context.Canceled, codes.Canceled, "canceled"},
		{context.DeadlineExceeded, codes.DeadlineExceeded, "unavailable"},
	}
}

type kind struct {
	err  error
	code codes.Code
	word string
}

// kindOf is the kind of an error; a fault in the plugin is internal.
func kindOf(err error) kind {
	for _, k := range kinds() {
		if errors.Is(err, k.err) {
			return k
		}
	}
	return kind{err, codes.Internal, "internal"}
}

// word is the result of a call in metrics.
func word(err error) string {
	if err == nil {
		return "ok"
	}
	return kindOf(err).word
}

// statusOf turns a failure into the gRPC status that the API server logs.
func statusOf(err error) error { return status.Error(kindOf(err).code, bounded(err.Error())) }

// bounded makes a text fit for a status.
func bounded(text string) string {
	if len(text) > maxText {
		text = text[:maxText] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

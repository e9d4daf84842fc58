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

// maxText is the maximum size in bytes of an error's text, which the API server logs
// and shows in its health endpoint.
const maxText = 2 << 10

// own are the failures of the plugin itself, beside the kinds of package fault.
var own = []fault.Kind{
	{Err: kmsring.ErrUnknownKey, KMS: codes.FailedPrecondition, Word: "unknown_key"},
	{Err: kmsring.ErrRetiredKey, KMS: codes.FailedPrecondition, Word: "retired_key"},
	{Err: errForeign, KMS: codes.FailedPrecondition, Word: "foreign"},
	{Err: context.Canceled, KMS: codes.Canceled, Word: "canceled"},
	{Err: context.DeadlineExceeded, KMS: codes.DeadlineExceeded, Word: "unavailable"},
}

// kindOf returns the kind of an error. A context that ended decides only for an
// error without a kind of its own.
func kindOf(err error) fault.Kind {
	kind := fault.Of(err)
	for _, k := range own {
		if errors.Is(kind.Err, fault.ErrInternal) && errors.Is(err, k.Err) {
			return k
		}
	}
	return kind
}

// word is the result of a call in metrics.
func word(err error) string {
	if err == nil {
		return "ok"
	}
	return kindOf(err).Word
}

// statusOf turns a failure into the gRPC status that the API server logs.
func statusOf(err error) error { return status.Error(kindOf(err).KMS, bounded(err.Error())) }

// bounded returns the text as valid UTF-8 of about maxText bytes.
func bounded(text string) string {
	if len(text) > maxText {
		text = text[:maxText] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

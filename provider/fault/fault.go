// Package fault defines the kinds of failure that the whole program tells apart,
// in one table. A front door takes its gRPC code from it, a metric its word, and
// the cache and the KMS plugin whether an older value may stand in.
//
// Start with Kind and Of.
package fault

import (
	"errors"
	"slices"

	"google.golang.org/grpc/codes"
)

// The kinds of failure. An error of a store or key service wraps exactly one of
// them, and its text says what was asked of what, the cause, and the remedy if it is known.
// The text holds no value, token or key.
var (
	// ErrInvalid means that the reference or the settings are wrong; only the
	// class's author or the operator can change that.
	ErrInvalid = errors.New("invalid")
	// ErrNotFound means that the store answered that there is no such secret
	// or version. An optional object may be absent for this reason alone.
	ErrNotFound = errors.New("not found")
	// ErrUnauthenticated means that the store does not accept the identity.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrDenied means that the store knows the identity and refuses it.
	ErrDenied = errors.New("permission denied")
	// ErrUnavailable means that the store could not answer now: unreachable,
	// sealed, throttled, failing. It may pass by itself.
	ErrUnavailable = errors.New("unavailable")
	// ErrThrottled marks an ErrUnavailable: the server refused the call because there
	// were too many, so it helps to wait. It is no kind of its own; see Throttledf.
	ErrThrottled = errors.New("throttled")
	// ErrTooLarge means that a bound of the operator's was passed.
	ErrTooLarge = errors.New("too large")
	// ErrPrecondition means that the cluster does not give the provider what
	// it needs, such as a pod's tokens.
	ErrPrecondition = errors.New("cluster configuration")
	// ErrInternal means a fault in the provider itself.
	ErrInternal = errors.New("internal error")
)

// Kind is one row of the table: what the program does about one kind of failure.
type Kind struct {
	// Err is the sentinel that errors of this kind wrap.
	Err error
	// Word names the kind in metrics.
	Word string
	// CSI is the gRPC code that the CSI driver gets. See kinds for the codes
	// that it must not be.
	CSI codes.Code
	// KMS is the gRPC code that the API server gets.
	KMS codes.Code
	// StaleOK allows an older value, or the last good answer of a key service,
	// to stand in for as long as the operator permits.
	StaleOK bool
}

// kinds are all kinds. If several objects of a mount fail, the first kind in the
// table decides the code: the kinds that a person must fix come first, and the
// one that may pass by itself is last.
//
// No code of the CSI door is one after which the kubelet believes that the mount
// may still go on: Unavailable, ResourceExhausted, Aborted, and for a caller that
// waits, Canceled and DeadlineExceeded. After those the kubelet keeps the target
// directory; a driver with rotation switched on then takes the directory for a
// volume that was mounted a moment ago, answers the next attempt without asking
// the provider, and the pod starts with an empty volume.
//
// isFinalError in https://github.com/kubernetes/kubernetes/blob/v1.34.4/pkg/volume/csi/csi_client.go,
// rotationCacheDuration in the driver's pkg/secrets-store/nodeserver.go (v1.6.0).
var kinds = []Kind{
	internal,
	{Err: ErrPrecondition, Word: "internal", CSI: codes.FailedPrecondition, KMS: codes.Internal},
	{Err: ErrInvalid, Word: "invalid", CSI: codes.InvalidArgument, KMS: codes.InvalidArgument},
	{Err: ErrUnauthenticated, Word: "unauthenticated", CSI: codes.Unauthenticated, KMS: codes.Unauthenticated},
	{Err: ErrDenied, Word: "denied", CSI: codes.PermissionDenied, KMS: codes.PermissionDenied},
	{Err: ErrNotFound, Word: "not_found", CSI: codes.NotFound, KMS: codes.NotFound},
	{Err: ErrTooLarge, Word: "internal", CSI: codes.OutOfRange, KMS: codes.Internal},
	{Err: ErrUnavailable, Word: "unavailable", CSI: codes.Unknown, KMS: codes.Unavailable, StaleOK: true},
}

var internal = Kind{Err: ErrInternal, Word: "internal", CSI: codes.Internal, KMS: codes.Internal}

// Kinds returns the whole table in its order.
func Kinds() []Kind { return slices.Clone(kinds) }

// Of returns the kind of err: the first in the table that err wraps. An error
// that wraps none is a fault of the program itself, ErrInternal.
func Of(err error) Kind {
	for _, kind := range kinds {
		if errors.Is(err, kind.Err) {
			return kind
		}
	}
	return internal
}

// First returns, of the kinds of two errors, the one that comes first in the table.
func First(a, b error) Kind {
	ofA, ofB := Of(a), Of(b)
	for _, kind := range kinds {
		if kind == ofA || kind == ofB {
			return kind
		}
	}
	return internal
}

// Fail makes cause an error of the kind, which adds nothing to its text.
func Fail(kind, cause error) error { return failure{kind, cause} }

type failure struct{ kind, cause error }

func (f failure) Error() string   { return f.cause.Error() }
func (f failure) Unwrap() []error { return []error{f.kind, f.cause} }

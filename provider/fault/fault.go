// Package fault is the kinds of failure that the whole program tells apart. A
// front door turns a kind into its protocol's code; the engine and the KMS plugin
// decide by it whether an older value may stand in.
package fault

import "errors"

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
	// sealed, throttled, failing. It may pass by itself, and a value that was
	// good before may stand in for a while.
	ErrUnavailable = errors.New("unavailable")
	// ErrTooLarge means that a bound of the operator's was passed.
	ErrTooLarge = errors.New("too large")
	// ErrPrecondition means that the cluster does not give the provider what
	// it needs, such as a pod's tokens.
	ErrPrecondition = errors.New("cluster configuration")
	// ErrInternal means a fault in the provider itself.
	ErrInternal = errors.New("internal error")
)

// Fail makes cause an error of the kind, which adds nothing to its text.
func Fail(kind, cause error) error { return failure{kind, cause} }

type failure struct{ kind, cause error }

func (f failure) Error() string   { return f.cause.Error() }
func (f failure) Unwrap() []error { return []error{f.kind, f.cause} }

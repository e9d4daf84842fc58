package provider

import "errors"

// The kinds of failure that a store does not know; see store.ErrInvalid and
// those beside it for the others.
var (
	// ErrTooLarge means that a bound of the operator's was passed.
	ErrTooLarge = errors.New("too large")
	// ErrPrecondition means that the cluster does not give the provider what
	// it needs, such as a pod's tokens.
	ErrPrecondition = errors.New("cluster configuration")
	// ErrInternal means a fault in the provider itself.
	ErrInternal = errors.New("internal error")
)

// MountError is why a mount failed: all of it. It wraps one kind: one of the
// three above or one of package store's. It is store.ErrUnavailable only if
// every failure may pass by itself.
type MountError struct {
	Kind error
	Text string
}

// Error is the text for the pod's event; it holds no value and no token.
func (e *MountError) Error() string { return e.Text }

// Unwrap returns the kind.
func (e *MountError) Unwrap() error { return e.Kind }

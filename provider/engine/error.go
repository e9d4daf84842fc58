package engine

// MountError is why a mount failed: all of it. It wraps one kind of
// package fault, fault.ErrUnavailable only if every failure may pass by itself.
type MountError struct {
	Kind error
	Text string
}

// Error is the text for the pod's event; it holds no value and no token.
func (e *MountError) Error() string { return e.Text }

// Unwrap returns the kind.
func (e *MountError) Unwrap() error { return e.Kind }

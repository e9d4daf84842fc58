package fault

import "fmt"

// Failf is Fail with the cause that fmt.Errorf makes.
func Failf(kind error, format string, args ...any) error {
	return Fail(kind, fmt.Errorf(format, args...))
}

// Throttledf is Failf for an ErrUnavailable that is also ErrThrottled. who is the server
// that has too many calls, and the rest is its reason or the remedy: all servers'
// throttling is told in the same words.
func Throttledf(who, format string, args ...any) error {
	return Fail(ErrUnavailable, Fail(ErrThrottled, fmt.Errorf("%s is throttling (too many calls): %w", who, fmt.Errorf(format, args...))))
}

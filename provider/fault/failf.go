package fault

import "fmt"

// Failf is Fail with the cause that fmt.Errorf makes.
func Failf(kind error, format string, args ...any) error {
	return Fail(kind, fmt.Errorf(format, args...))
}

//go:build !linux

package process

import "errors"

// Harden returns an error: only Linux is known well enough.
func Harden() error {
	return errors.New("the provider can protect its memory only on Linux")
}

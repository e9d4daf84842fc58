package exec

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	osexec "os/exec"
	"syscall"
)

// The exit codes of a command that could not be started, as a shell has them.
// https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html
const (
	ExitNotExecutable = 126
	ExitNotFound      = 127
)

// StartError is why a command could not be started.
type StartError struct {
	Command string
	Err     error
}

// Error names the command and the cause.
func (e *StartError) Error() string { return fmt.Sprintf("%s: %v", e.Command, e.Err) }

// Unwrap is the cause.
func (e *StartError) Unwrap() error { return e.Err }

// ExitCode is that of a shell for the error.
func (e *StartError) ExitCode() int {
	if errors.Is(e.Err, fs.ErrNotExist) || errors.Is(e.Err, osexec.ErrNotFound) {
		return ExitNotFound
	}
	return ExitNotExecutable
}

// lookup is the file of a command, found in PATH as a shell finds it.
func lookup(command string) (string, error) {
	path, err := osexec.LookPath(command)
	if err != nil {
		var at *osexec.Error
		if errors.As(err, &at) {
			err = at.Err
		}
		return "", &StartError{command, err}
	}
	return path, nil
}

// Replace becomes the command: the process keeps its ID, and nothing of this program
// stays. It returns only if that fails, with a *StartError.
func Replace(args, environ []string) error {
	path, err := lookup(args[0])
	if err != nil {
		return err
	}
	if err := syscall.Exec(path, args, environ); err != nil { //nolint:gosec // the command that the user names
		if errors.Is(err, syscall.E2BIG) {
			err = errors.New("the environment and the arguments together are larger than the kernel takes; give the command fewer values, or read files instead")
		}
		return &StartError{args[0], err}
	}
	return errors.New("unreachable")
}

// Inherited is the environment of this process.
func Inherited() []string { return os.Environ() }

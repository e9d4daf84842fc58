package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"
)

// errInterrupted is the error of a read that SIGINT or SIGTERM broke off.
var errInterrupted = errors.New("interrupted while reading standard input")

// stdin is the command's standard input. A read ends when the command's context
// does. At a terminal the first one says on standard error what the command waits
// for.
func stdin(c *cobra.Command) io.Reader {
	r := &stdinReader{ctx: c.Context(), from: c.InOrStdin()}
	if file, ok := r.from.(*os.File); ok && isTerminal(file) {
		r.notice = sync.OnceValue(func() error {
			if err := inForeground(file, "give a file"); err != nil {
				return err
			}
			fmt.Fprintln(c.ErrOrStderr(), "lanyard: reading standard input from the terminal; end it with Ctrl-D on a line of its own")
			return nil
		})
	}
	return r
}

type stdinReader struct {
	ctx    context.Context
	from   io.Reader
	notice func() error // nil if nobody sits at the other end
}

func (r *stdinReader) Read(p []byte) (int, error) {
	if r.notice != nil {
		if err := r.notice(); err != nil {
			return 0, err
		}
	}
	type result struct {
		n   int
		err error
	}
	results := make(chan result, 1)
	buffer := make([]byte, len(p))
	// A read of a terminal or a pipe cannot be broken off: after an interrupt the
	// goroutine ends with the process, which ends at once.
	go func() {
		n, err := r.from.Read(buffer)
		results <- result{n, err}
	}()
	select {
	case got := <-results:
		return copy(p, buffer[:got.n]), got.err
	case <-r.ctx.Done():
		return 0, errInterrupted
	}
}

// confirm asks a question at a terminal, and is nil if it is answered with yes or if yes
// is true already. Elsewhere nobody can be asked.
func confirm(c *cobra.Command, question string, yes bool) error {
	if yes {
		return nil
	}
	file, ok := c.InOrStdin().(*os.File)
	if !ok || !isTerminal(file) {
		return usagef("%s Nobody can be asked here: give --yes if that is what you want", question)
	}
	return promptYes(c.Context(), file, c.ErrOrStderr(), question)
}

// maxSealedInput is more than the longest sealed text and the longest value.
const maxSealedInput = 2 << 20

// readInput reads the file, or standard input if no file is named. The error
// never quotes what was read.
func readInput(c *cobra.Command, file string, maxBytes int) ([]byte, error) {
	in, from := stdin(c), "standard input"
	if file != "" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, usagef("%w", err)
		}
		defer opened.Close() //nolint:errcheck // nothing was written
		in, from = opened, file
	}
	data, err := io.ReadAll(io.LimitReader(in, int64(maxBytes)+1))
	if err != nil {
		return nil, usagef("%s could not be read: %w", from, err)
	}
	if len(data) > maxBytes {
		return nil, usagef("%s has more than %d bytes", from, maxBytes)
	}
	return data, nil
}

// readSealedText returns the sealed text of the argument, the file or standard
// input. A text from a file may end in a newline, as files do.
func readSealedText(c *cobra.Command, args []string, file string) (string, error) {
	if len(args) == 1 {
		if file != "" {
			return "", usagef("a sealed text is given as an argument and in --file; give one of them")
		}
		return args[0], nil
	}
	data, err := readInput(c, file, maxSealedInput)
	if err != nil {
		return "", err
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		return "", usagef("there is no sealed text; give it as the argument, in --file, or on standard input")
	}
	return text, nil
}

// maxFile is the most bytes of a file that readFile reads: more than a key ring or a
// configuration has.
const maxFile = 16 << 20

// readFile reads a file that is not a manifest. The error does not name it.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("has more than %d MiB", maxFile>>20)
	}
	return data, err
}

// unreadable is a usage error that names the file once.
func unreadable(name string, err error) error { return usageError{unnamed(name, err)} }

// unnamed says once what the file is called, by the name that the user knows.
func unnamed(name string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("%s: %w", name, err)
}

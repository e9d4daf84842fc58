package cmd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/lanyardhq/lanyard/provider/secret"
)

func isTerminal(file *os.File) bool { return term.IsTerminal(int(file.Fd())) }

// askValue asks for a value twice without showing it.
func askValue(ctx context.Context, terminal *os.File, out io.Writer) (secret.Bytes, error) {
	first, err := askLine(ctx, terminal, out, "value (not shown): ")
	if err != nil {
		return secret.Bytes{}, err
	}
	again, err := askLine(ctx, terminal, out, "once more:         ")
	if err != nil {
		return secret.Bytes{}, err
	}
	if !bytes.Equal(first, again) {
		return secret.Bytes{}, usagef("the two values differ; nothing was sealed")
	}
	return secret.New(first), nil
}

// askLine reads one line without showing it, or gives up when ctx ends and
// leaves the terminal as it was.
func askLine(ctx context.Context, terminal *os.File, out io.Writer, prompt string) ([]byte, error) {
	type answer struct {
		line []byte
		err  error
	}
	fd := int(terminal.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, usagef("the terminal cannot be asked; give the value on standard input or in --file")
	}
	fmt.Fprint(out, prompt)
	answers := make(chan answer, 1)
	// A read from a terminal cannot be broken off: after an interrupt the
	// goroutine ends with the process, which ends at once.
	go func() {
		line, err := term.ReadPassword(fd)
		answers <- answer{line, err}
	}()
	select {
	case got := <-answers:
		fmt.Fprintln(out)
		if got.err != nil {
			return nil, usagef("no value was entered")
		}
		return got.line, nil
	case <-ctx.Done():
		fmt.Fprintln(out)
		if err := term.Restore(fd, before); err != nil {
			return nil, fmt.Errorf("interrupted; the terminal's echo is off, run stty sane: %w", err)
		}
		return nil, fmt.Errorf("%w; nothing was sealed", errInterrupted)
	}
}

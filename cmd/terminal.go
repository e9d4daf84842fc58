package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func isTerminal(file *os.File) bool { return term.IsTerminal(int(file.Fd())) }

// inForeground refuses a job in the background of the terminal, which the kernel would
// stop at its first read: a script that waits for it would wait for ever. instead is what
// to do there. A terminal that controls another session or none stops nobody.
func inForeground(terminal *os.File, instead string) error {
	group, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPGRP)
	if err == nil && group != unix.Getpgrp() {
		return usagef("the terminal cannot be asked from the background; %s, or run the command in the foreground (timeout has --foreground)", instead)
	}
	return nil
}

// The keys of a terminal in raw mode that promptLine acts on.
const (
	keyInterrupt = 0x03 // Ctrl-C
	keyEnd       = 0x04 // Ctrl-D
	keyBackspace = 0x08
	keyKill      = 0x15 // Ctrl-U
	keyDelete    = 0x7f
)

// pasteGap is longer than the pauses within one paste, and shorter than a person
// needs between Enter and the next key.
const pasteGap = 100 * time.Millisecond

// prompter reads lines from a terminal in raw mode: a terminal that assembles lines
// itself drops what a line has beyond 4,095 bytes.
type prompter struct {
	out   io.Writer
	input chan []byte // what was typed; closed when the terminal is
	typed []byte      // what has come from input and has not been used
}

// promptValue reads a value twice without showing it. It refuses input of more than
// the two lines.
func promptValue(ctx context.Context, terminal *os.File, out io.Writer) (secret.Bytes, error) {
	value, err := prompt(terminal, out, "give the value on standard input or in --file", func(p *prompter) ([]byte, error) { return p.promptTwice(ctx) })
	if err != nil {
		return secret.Bytes{}, err
	}
	return secret.New(value), nil
}

// errNo is the error of a question that was not answered with yes.
var errNo = errors.New("nothing was written")

// promptYes is nil if a question is answered with yes and nothing else.
func promptYes(ctx context.Context, terminal *os.File, out io.Writer, question string) error {
	answer, err := prompt(terminal, out, "give --yes", func(p *prompter) ([]byte, error) { return p.promptLine(ctx, question+" [y/N] ") })
	switch {
	case errors.Is(err, errInterrupted):
		return fmt.Errorf("%w; %w", errInterrupted, errNo)
	case err != nil || !slices.Contains([]string{"y", "yes"}, strings.ToLower(string(answer))):
		return errNo
	}
	return nil
}

// prompt asks a question at a terminal. What else was entered is discarded on every way
// out, so that a shell does not run the rest of what was pasted. instead is what to do
// where nobody can be asked.
func prompt(terminal *os.File, out io.Writer, instead string, question func(*prompter) ([]byte, error)) ([]byte, error) {
	if err := inForeground(terminal, instead); err != nil {
		return nil, err
	}
	fd := int(terminal.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, usagef("the terminal cannot be asked; %s", instead)
	}
	p := &prompter{out: out, input: make(chan []byte)}
	done := make(chan struct{})
	// A read from a terminal cannot be broken off: the goroutine ends with the
	// process, which ends soon.
	go func() {
		defer close(p.input)
		for {
			buffer := make([]byte, 4096)
			n, err := terminal.Read(buffer)
			if err != nil {
				return
			}
			select {
			case p.input <- buffer[:n]:
			case <-done:
				return
			}
		}
	}()
	answer, err := question(p)
	for p.more() { // never leave the rest of the input to the shell
		p.typed = nil
	}
	close(done)
	if failed := term.Restore(fd, before); failed != nil {
		return nil, fmt.Errorf("the terminal's echo is off, run stty sane: %w", failed)
	}
	return answer, err
}

func (p *prompter) promptTwice(ctx context.Context) ([]byte, error) {
	first, err := p.promptLine(ctx, "value (not shown): ")
	if err != nil {
		return nil, err
	}
	again, err := p.promptLine(ctx, "once more:         ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, again) {
		return nil, usagef("the two values differ; nothing was sealed")
	}
	return first, nil
}

// promptLine reads one line without showing it, or gives up when ctx ends.
func (p *prompter) promptLine(ctx context.Context, prompt string) ([]byte, error) {
	fmt.Fprint(p.out, prompt)
	defer fmt.Fprint(p.out, "\r\n")
	var line []byte
	for {
		for len(p.typed) > 0 {
			key := p.typed[0]
			p.typed = p.typed[1:]
			switch key {
			case '\r', '\n':
				if p.more() {
					return nil, usagef("more than one line was entered; give a value of several lines on standard input or in --file; nothing was sealed")
				}
				return line, nil
			case keyInterrupt:
				return nil, fmt.Errorf("%w; nothing was sealed", errInterrupted)
			case keyEnd:
				if len(line) == 0 {
					return nil, usagef("no value was entered")
				}
			case keyBackspace, keyDelete:
				_, size := utf8.DecodeLastRune(line)
				line = line[:len(line)-size]
			case keyKill:
				line = line[:0]
			default:
				line = append(line, key)
			}
		}
		if len(line) > seal.MaxValue {
			return nil, usagef("the value has more than %d bytes; nothing was sealed", seal.MaxValue)
		}
		select {
		case typed, open := <-p.input:
			if !open {
				return nil, usagef("no value was entered")
			}
			p.typed = typed
		case <-ctx.Done():
			return nil, fmt.Errorf("%w; nothing was sealed", errInterrupted)
		}
	}
}

// more says whether there is more input, and waits for it as long as a paste pauses.
func (p *prompter) more() bool {
	if len(p.typed) > 0 {
		return true
	}
	select {
	case p.typed = <-p.input: // nil if the terminal is closed
		return len(p.typed) > 0
	case <-time.After(pasteGap):
		return false
	}
}

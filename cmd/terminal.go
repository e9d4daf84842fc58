package cmd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func isTerminal(file *os.File) bool { return term.IsTerminal(int(file.Fd())) }

// The keys of a terminal in raw mode that askLine acts on.
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

// askValue asks for a value twice without showing it. It refuses input of more than
// the two lines, and discards that input, so that a shell does not run the rest of
// a pasted key.
func askValue(ctx context.Context, terminal *os.File, out io.Writer) (secret.Bytes, error) {
	fd := int(terminal.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return secret.Bytes{}, usagef("the terminal cannot be asked; give the value on standard input or in --file")
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
	value, err := p.askTwice(ctx)
	for p.more() { // never leave the rest of the input to the shell
		p.typed = nil
	}
	close(done)
	if failed := term.Restore(fd, before); failed != nil {
		return secret.Bytes{}, fmt.Errorf("the terminal's echo is off, run stty sane: %w", failed)
	}
	if err != nil {
		return secret.Bytes{}, err
	}
	return secret.New(value), nil
}

func (p *prompter) askTwice(ctx context.Context) ([]byte, error) {
	first, err := p.askLine(ctx, "value (not shown): ")
	if err != nil {
		return nil, err
	}
	again, err := p.askLine(ctx, "once more:         ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, again) {
		return nil, usagef("the two values differ; nothing was sealed")
	}
	return first, nil
}

// askLine reads one line without showing it, or gives up when ctx ends.
func (p *prompter) askLine(ctx context.Context, prompt string) ([]byte, error) {
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

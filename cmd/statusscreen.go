package cmd

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// screen is where a report is printed.
type screen struct {
	io.Writer
	terminal bool
	color    bool
	width    func() int // of a terminal; 0 for any
}

func newScreen(out io.Writer) *screen {
	file, ok := out.(*os.File)
	if !ok || !isTerminal(file) {
		return &screen{Writer: out, width: func() int { return 0 }}
	}
	return &screen{
		Writer: out, terminal: true,
		// https://no-color.org
		color: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		width: func() int {
			width, _, err := term.GetSize(int(file.Fd()))
			if err != nil {
				return 0
			}
			return width
		},
	}
}

// clearScreen is what a terminal clears itself by.
const clearScreen = "\x1b[H\x1b[2J\x1b[3J"

// printAgain prints one of several reports: over the one before on a terminal, after it
// elsewhere.
func (r *statusReport) printAgain(to *screen, format string, first bool) error {
	if format == "json" {
		return printJSONLine(to, r)
	}
	var text strings.Builder
	switch {
	case to.terminal:
		text.WriteString(clearScreen)
	case !first:
		text.WriteString("\n")
	}
	fmt.Fprintf(&text, "%s\n", r.Time.Format(time.DateTime))
	if err := r.print(&screen{&text, to.terminal, to.color, to.width}, format); err != nil {
		return err
	}
	_, err := io.WriteString(to, text.String())
	return err
}

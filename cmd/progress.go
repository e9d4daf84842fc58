package cmd

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progressBar shows how far a long command is: one line that is written over on a
// terminal, a line now and then elsewhere.
type progressBar struct {
	out      io.Writer
	terminal bool
	began    time.Time
	last     time.Time
	shown    bool
}

const (
	barWidth   = 30
	barOften   = 100 * time.Millisecond
	barSeldom  = 10 * time.Second
	barLater   = 2 * time.Second
	clearToEnd = "\x1b[K"
)

func newProgressBar(out io.Writer) *progressBar {
	file, ok := out.(*os.File)
	now := time.Now()
	return &progressBar{out: out, terminal: ok && isTerminal(file), began: now, last: now}
}

func (b *progressBar) show(what string, done, total int) {
	often := barSeldom
	if b.terminal {
		often = barOften
	}
	now := time.Now()
	if now.Sub(b.last) < often {
		return
	}
	b.last, b.shown = now, true
	share := 1.0
	if total > 0 {
		share = float64(done) / float64(total)
	}
	if !b.terminal {
		fmt.Fprintf(b.out, "%s: %d of about %d after %s\n", what, done, total, now.Sub(b.began).Round(time.Second))
		return
	}
	filled := int(share * barWidth)
	fmt.Fprintf(b.out, "\r%s [%s%s] %3.0f %%  %d of about %d  %s%s", what, strings.Repeat("=", filled), strings.Repeat(" ", barWidth-filled),
		100*share, done, total, now.Sub(b.began).Round(time.Second), clearToEnd)
}

// later is show for what is over in a moment as a rule: nothing is shown before barLater.
func (b *progressBar) later(what string, done, total int) {
	if time.Since(b.began) >= barLater {
		b.show(what, done, total)
	}
}

// end leaves the terminal with an empty line.
func (b *progressBar) end() {
	if b.terminal && b.shown {
		fmt.Fprint(b.out, "\r"+clearToEnd)
	}
}

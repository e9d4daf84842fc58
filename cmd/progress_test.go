package cmd

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestProgressIsALineNowAndThenWithoutATerminal(t *testing.T) {
	var out strings.Builder
	bar := newProgressBar(io.Writer(&out))
	bar.show("secrets", 1, 9)
	bar.last = time.Now().Add(-barSeldom)
	bar.show("secrets", 3, 9)
	bar.show("secrets", 4, 9)
	bar.end()
	if out.String() != "secrets: 3 of about 9 after 0s\n" {
		t.Errorf("%q", out.String())
	}
	out.Reset()
	bar.terminal, bar.last = true, time.Time{}
	bar.show("secrets", 3, 9)
	bar.end()
	if want := "\rsecrets [==========                    ]  33 %  3 of about 9  0s\x1b[K\r\x1b[K"; out.String() != want {
		t.Errorf("%q", out.String())
	}
}

func TestProgressOfWhatIsOverInAMomentIsNotShown(t *testing.T) {
	var out strings.Builder
	bar := newProgressBar(io.Writer(&out))
	bar.last = time.Now().Add(-barSeldom)
	bar.later("pods", 1, 9)
	if out.String() != "" {
		t.Errorf("%q", out.String())
	}
	bar.began = time.Now().Add(-3 * time.Second)
	bar.later("pods", 1, 9)
	if !strings.HasPrefix(out.String(), "pods: 1 of about 9 after ") {
		t.Errorf("%q", out.String())
	}
}

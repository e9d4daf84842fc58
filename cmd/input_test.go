package cmd_test

import (
	"bytes"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/lanyardhq/lanyard/cmd"
)

// interrupting is standard input that sends nothing: a SIGINT arrives while it is
// read.
type interrupting struct{ end <-chan struct{} }

func (r interrupting) Read([]byte) (int, error) {
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		return 0, err
	}
	<-r.end
	return 0, os.ErrClosed
}

func TestInterruptEndsTheReadingOfStandardInput(t *testing.T) {
	b := newSealBench(t)
	for _, args := range [][]string{
		{"check", "-"},
		{"convert", "-"},
		{"inspect"},
		{"mount", "-"},
		b.reseal("-"),
		{"seal", "--public", b.public, "-n", "a", "--service-account", "b", "--name", "c"},
		{"seal", "--public", b.public, "-n", "a", "--service-account", "b", "--path", "c", "--file", b.public, "--merge-into", "-"},
		{"unseal", "--key-ring", b.ring, "-n", "a", "--service-account", "b", "--name", "c"},
	} {
		var out, errs bytes.Buffer
		code := cmd.Execute(args, interrupting{t.Context().Done()}, &out, &errs)
		if code != 130 || out.Len() > 0 || !strings.Contains(errs.String(), "interrupted") {
			t.Errorf("lanyard %s: exit code %d, %q, %q", args[0], code, out.String(), errs.String())
		}
	}
}

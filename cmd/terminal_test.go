package cmd_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lanyardhq/lanyard/cmd"
)

// openTerminal makes a pseudo terminal: what is written to the keyboard is
// typed at the terminal, and what the terminal echoes is read from it.
func openTerminal(t *testing.T) (keyboard, terminal *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return keyboard, terminal
}

// typist types the next line whenever a prompt asks for one.
type typist struct {
	bytes.Buffer
	keyboard *os.File
	lines    []string
}

func (w *typist) Write(p []byte) (int, error) {
	if bytes.HasSuffix(p, []byte(": ")) || bytes.HasSuffix(p, []byte(":         ")) {
		if _, err := w.keyboard.WriteString(w.lines[0] + "\n"); err != nil {
			return 0, err
		}
		w.lines = w.lines[1:]
	}
	return w.Buffer.Write(p)
}

func TestSealAsksAtATerminal(t *testing.T) {
	b := newSealBench(t)
	for name, c := range map[string]struct {
		lines []string
		code  int
		tells string
	}{
		"twice the same":    {[]string{"hunter2", "hunter2"}, 0, ""},
		"two values":        {[]string{"hunter2", "hunter3"}, 2, "differ"},
		"nothing was typed": {[]string{"", ""}, 2, "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			keyboard, terminal := openTerminal(t)
			asked := &typist{keyboard: keyboard, lines: c.lines}
			var out bytes.Buffer
			code := cmd.Execute(append([]string{"seal", "--public", b.public}, forWeb...), terminal, &out, asked)
			if code != c.code || !strings.Contains(asked.String(), c.tells) {
				t.Fatalf("exit code %d, %q", code, asked)
			}
			if strings.Contains(asked.String()+out.String(), "hunter") {
				t.Error("the command shows the value")
			}
			if code == 0 && b.unseal(out.String()) != "hunter2" {
				t.Error("another value was sealed")
			}
		})
	}
	t.Run("leaves the terminal as it was after an interrupt", func(t *testing.T) {
		_, terminal := openTerminal(t)
		// A second descriptor, because the command has the first.
		fd, err := unix.Dup(int(terminal.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		// The interrupt comes once the echo is off, which is when the value is
		// being waited for.
		go func() {
			for {
				now, err := unix.IoctlGetTermios(fd, unix.TCGETS)
				if err != nil || now.Lflag&unix.ECHO == 0 {
					break
				}
				time.Sleep(time.Millisecond)
			}
			_ = unix.Kill(os.Getpid(), unix.SIGINT)
		}()
		var out, errs bytes.Buffer
		code := cmd.Execute(append([]string{"seal", "--public", b.public}, forWeb...), terminal, &out, &errs)
		if code != 130 || !strings.Contains(errs.String(), "interrupted") {
			t.Errorf("exit code %d, %q", code, errs.String())
		}
		after, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		if after.Lflag != before.Lflag {
			t.Error("the terminal's echo is still off")
		}
	})
}

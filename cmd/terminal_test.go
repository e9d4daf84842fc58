package cmd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

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

// maxTyped is what a pseudo terminal holds of typing that nobody reads yet. A prompt is
// written and typed at in one go, so that more would wait for a reader that waits for the
// prompt. https://github.com/torvalds/linux/blob/v6.18/drivers/tty/pty.c (tty_buffer_set_limit)
const maxTyped = 8192

// typist types the next line whenever a prompt asks for one, and hangs up at a prompt for
// which it has none, so that no command waits for more.
type typist struct {
	bytes.Buffer
	keyboard *os.File
	lines    []string
}

func (w *typist) Write(p []byte) (int, error) {
	if bytes.HasSuffix(p, []byte(": ")) || bytes.HasSuffix(p, []byte(":         ")) {
		if err := w.typeNext(); err != nil {
			fmt.Fprintf(&w.Buffer, "typist: %v\n", err)
			_ = w.keyboard.Close()
		}
	}
	return w.Buffer.Write(p)
}

func (w *typist) typeNext() error {
	switch {
	case len(w.lines) == 0:
		return errors.New("nothing is left to type")
	case len(w.lines[0]) >= maxTyped:
		return errors.New("the terminal cannot hold what is to be typed")
	}
	_, err := w.keyboard.WriteString(w.lines[0] + "\n")
	w.lines = w.lines[1:]
	return err
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
	t.Run("whole values beyond a line of the terminal", func(t *testing.T) {
		long := strings.Repeat("0123456789", 500)
		keyboard, terminal := openTerminal(t)
		asked := &typist{keyboard: keyboard, lines: []string{long, long}}
		var out bytes.Buffer
		if code := cmd.Execute(append([]string{"seal", "--public", b.public}, forWeb...), terminal, &out, asked); code != 0 {
			t.Fatalf("exit code %d, %q", code, asked)
		}
		if got := b.unseal(out.String()); got != long {
			t.Errorf("%d bytes were sealed, not %d", len(got), len(long))
		}
	})
	t.Run("keys that edit", func(t *testing.T) {
		keyboard, terminal := openTerminal(t)
		asked := &typist{keyboard: keyboard, lines: []string{"wrong\x15hunterä\x7f2", "hunter3\x7f2"}}
		var out bytes.Buffer
		if code := cmd.Execute(append([]string{"seal", "--public", b.public}, forWeb...), terminal, &out, asked); code != 0 {
			t.Fatalf("exit code %d, %q", code, asked)
		}
		if got := b.unseal(out.String()); got != "hunter2" {
			t.Errorf("%q was sealed", got)
		}
	})
	for name, typed := range map[string][]string{
		"a paste of several lines":                  {"BEGIN\nhunter\nhunter\nhunter\nEND"},
		"a paste of several lines at the second":    {"hunter2", "hunter2\nrm -rf"},
		"the value twice in one paste":              {"hunter2\nhunter2"},
		"a paste of more lines than a buffer holds": {strings.Repeat("hunter\n", 1000)},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			keyboard, terminal := openTerminal(t)
			fd := duplicate(t, terminal)
			asked := &typist{keyboard: keyboard, lines: typed}
			var out bytes.Buffer
			code := cmd.Execute(append([]string{"seal", "--public", b.public}, forWeb...), terminal, &out, asked)
			if code != 2 || !strings.Contains(asked.String(), "more than one line") || out.Len() > 0 {
				t.Errorf("exit code %d, %q", code, asked)
			}
			if left, err := unix.IoctlGetInt(fd, unix.TIOCINQ); err != nil || left > 0 {
				t.Errorf("the shell gets %d bytes, %v", left, err)
			}
		})
	}
	for name, interrupt := range map[string]func(keyboard *os.File) error{
		"SIGINT":  func(*os.File) error { return unix.Kill(os.Getpid(), unix.SIGINT) },
		"SIGTERM": func(*os.File) error { return unix.Kill(os.Getpid(), unix.SIGTERM) },
		"Ctrl-C":  func(keyboard *os.File) error { _, err := keyboard.WriteString("hun\x03"); return err },
	} {
		t.Run("leaves the terminal as it was after "+name, func(t *testing.T) {
			keyboard, terminal := openTerminal(t)
			fd := duplicate(t, terminal)
			before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			errs := &interrupter{interrupt: func() error { return interrupt(keyboard) }}
			var out bytes.Buffer
			code := cmd.Execute(append([]string{"seal", "--public", b.public}, forWeb...), terminal, &out, errs)
			if code != 130 || !strings.Contains(errs.String(), "interrupted") {
				t.Errorf("exit code %d, %q", code, errs.String())
			}
			after, err := unix.IoctlGetTermios(fd, unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			if *after != *before {
				t.Error("the terminal is left in another mode")
			}
		})
	}
}

// duplicate returns a second descriptor of the terminal: the command has the first.
func duplicate(t *testing.T, terminal *os.File) int {
	t.Helper()
	fd, err := unix.Dup(int(terminal.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// interrupter interrupts at the first prompt.
type interrupter struct {
	bytes.Buffer
	interrupt func() error
}

func (w *interrupter) Write(p []byte) (int, error) {
	if w.Len() == 0 {
		if err := w.interrupt(); err != nil {
			return 0, err
		}
	}
	return w.Buffer.Write(p)
}

// inBackground is the variable with the part that a process of TestNobodyIsAskedFromTheBackground
// has, and the file of its public key.
const inBackground = "LANYARD_TEST_BACKGROUND"

// The shell of the test has the terminal, and starts the command as a job in the background.
func TestNobodyIsAskedFromTheBackground(t *testing.T) {
	switch part, of, _ := strings.Cut(os.Getenv(inBackground), " "); part {
	case "shell":
		os.Exit(runInBackground(of))
	case "ask":
		os.Exit(cmd.Execute(append([]string{"seal", "--public", of}, forWeb...), os.Stdin, os.Stdout, os.Stderr))
	case "read":
		os.Exit(cmd.Execute([]string{"check", "-"}, os.Stdin, os.Stdout, os.Stderr))
	}
	b := newSealBench(t)
	for _, part := range []string{"ask", "read"} {
		t.Run(part, func(t *testing.T) {
			_, terminal := openTerminal(t)
			shell := again(t.Context(), "shell "+part+" "+b.public)
			shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			shell.Stdin = terminal
			said, err := shell.CombinedOutput()
			if shell.ProcessState.ExitCode() != 2 || !strings.Contains(string(said), "from the background") {
				t.Errorf("%v: %s", err, said)
			}
		})
	}
}

// again is this test in a process of its own.
func again(ctx context.Context, part string) *exec.Cmd {
	c := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestNobodyIsAskedFromTheBackground$")
	c.Env = append(os.Environ(), inBackground+"="+part)
	return c
}

// runInBackground returns the exit code of a job in the background, or -1 if it was
// stopped, which it does not stay.
func runInBackground(part string) int {
	job := again(context.Background(), part)
	job.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	job.Stdin, job.Stdout, job.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := job.Start(); err != nil {
		return -1
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(job.Process.Pid, &status, unix.WUNTRACED, nil); err != nil || status.Stopped() {
		_ = job.Process.Kill()
		return -1
	}
	return status.ExitStatus()
}

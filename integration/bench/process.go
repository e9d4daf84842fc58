package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	readyWithin = 30 * time.Second
	endWithin   = 10 * time.Second
)

// process is a server that runs in a process of its own, beneath a directory
// of its own.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	log   string
	ended chan struct{}
}

// startProcess starts a program that ends when it is stopped, or with this
// one: its standard input is closed then, and the kernel kills it.
func startProcess(dir, program string, args ...string) (*process, error) {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()                     //nolint:errcheck // the process has it too
	cmd := exec.Command(program, args...) //nolint:gosec,noctx // it is stopped, not killed, and the program is the caller's
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=/nonexistent"}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, stdin: stdin, log: log.Name(), ended: make(chan struct{})}
	go func() { // ends with the process
		defer close(p.ended)
		_ = cmd.Wait() //nolint:errcheck // how it ended is in cmd.ProcessState
	}()
	return p, nil
}

// awaitSocket waits until the process accepts connections at the path.
func (p *process) awaitSocket(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "unix", path)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended before it was ready (%v):\n%s", p.cmd.Path, p.cmd.ProcessState, p.printed())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", p.cmd.Path, ctx.Err(), p.printed())
		case <-time.After(500 * time.Microsecond):
		}
	}
}

// printed is the end of what the process has printed.
func (p *process) printed() string {
	const maxBytes = 4 << 10
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-maxBytes):])
}

// stop ends the process and waits for its end.
func (p *process) stop() {
	_ = p.stdin.Close()                       //nolint:errcheck // the process may be gone
	_ = p.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // the process may be gone
	select {
	case <-p.ended:
	case <-time.After(endWithin):
		_ = p.cmd.Process.Kill() //nolint:errcheck // the process may be gone
		<-p.ended
	}
}

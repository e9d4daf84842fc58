// Package lanyardserver runs the real `lanyard serve` for tests: a process of
// its own, built with the race detector, with a socket directory, a
// configuration file and a home of its own below one temporary directory.
//
// Tests start with Build, once, and New. The client is theirs to choose; the
// Secrets Store CSI driver's own finds the socket in Server.SocketDir.
package lanyardserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a process may take to be ready, and to end.
const patience = 30 * time.Second

// Options say how a process is started.
type Options struct {
	// Binary is what Build returned.
	Binary string
	// Config is the operator's configuration file.
	Config string
	// Flags are given to serve beside those for the configuration file, the
	// socket directory and the admin address.
	Flags []string
	// Agent starts `lanyard agent` instead, which has no sockets.
	Agent bool
}

// Server is a `lanyard serve` that runs, or that was killed and can be started
// again. Its methods may not be called at the same time, but for Output.
type Server struct {
	// Root is the directory that holds all that the process can find: its
	// working directory, its home and its temporary directory. Nothing but the
	// socket and the configuration file is in there to begin with.
	Root string
	// SocketDir is where the socket is, ConfigFile the configuration.
	SocketDir, ConfigFile string
	// Admin is the URL of the admin listener, without a path.
	Admin string

	options Options
	output  *Output
	process *exec.Cmd
	ended   chan struct{} // closed when process has ended
}

// New starts a server that is ended with the test, which fails if the process
// then does not end well, if it had a data race, or if it panicked.
func New(t testing.TB, opts Options) *Server {
	t.Helper()
	s, err := prepare(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.finish(t) })
	if err := s.Start(); err != nil {
		t.Fatalf("%v\n%s", err, s.Output())
	}
	return s
}

// prepare makes the directories and the configuration file. The directory is
// not the test's own, whose name could be too long for a unix socket.
func prepare(opts Options) (*Server, error) {
	root, err := os.MkdirTemp("", "lanyard-")
	if err != nil {
		return nil, err
	}
	admin, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	s := &Server{
		Root: root, SocketDir: filepath.Join(root, "sockets"), ConfigFile: filepath.Join(root, "lanyard.yaml"),
		Admin: "http://" + admin, options: opts, output: &Output{},
	}
	if err := os.Mkdir(s.SocketDir, 0o700); err != nil {
		return nil, err
	}
	return s, s.Configure(opts.Config)
}

// FreeAddress is an address that nobody listened on a moment ago.
func FreeAddress() (string, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// Start starts the process and waits until it is ready. It must not be running.
func (s *Server) Start() error {
	args := []string{"serve", "--config", s.ConfigFile, "--socket-dir", s.SocketDir, "--admin-address", strings.TrimPrefix(s.Admin, "http://")}
	if s.options.Agent {
		args = []string{"agent", "--config", s.ConfigFile, "--address", strings.TrimPrefix(s.Admin, "http://")}
	}
	args = append(args, s.options.Flags...)
	cmd := exec.Command(s.options.Binary, args...) //nolint:gosec,noctx // what Build made; finish ends it
	cmd.Dir = s.Root
	cmd.Env = []string{"HOME=" + s.Root, "TMPDIR=" + s.Root, "PATH=/nonexistent"}
	cmd.Stdout, cmd.Stderr = s.output, s.output
	// The process must not outlive the tests, however these end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.process, s.ended = cmd, make(chan struct{})
	go func(ended chan struct{}) {
		_ = cmd.Wait() //nolint:errcheck // the exit code is in cmd.ProcessState
		close(ended)
	}(s.ended)
	return s.awaitReady()
}

func (s *Server) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if status, err := s.get(ctx, "/readyz"); err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("lanyard serve ended before it was ready: %v", s.process.ProcessState)
		case <-ctx.Done():
			return errors.New("lanyard serve is not ready")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *Server) get(ctx context.Context, path string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Admin+path, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// Configure puts another configuration file in the place of the one before, all
// at once.
func (s *Server) Configure(config string) error {
	next := s.ConfigFile + ".next"
	if err := os.WriteFile(next, []byte(config), 0o600); err != nil {
		return err
	}
	return os.Rename(next, s.ConfigFile)
}

// PID is the process's.
func (s *Server) PID() int { return s.process.Process.Pid }

// Output is all that the process has printed, to standard output and error.
func (s *Server) Output() string { return s.output.String() }

// Kill ends the process as the kernel does when memory runs out, and waits for
// its end.
func (s *Server) Kill() {
	_ = s.process.Process.Kill() //nolint:errcheck // only fails if it has ended
	<-s.ended
}

// Terminate asks the process to end, as the kubelet does; Wait waits for it.
func (s *Server) Terminate() error { return s.process.Process.Signal(syscall.SIGTERM) }

// Wait waits for the end of the process and returns its exit code.
func (s *Server) Wait() (code int, err error) {
	select {
	case <-s.ended:
		return s.process.ProcessState.ExitCode(), nil
	case <-time.After(patience):
		return 0, fmt.Errorf("lanyard serve has not ended after %s", patience)
	}
}

// finish ends the process and judges it.
func (s *Server) finish(t testing.TB) {
	defer func() {
		if err := os.RemoveAll(s.Root); err != nil {
			t.Error(err)
		}
	}()
	if s.process == nil {
		return
	}
	running := true
	select {
	case <-s.ended:
		running = false
	default:
		_ = s.Terminate() //nolint:errcheck // it may be ending already
	}
	code, err := s.Wait()
	if err != nil {
		t.Error(err)
		s.Kill()
	}
	printed := s.Output()
	bad := strings.Contains(printed, "DATA RACE") || strings.Contains(printed, "panic:") || strings.Contains(printed, "fatal error:")
	if bad || running && code != 0 {
		t.Errorf("lanyard serve ended with exit code %d", code)
	}
	if t.Failed() {
		t.Logf("lanyard serve printed:\n%s", excerpt(printed))
	}
}

// excerpt is the part of a long text that matters: its first data race, else
// its end.
func excerpt(text string) string {
	const maxBytes = 16 << 10
	if at := strings.Index(text, "DATA RACE"); at >= 0 {
		return text[at:min(len(text), at+maxBytes)]
	}
	return text[max(0, len(text)-maxBytes):]
}

// Package postgres runs a private PostgreSQL for tests: a cluster of its own
// in a folder of its own, listening on 127.0.0.1, made of the binaries that
// Debian's package postgresql installs.
//
// Tests start with New; programs that run its process themselves, with Prepare.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/internal/freeport"
)

// Server is a PostgreSQL that is prepared or runs.
type Server struct {
	// Port is where it listens on 127.0.0.1.
	Port string
	// User and Password are the superuser's.
	User, Password string
	// Credential is who its process has to run as: PostgreSQL refuses to run
	// as root. It is nil for who is not root.
	Credential *syscall.Credential

	bin string
	dir string
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	// Not t.TempDir, whose parent only this process's user may enter.
	dir, err := os.MkdirTemp("", "lanyard-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s, err := Prepare(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	command := s.Command()
	cmd := exec.Command(command[0], command[1:]...) //nolint:gosec,noctx // ends below
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, t.Output(), t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.Credential, Pdeathsig: syscall.SIGQUIT}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGQUIT) //nolint:errcheck,gosec // at once; it may have ended
		cmd.Wait()                          //nolint:errcheck,gosec // however it ends
	})
	if err := s.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// Prepare makes a server's data below dir, an empty folder that any user may
// enter. The server then runs while Command does.
func Prepare(ctx context.Context, dir string) (*Server, error) {
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(installed) == 0 {
		return nil, errors.New("PostgreSQL is not installed: apt-get install postgresql")
	}
	slices.Sort(installed)
	s := &Server{User: "admin", Password: "admin-of-the-test", bin: filepath.Dir(installed[len(installed)-1]), dir: dir}
	free, err := freeport.Find(1)
	if err != nil {
		return nil, err
	}
	s.Port = free[0]
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(s.Password), 0o600); err != nil {
		return nil, err
	}
	if err := s.giveAway(dir, password); err != nil {
		return nil, err
	}
	initdb := exec.CommandContext(ctx, installed[len(installed)-1], //nolint:gosec // Debian's
		"-D", s.data(), "-U", s.User, "-A", "scram-sha-256", "--pwfile", password, "-N")
	initdb.Dir = dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: s.Credential}
	if output, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return s, nil
}

// Command is the server's process, to be run as Credential. SIGQUIT ends it at
// once.
func (s *Server) Command() []string {
	return []string{
		filepath.Join(s.bin, "postgres"), "-D", s.data(), "-p", s.Port,
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + s.dir, "-c", "fsync=off",
	}
}

// Await waits until the server answers, for at most half a minute.
func (s *Server) Await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		_, err := s.Query(s.User, s.Password, "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL is not ready: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Query runs SQL as the user and returns the rows as text.
func (s *Server) Query(user, password, sql string) (string, error) {
	//nolint:gosec,noctx // a test gives the arguments and a limit of time
	cmd := exec.Command(filepath.Join(s.bin, "psql"), "-h", "127.0.0.1", "-p", s.Port, "-U", user, "-d", "postgres", "-At", "-c", sql)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, output)
	}
	return strings.TrimSpace(string(output)), nil
}

// giveAway makes the paths the user's that Debian made for PostgreSQL, if this
// process is root's.
func (s *Server) giveAway(paths ...string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return err
	}
	s.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	var failed []error
	for _, path := range paths {
		failed = append(failed, os.Chown(path, int(uid), int(gid)))
	}
	return errors.Join(failed...)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

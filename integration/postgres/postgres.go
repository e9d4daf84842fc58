// Package postgres runs a private PostgreSQL for tests: a cluster of its own
// in a temporary folder, listening on a free port of 127.0.0.1, made of the
// binaries that Debian's package postgresql installs.
//
// Start with New.
package postgres

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Server is a running PostgreSQL.
type Server struct {
	// Port is where it listens on 127.0.0.1.
	Port int
	// User and Password are the superuser's.
	User, Password string

	bin  string
	dir  string
	cred *syscall.Credential
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(installed) == 0 {
		t.Fatal("PostgreSQL is not installed: apt-get install postgresql")
	}
	slices.Sort(installed)
	s := &Server{User: "admin", Password: "admin-of-the-test", bin: filepath.Dir(installed[len(installed)-1])}
	s.prepare(t)
	s.run(t, "initdb", "-D", s.data(), "-U", s.User, "-A", "scram-sha-256", "--pwfile", filepath.Join(s.dir, "password"), "-N")
	s.Port = freePort(t)
	options := fmt.Sprintf("-c listen_addresses=127.0.0.1 -p %d -c unix_socket_directories=%s -c fsync=off", s.Port, s.dir)
	s.run(t, "pg_ctl", "start", "-D", s.data(), "-w", "-l", filepath.Join(s.dir, "log"), "-o", options)
	t.Cleanup(func() { s.run(t, "pg_ctl", "stop", "-D", s.data(), "-m", "immediate") })
	return s
}

// Query runs SQL as the user and returns the rows as text.
func (s *Server) Query(user, password, sql string) (string, error) {
	//nolint:gosec,noctx // a test gives the arguments and a limit of time
	cmd := exec.Command(filepath.Join(s.bin, "psql"), "-h", "127.0.0.1", "-p", strconv.Itoa(s.Port), "-U", user, "-d", "postgres", "-At", "-c", sql)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, output)
	}
	return strings.TrimSpace(string(output)), nil
}

// prepare makes the folder. PostgreSQL refuses to run as root, so root runs it
// as the user that Debian made for it.
func (s *Server) prepare(t testing.TB) {
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
	s.dir = dir
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(s.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		return
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	s.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, path := range []string{dir, password} {
		if err := os.Chown(path, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) run(t testing.TB, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(s.bin, name), args...) //nolint:gosec,noctx // this file gives the arguments; cleaning up comes after the context
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	// pg_ctl leaves the server with its own output, so that is a file, on
	// whose end nothing waits.
	output, err := os.Create(filepath.Join(t.TempDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close() //nolint:errcheck // the processes write to it
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Run(); err != nil {
		text, failed := os.ReadFile(output.Name())
		t.Fatalf("%s: %v\n%s%v", name, err, text, failed)
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // takes no time
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // the server reports a port in use
	return listener.Addr().(*net.TCPAddr).Port
}

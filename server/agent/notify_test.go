package agent

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// child starts a program under a name of its own, which says what signal it gets.
func child(t *testing.T, name, script string) (*osexec.Cmd, io.Reader) {
	t.Helper()
	shell, err := osexec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(shell, link); err != nil {
		t.Fatal(err)
	}
	c := osexec.Command(link, "-c", script)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	if _, err := io.ReadFull(out, make([]byte, len("up\n"))); err != nil {
		t.Fatal(err)
	}
	return c, out
}

func TestASignalReachesTheProcessOfTheName(t *testing.T) {
	name := fmt.Sprintf("told-%d", os.Getpid())
	c, _ := child(t, name, `trap 'exit 7' USR1; echo up; while :; do sleep 0.05; done`)
	if err := BySignal(syscall.SIGUSR1, name).Send(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != 7 {
		t.Errorf("it ended with %v", c.ProcessState)
	}
	if err := BySignal(syscall.SIGUSR1, name).Send(t.Context()); err == nil || !strings.Contains(err.Error(), "shareProcessNamespace") {
		t.Errorf("after its end: %v", err)
	}
}

// proc makes a proc file system of processes "pid parent name".
func proc(t *testing.T, all ...string) processes {
	t.Helper()
	root := t.TempDir()
	for _, one := range all {
		var pid, parent int
		var name string
		if _, err := fmt.Sscanf(one, "%d %d %s", &pid, &parent, &name); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(root, fmt.Sprint(pid))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		comm := name[:min(len(name), maxComm)]
		if err := os.WriteFile(filepath.Join(dir, "stat"), fmt.Appendf(nil, "%d (%s) S %d 1 1 0", pid, comm, parent), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "cmdline"), []byte("/usr/bin/"+name+"\x00-x\x00"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return processes{root}
}

// Only processes that are no worker of another, and never PID 1 nor this one, are chosen.
// Those here do not exist, so that the signal 0 tells which were tried.
func TestWhichProcessesAreSignalled(t *testing.T) {
	const free = 1 << 30 // beyond every number that a kernel gives
	for name, c := range map[string]struct {
		all  processes
		want string
	}{
		"none":          {proc(t, "7 1 other"), "no process app is seen"},
		"pid 1":         {proc(t, "1 0 app"), "no process app is seen"},
		"itself":        {proc(t, fmt.Sprintf("%d 1 app", os.Getpid())), "no process app is seen"},
		"with a worker": {proc(t, fmt.Sprintf("%d 1 app", free), fmt.Sprintf("%d %d app", free+1, free)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.all.signal(syscall.Signal(0), "app")
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
	long := "a-program-of-a-long-name"
	one, err := proc(t, "7 1 "+long).read(7)
	if err != nil || !one.named(long) || one.named("a-program-of-a-long-other") || !one.named(long[:maxComm]) {
		t.Errorf("%+v, %v", one, err)
	}
}

func TestCommandsRunWithoutAShellAndWithinTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "it is $HOME")
	send := func(ctx context.Context, text string) error {
		t.Helper()
		n, err := ByCommand(text)
		if err != nil {
			t.Fatal(err)
		}
		return n.Send(ctx)
	}
	if err := send(t.Context(), "touch '"+file+"'"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	err := send(t.Context(), `sh -c 'echo planted; echo planted >&2; exit 3'`)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || strings.Contains(err.Error(), "planted") {
		t.Errorf("%v", err)
	}
	if err := send(t.Context(), "no-such-command"); err == nil || !strings.Contains(err.Error(), "must be in this container's image") {
		t.Errorf("%v", err)
	}
	// A command that hangs is killed with its children, which hold its output open.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := send(ctx, "sh -c 'sleep 600; true'"); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("%v", err)
	}
	if _, err := ByCommand(" "); err == nil {
		t.Error("no command is one")
	}
}

func TestURLsAreOfThisHost(t *testing.T) {
	var got []string
	status := http.StatusNoContent
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" "+r.URL.Path)
		w.Header().Set("Location", "http://192.0.2.1/")
		w.WriteHeader(status)
	}))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	send := func(url string) error {
		t.Helper()
		n, err := ByURL(url)
		if err != nil {
			t.Fatal(err)
		}
		return n.Send(t.Context())
	}
	for _, host := range []string{"localhost", "127.0.0.1"} {
		if err := send("http://" + host + ":" + port + "/reload"); err != nil {
			t.Error(err)
		}
	}
	if strings.Join(got, " ") != "POST /reload POST /reload" {
		t.Errorf("it got %v", got)
	}
	for _, other := range []int{500, 302, 404} {
		status = other
		if err := send(server.URL); err == nil || !strings.Contains(err.Error(), fmt.Sprint("status ", other)) {
			t.Errorf("%d: %v", other, err)
		}
	}
	for _, url := range []string{"http://192.0.2.1:80/", "http://[2001:db8::1]/", "http://0.0.0.0:" + port, "http://169.254.169.254/"} {
		if err := send(url); err == nil || !strings.Contains(err.Error(), "no loopback address") {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{"", "localhost:80", "https://localhost/", "ftp://localhost", "http://", "http://a:planted@localhost/", "/reload", "http://local host/"} {
		if _, err := ByURL(url); err == nil || strings.Contains(err.Error(), "planted") {
			t.Errorf("%q is taken: %v", url, err)
		}
	}
}

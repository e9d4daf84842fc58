// Package kms drives the real `lanyard kms`, over a real Vault's Transit
// engine, with the API server's own client code: kmsv2, which speaks to a
// plugin, and encryptionconfig, which polls it, makes seeds and decides what is
// stale. What the API server would keep in etcd is a map here.
package kms

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/integration/lanyardserver"
	"github.com/lanyardhq/lanyard/integration/vaultserver"
)

// The Vault and the binary of all tests; each test has its own mounts there.
var (
	shared *vaultserver.Server
	binary string
	mounts atomic.Int64
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	// What the API server's code logs of each failed call drowns the rest.
	quiet := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(quiet)
	if err := errors.Join(quiet.Set("logtostderr", "false"), quiet.Set("stderrthreshold", "FATAL")); err != nil {
		return 1, err
	}
	klog.SetOutput(io.Discard)
	directory, err := os.MkdirTemp("", "lanyard-kms-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(directory)
	if binary, err = lanyardserver.Build(context.Background(), directory); err != nil {
		return 1, err
	}
	if shared, err = vaultserver.Start(context.Background(), vaultserver.Options{Log: os.Stderr}); err != nil {
		return 1, err
	}
	defer shared.Close()
	return m.Run(), nil
}

// vault is one test's Transit engine, with the keys one and two.
type vault struct {
	*testing.T
	mount string
	token string // file
}

func newVault(t *testing.T) *vault {
	t.Helper()
	v := &vault{T: t, mount: fmt.Sprintf("kms%d", mounts.Add(1)), token: filepath.Join(t.TempDir(), "token")}
	shared.Must(t, http.MethodPost, "sys/mounts/"+v.mount, map[string]any{"type": "transit"})
	for _, name := range []string{"one", "two"} {
		shared.Must(t, http.MethodPost, v.mount+"/keys/"+name, map[string]any{"derived": true})
	}
	v.write(v.token, shared.RootToken)
	return v
}

func (v *vault) write(path, text string) {
	v.Helper()
	if err := os.WriteFile(path+".next", []byte(text), 0o600); err != nil {
		v.Fatal(err)
	}
	if err := os.Rename(path+".next", path); err != nil {
		v.Fatal(err)
	}
}

// rotate gives a key its next version.
func (v *vault) rotate(name string) {
	v.Helper()
	shared.Must(v.T, http.MethodPost, v.mount+"/keys/"+name+"/rotate", nil)
}

// plugin is a process of lanyard kms with its own way to the Vault.
type plugin struct {
	*vault
	proxy     *faultproxy.Proxy
	directory string
	socket    string
	extra     string // of the ring file, before the keys
	log       *logBuffer

	mu      sync.Mutex
	process *exec.Cmd
	ended   chan struct{}
}

type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// newPlugin makes a plugin whose ring has the keys, pairs of a Transit key's
// name and a state, and does not start it.
func newPlugin(v *vault, pairs ...string) *plugin {
	v.Helper()
	proxy, err := faultproxy.New(shared.Address)
	if err != nil {
		v.Fatal(err)
	}
	v.Cleanup(proxy.Close)
	directory, err := os.MkdirTemp("", "kms") // short enough for a socket
	if err != nil {
		v.Fatal(err)
	}
	v.Cleanup(func() { _ = os.RemoveAll(directory) })
	p := &plugin{vault: v, proxy: proxy, directory: directory, socket: filepath.Join(directory, "kms.sock"), extra: "settle: 0s\n", log: &logBuffer{}}
	p.ring(pairs...)
	v.Cleanup(func() {
		p.stop()
		if printed := p.log.String(); strings.Contains(printed, "DATA RACE") || strings.Contains(printed, "panic:") || v.Failed() {
			v.Errorf("the plugin printed:\n%s", printed[max(0, len(printed)-8<<10):])
		}
	})
	return p
}

// ring writes the plugin's ring file.
func (p *plugin) ring(pairs ...string) {
	p.Helper()
	text := "kind: lanyard.kms-ring.v1\n" + p.extra + "keys:\n"
	for i := 0; i < len(pairs); i += 2 {
		text += fmt.Sprintf(`- name: %[1]s
  state: %[2]s
  cluster: test
  service: {type: vault, address: "%[3]s", knownAs: "vault", mount: %[4]s, key: %[1]s, retries: 0, auth: {method: tokenFile, tokenFile: %[5]s}}
`, pairs[i], pairs[i+1], p.proxy.Address, p.mount, p.token)
	}
	p.write(filepath.Join(p.directory, "ring.yaml"), text)
}

// names is the key ID that the plugin last said API servers write with, if it
// is of the key; else something that is none.
func (p *plugin) names(key string) string {
	_, last, found := cutLast(p.log.String(), "API servers write with this key from now on\" key=\""+key+"\"")
	_, rest, quoted := strings.Cut(last, "keyID=\"")
	keyID, _, ended := strings.Cut(rest, "\"")
	if !found || !quoted || !ended {
		return "none"
	}
	return keyID
}

func cutLast(text, separator string) (before, after string, found bool) {
	at := strings.LastIndex(text, separator)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(separator):], true
}

func (p *plugin) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Dir = p.directory
	cmd.Env = []string{"HOME=" + p.directory, "TMPDIR=" + p.directory, "PATH=/nonexistent"}
	// The process must not outlive the tests, however these end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// start starts the process and waits until its socket can be connected to.
func (p *plugin) start() *plugin {
	p.Helper()
	cmd := p.command("kms", "--ring", filepath.Join(p.directory, "ring.yaml"), "--socket", p.socket, "--admin-address", "", "--probe-interval", "1s")
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		p.Fatal(err)
	}
	ended := make(chan struct{})
	p.mu.Lock()
	p.process, p.ended = cmd, ended
	p.mu.Unlock()
	go func() { _ = cmd.Wait(); close(ended) }()
	eventually(p.T, 20*time.Second, "a socket", func() error {
		select {
		case <-ended:
			p.Fatal("the plugin has ended")
		default:
		}
		conn, err := net.Dial("unix", p.socket)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
	return p
}

// kill ends the process as the kernel does when memory runs out.
func (p *plugin) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process != nil {
		_ = p.process.Process.Kill()
		<-p.ended
		p.process = nil
	}
}

// stop ends the process as the kubelet does.
func (p *plugin) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process == nil {
		return
	}
	_ = p.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		p.Error("the plugin does not end")
		_ = p.process.Process.Kill()
		<-p.ended
	}
	p.process = nil
}

// eventually waits until something holds.
func eventually(t *testing.T, within time.Duration, what string, holds func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = holds(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not within %s: %v", what, within, err)
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Package kmsplugin runs the real `lanyard kms` for tests and benchmarks: a
// process with a ring file and a socket of its own, over keys of a real Vault's
// Transit engine, behind a proxy that makes them fail.
//
// Start with Setup, once; then make a Vault and a Plugin, which waits for Start.
package kmsplugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/integration/lanyardserver"
)

// patience is how long a process may take to listen, and to end.
const patience = 30 * time.Second

// Options say what a plugin is.
type Options struct {
	// Cluster is what its ciphertexts are bound to; empty is "test".
	Cluster string
	// Settings are the ring file's before its keys, a line each.
	Settings string
	// Socket is the plugin's, if it is not to be a file of its own.
	Socket string
	// Metrics says that it serves metrics, for Calls.
	Metrics bool
}

// Plugin is a `lanyard kms`. Start, Kill and Stop may not be called at the same
// time.
type Plugin struct {
	Options
	// Vault has its keys; Proxy stands before it.
	Vault *Vault
	Proxy *faultproxy.Proxy
	// Directory holds all that the process finds.
	Directory string

	admin   string // address of the metrics; empty for none
	log     lanyardserver.Output
	process *exec.Cmd
	ended   chan struct{}
}

// Plugin makes a plugin whose ring has the keys: pairs of a Transit key's name
// and a state. Close ends it.
func (v *Vault) Plugin(opts Options, keys ...string) (*Plugin, error) {
	proxy, err := faultproxy.New(v.Address)
	if err != nil {
		return nil, err
	}
	// The directory's name is short enough for a socket.
	directory, err := os.MkdirTemp("", "kms")
	if err != nil {
		return nil, err
	}
	p := &Plugin{Options: opts, Vault: v, Proxy: proxy, Directory: directory}
	if p.Socket == "" {
		p.Socket = filepath.Join(directory, "kms.sock")
	}
	if opts.Metrics {
		if p.admin, err = lanyardserver.FreeAddress(); err != nil {
			return nil, err
		}
	}
	return p, p.WriteRing(keys...)
}

// RingFile is the path of the ring file.
func (p *Plugin) RingFile() string { return filepath.Join(p.Directory, "ring.yaml") }

// WriteRing replaces the ring file.
func (p *Plugin) WriteRing(keys ...string) error {
	text := "kind: lanyard.kms-ring.v1\n" + p.Settings + "keys:\n"
	for i := 0; i < len(keys); i += 2 {
		text += fmt.Sprintf(`- name: %[1]s
  state: %[2]s
  cluster: %[6]s
  service: {type: vault, address: "%[3]s", knownAs: "vault", mount: %[4]s, key: %[1]s, retries: 0, auth: {method: tokenFile, tokenFile: %[5]s}}
`, keys[i], keys[i+1], p.Proxy.Address, p.Vault.Mount, p.Vault.TokenFile, cmp.Or(p.Cluster, "test"))
	}
	return replace(p.RingFile(), text)
}

// Output is what the process has printed.
func (p *Plugin) Output() string { return p.log.String() }

// KeyID is the key ID that the plugin last said API servers write with, if it
// is of the key; else something that is none.
func (p *Plugin) KeyID(key string) string {
	const begin = "API servers write with this key from now on\" key=\""
	log := p.Output()
	at := strings.LastIndex(log, begin)
	if at < 0 || !strings.HasPrefix(log[at+len(begin):], key+"\"") {
		return "none"
	}
	_, rest, quoted := strings.Cut(log[at:], "keyID=\"")
	keyID, _, ended := strings.Cut(rest, "\"")
	if !quoted || !ended {
		return "none"
	}
	return keyID
}

// Calls is how many calls of a method, such as decrypt, the plugin has answered
// well since it was started. It needs Metrics.
func (p *Plugin) Calls(ctx context.Context, method string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close() //nolint:errcheck // it has been read
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if count, ok := strings.CutPrefix(line, fmt.Sprintf("lanyard_kms_calls_total{code=\"OK\",method=%q} ", method)); ok {
			return strconv.Atoi(strings.TrimSpace(count))
		}
	}
	return 0, nil
}

// AdminAddress is where its metrics are; empty for nowhere.
func (p *Plugin) AdminAddress() string { return p.admin }

// Command is another command of the binary, in the plugin's own surroundings.
func (p *Plugin) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.Vault.binary, args...) //nolint:gosec,noctx // built here; callers end it
	cmd.Dir = p.Directory
	cmd.Env = []string{"HOME=" + p.Directory, "TMPDIR=" + p.Directory, "PATH=/nonexistent"}
	// The process must not outlive this one, however this one ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// Start starts the process, which must not run, and waits until its socket can
// be connected to.
func (p *Plugin) Start() error {
	cmd := p.Command("kms", "--ring", p.RingFile(), "--socket", p.Socket, "--admin-address", p.admin, "--probe-interval", "1s")
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	p.process, p.ended = cmd, ended
	go func() { cmd.Wait(); close(ended) }() //nolint:errcheck,gosec // however it ends
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("unix", p.Socket) //nolint:noctx // it answers at once or not at all
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ended:
			return fmt.Errorf("the plugin has ended:\n%s", p.Output())
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("the plugin does not listen: %w\n%s", err, p.Output())
		}
	}
}

// Kill ends the process as the kernel does when memory runs out.
func (p *Plugin) Kill() {
	if p.process != nil {
		p.process.Process.Kill() //nolint:errcheck,gosec // it may have ended
		<-p.ended
		p.process = nil
	}
}

// Stop ends the process as the kubelet does.
func (p *Plugin) Stop() error {
	if p.process == nil {
		return nil
	}
	if err := p.process.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.Kill()
		return errors.New("the plugin does not end")
	}
	p.process = nil
	return nil
}

// PID is the process id; zero if it does not run.
func (p *Plugin) PID() int {
	if p.process == nil {
		return 0
	}
	return p.process.Process.Pid
}

// Close stops the process and removes what it had. The error also tells of a
// data race or a panic that it printed.
func (p *Plugin) Close() error {
	failed := []error{p.Stop(), os.RemoveAll(p.Directory)}
	p.Proxy.Close()
	if printed := p.Output(); strings.Contains(printed, "DATA RACE") || strings.Contains(printed, "panic:") {
		failed = append(failed, fmt.Errorf("the plugin printed:\n%s", printed[max(0, len(printed)-8<<10):]))
	}
	return errors.Join(failed...)
}

package cmd

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"
	kmsapi "k8s.io/kms/apis/v2"

	"github.com/lanyardhq/lanyard/internal/reload"
)

// hangUp sends the test's own process what serve and kms catch.
func hangUp(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// byHangupAlone keeps a changed file from being read before SIGHUP.
func byHangupAlone(t *testing.T) {
	before := reload.Interval
	reload.Interval = time.Hour
	t.Cleanup(func() { reload.Interval = before })
}

func TestHangupHasServeReadItsFileAndItsValuesAgain(t *testing.T) {
	byHangupAlone(t)
	directory := t.TempDir()
	path, value := filepath.Join(directory, "lanyard.yaml"), filepath.Join(directory, "values", "a")
	if err := os.Mkdir(filepath.Dir(value), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(path, "stores: {f: {type: file, root: "+filepath.Dir(value)+", allow: ['*/*']}}\ncache: {refresh: 1h}\n")
	write(value, "before")
	s := serveLanyard(t, "--config", path)
	s.adminAddress()
	mounted := func() string {
		t.Helper()
		resp, err := s.mount("- {path: a, store: f, key: a}\n")
		if err != nil || len(resp.GetFiles()) != 1 {
			t.Fatalf("%v, %v", resp, err)
		}
		return string(resp.GetFiles()[0].GetContents())
	}
	if got := mounted(); got != "before" {
		t.Fatalf("mounted %q", got)
	}
	write(value, "after")
	if got := mounted(); got != "before" {
		t.Fatalf("the interval has no effect: %q", got)
	}
	hangUp(t)
	s.eventually("new value", func() bool { return mounted() == "after" })
	s.eventually("line in the log", func() bool { return strings.Contains(s.log.String(), "SIGHUP: the file was read again and holds") })

	write(path, "bounds: {requestBytes: 1}")
	hangUp(t)
	s.eventually("word of the bad file", func() bool {
		return strings.Contains(s.log.String(), "SIGHUP: the file cannot be used; the one before still holds")
	})
	if got := mounted(); got != "after" {
		t.Errorf("the good configuration is gone: %q", got)
	}
	if n := strings.Count(s.log.String(), "cannot be used"); n != 1 {
		t.Errorf("the bad file is told %d times:\n%s", n, s.log)
	}
}

func TestHangupHasTheKMSPluginReadItsRing(t *testing.T) {
	byHangupAlone(t)
	directory := socketDirectory(t)
	s := serveKMS(t, directory, ringOf(t, directory, "one", "write"))
	s.eventually("key ID", func() bool { return s.keyID() != "" })
	ringOf(t, directory, "one", "read", "two", "write")
	before := s.keyID()
	hangUp(t)
	s.eventually("other key ID", func() bool { id := s.keyID(); return id != "" && id != before })
	s.eventually("line in the log", func() bool { return strings.Contains(s.log.String(), "SIGHUP: the file was read again and holds") })
}

func TestALostSocketComesBack(t *testing.T) {
	s := serveLanyard(t)
	path := filepath.Join(s.directory, "lanyard.sock")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s.eventually("new socket", func() bool { _, err := os.Stat(path); return err == nil })
	if _, err := s.mount("- path: a\n  template: b\n"); err != nil {
		t.Error(err)
	}
	s.eventually("count of it", func() bool {
		_, metrics := s.get("/metrics")
		return strings.Contains(metrics, "lanyard_socket_losses_total 1")
	})

	directory := socketDirectory(t)
	k := serveKMS(t, directory, ringOf(t, directory, "one", "write"))
	k.eventually("key ID", func() bool { return k.keyID() != "" })
	path = filepath.Join(directory, "kms.sock")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := k.kms.Status(context.Background(), &kmsapi.StatusRequest{}); err != nil {
		t.Errorf("the connection that was open has ended: %v", err)
	}
	k.eventually("new socket", func() bool { _, err := os.Stat(path); return err == nil })
	k.eventually("readiness", func() bool { code, _ := k.get("/readyz"); return code == http.StatusOK })
}

// Neither waits for its metrics.
func TestAnAdminAddressInUseStopsNobody(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	s := serveLanyard(t, "--admin-address", address)
	if _, err := s.mount("- path: a\n  template: b\n"); err != nil {
		t.Error(err)
	}
	directory := socketDirectory(t)
	k := serveKMS(t, directory, ringOf(t, directory, "one", "write"), "--admin-address", address)
	k.eventually("key ID", func() bool { return k.keyID() != "" })
	// klog writes to the last of the two.
	if n := strings.Count(s.log.String()+k.log.String(), "The admin address cannot be listened on"); n != 2 {
		t.Errorf("it is logged %d times, want once each:\n%s%s", n, s.log, k.log)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	s.eventually("metrics", func() bool {
		resp, err := http.Get("http://" + address + "/metrics")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	})
	http.DefaultClient.CloseIdleConnections()
}

// A command that mounts once says what failed, and its log does not say it again.
func TestACommandTellsAnOutageOnce(t *testing.T) {
	directory := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := silent.Close(); err != nil {
		t.Fatal(err)
	}
	config := write("lanyard.yaml", "stores: {v: {type: vault, address: 'http://"+silent.Addr().String()+"', retries: 0, auth: {method: tokenFile, tokenFile: "+write("token", "t")+"}, allow: ['*/*']}}")
	class := write("class.yaml", "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: web}\nspec: {provider: lanyard, parameters: {objects: '- {path: a, store: v, key: secret/data/x, property: p}'}}\n")
	var log bytes.Buffer
	klog.SetLogger(textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&log))))
	t.Cleanup(klog.ClearLogger)
	code, _, stderr := runLanyard("mount", "--config", config, class)
	if code != exitFailed || strings.Count(stderr, "cannot be reached") != 1 {
		t.Errorf("ended with %d:\n%s", code, stderr)
	}
	if log.String() != "" {
		t.Errorf("the log says\n%s", &log)
	}
}

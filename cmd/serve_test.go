package cmd

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// served is a provider that runs in the test's process.
type served struct {
	*testing.T
	directory string
	client    v1alpha1.CSIDriverProviderClient
	log       *lockedBuffer
	stop      func() error
}

func serveLanyard(t *testing.T, args ...string) *served {
	t.Helper()
	s := &served{T: t, directory: socketDirectory(t), log: new(lockedBuffer)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	root := newRoot()
	root.SetArgs(append([]string{"serve", "--socket-dir", s.directory, "--admin-address", "127.0.0.1:0"}, args...))
	root.SetErr(s.log)
	go func() { ended <- root.ExecuteContext(ctx) }()
	s.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("serve: %v", err)
		}
		klog.ClearLogger()
	})
	conn, err := grpc.NewClient("unix:"+filepath.Join(s.directory, "lanyard.sock"), grpc.WithAuthority("localhost"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s.client = v1alpha1.NewCSIDriverProviderClient(conn)
	// The log is the process's: it is this provider's as long as no other command runs.
	s.eventually("a socket, and a line in the log", func() bool {
		_, err := os.Stat(filepath.Join(s.directory, "lanyard.sock"))
		return err == nil && strings.Contains(s.log.String(), "Lanyard is ready")
	})
	return s
}

// socketDirectory is one whose path is short enough for a socket in it.
func socketDirectory(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "serve")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	return directory
}

// adminAddress is where the process serves its metrics, as its log says.
func (s *served) adminAddress() string {
	s.Helper()
	var found []string
	s.eventually("admin address", func() bool {
		found = regexp.MustCompile(`admin"?[=:]"(127\.0\.0\.1:[0-9]+)"`).FindStringSubmatch(s.log.String())
		return found != nil
	})
	return found[1]
}

func (s *served) eventually(what string, holds func() bool) {
	s.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("no %s in time; the log says\n%s", what, s.log)
		}
	}
}

func (s *served) mount(objects string) (*v1alpha1.MountResponse, error) {
	attributes, err := json.Marshal(map[string]string{
		"csi.storage.k8s.io/pod.name": "web-0", "csi.storage.k8s.io/pod.namespace": "prod", "csi.storage.k8s.io/pod.uid": "1",
		"csi.storage.k8s.io/serviceAccount.name": "web", "secretProviderClass": "web", "objects": objects,
	})
	if err != nil {
		s.Fatal(err)
	}
	return s.client.Mount(context.Background(), &v1alpha1.MountRequest{Attributes: string(attributes), Secrets: "null", Permission: "420"}, grpc.WaitForReady(true))
}

func (s *served) get(path string) (int, string) {
	s.Helper()
	resp, err := http.Get("http://" + s.adminAddress() + path)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestServeAnswersTheDriverUntilItIsStopped(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	s := serveLanyard(t)
	resp, err := s.mount("- path: greeting\n  template: hello\n")
	if err != nil {
		t.Fatal(err)
	}
	if files := resp.GetFiles(); len(files) != 1 || files[0].GetPath() != "greeting" || string(files[0].GetContents()) != "hello" || files[0].GetMode() != 0o644 {
		t.Errorf("files are %v", files)
	}
	if code, body := s.get("/readyz"); code != http.StatusOK {
		t.Errorf("not ready: %s", body)
	}
	_, metrics := s.get("/metrics")
	for _, want := range []string{`lanyard_mounts_total{code="OK",dialect="lanyard"} 1`, "lanyard_build_info{", "go_goroutines", "process_start_time_seconds", "lanyard_cache_entries"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no metric %s", want)
		}
	}
	if code, _ := s.get("/debug/pprof/"); code != http.StatusNotFound {
		t.Errorf("profiles are served: %d", code)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := s.stop(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if left, err := os.ReadDir(s.directory); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestServeFollowsItsConfigurationFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lanyard.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("{}")
	s := serveLanyard(t, "--config", path)
	large := "- path: greeting\n  template: " + strings.Repeat("x", 20<<10) + "\n"
	if _, err := s.mount(large); err != nil {
		t.Fatal(err)
	}
	write("bounds: {requestBytes: 16Ki}")
	s.eventually("bound on requests", func() bool {
		_, err := s.mount(large)
		return status.Code(err) == codes.OutOfRange
	})
	write("bounds: {requestBytes: 1}\nstores: {v: {type: nosuch}}")
	s.eventually("word of the bad file", func() bool {
		_, metrics := s.get("/metrics")
		return strings.Contains(metrics, "lanyard_config_last_reload_successful 0")
	})
	for _, want := range []string{path + ":1: bounds.requestBytes: is 1 and must be", "the one before still holds"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, s.log)
		}
	}
	if _, err := s.mount(large); status.Code(err) != codes.OutOfRange {
		t.Errorf("the good configuration is gone: %v", err)
	}
}

func TestASecondProviderLeavesTheFirstAlone(t *testing.T) {
	s := serveLanyard(t)
	code, _, stderr := runLanyard("serve", "--socket-dir", s.directory, "--admin-address", "")
	if code != exitFailed || !strings.Contains(stderr, "another process is listening on it") {
		t.Errorf("the second ended with %d: %s", code, stderr)
	}
	if _, err := s.mount("- path: a\n  template: b\n"); err != nil {
		t.Errorf("the first is disturbed: %v", err)
	}
}

func TestServeLogsAsJSON(t *testing.T) {
	s := serveLanyard(t, "--logging-format", "json", "-v", "2")
	if _, err := s.mount("- path: a\n  template: b\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.mount("- path: a\n  template: b\n  colour: red\n"); status.Code(err) != codes.InvalidArgument {
		t.Errorf("an unknown field: %v", err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	messages := map[string]map[string]any{}
	for line := range strings.Lines(s.log.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		text, _ := entry["msg"].(string)
		messages[text] = entry
	}
	if m := messages["Mounted"]; m["class"] != "web" || m["files"] != 1.0 || m["level"] != "INFO" {
		t.Errorf("the mount is logged as %v", m)
	}
	if took, ok := messages["Mounted"]["took"].(float64); !ok || took > 60 {
		t.Errorf("took is %v, want seconds", messages["Mounted"]["took"])
	}
	if m := messages["Mount failed"]; m["code"] != "InvalidArgument" || m["level"] != "ERROR" {
		t.Errorf("the failed mount is logged as %v", m)
	}
}

func TestServeRefusesFlagsThatCannotWork(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "lanyard.yaml")
	if err := os.WriteFile(wrong, []byte("cache:\n  refresh: soon\nstores:\n  v: {type: nosuch}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"extra"}, exitUsage, "takes no arguments"},
		{[]string{"--dialects", "vualt"}, exitUsage, `there is no dialect "vualt"; known are `},
		{[]string{"--dialects", ""}, exitUsage, "--dialects is empty; known are "},
		{[]string{"--dialects", "lanyard,lanyard"}, exitUsage, "given twice"},
		{[]string{"--allow-peer-uid", "4294967295"}, exitUsage, "no user"},
		{[]string{"--shutdown-timeout", "-1s"}, exitUsage, "must not be negative"},
		{[]string{"--logging-format", "xml"}, exitUsage, "text or json"},
		{[]string{"-v", "1000"}, exitUsage, "-v must be"},
		{[]string{"--admin-address", "", "--pprof"}, exitUsage, "--pprof needs"},
		{[]string{"--admin-address", "9879"}, exitUsage, "must be host:port"},
		{[]string{"--admin-address", "0.0.0.0:0", "--pprof"}, exitUsage, "loopback addresses only"},
		{[]string{"--config", wrong}, exitUsage, wrong + ":2: cache.refresh: must be a duration"},
		{[]string{"--config", wrong}, exitUsage, wrong + ":4: stores.v.type: unknown type"},
		{[]string{"--config", wrong, "--print-config"}, exitUsage, wrong + ":2: cache.refresh: must be a duration"},
		{[]string{"--socket-dir", "/no/such/directory"}, exitFailed, "does not exist; create it"},
		{[]string{"--no-such-flag"}, exitUsage, "see lanyard serve --help"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			args := append([]string{"serve", "--socket-dir", socketDirectory(t), "--admin-address", "127.0.0.1:0"}, test.args...)
			code, _, stderr := runLanyard(args...)
			if code != test.code || !strings.Contains(stderr, test.want) {
				t.Errorf("ended with %d: %s", code, stderr)
			}
		})
	}
}

func TestServePrintsTheConfigurationThatHolds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lanyard.yaml")
	if err := os.WriteFile(path, []byte("cluster: prod-eu\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := runLanyard("serve", "--config", path, "--print-config")
	if code != exitOK || !strings.Contains(stdout, "cluster: prod-eu\n") || !strings.Contains(stdout, "storeCalls: 64\n") {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
}

func TestVersionTellsTheBuild(t *testing.T) {
	code, stdout, _ := runLanyard("version")
	if code != exitOK || !strings.HasPrefix(stdout, "lanyard ") || !strings.Contains(stdout, "platform ") {
		t.Errorf("ended with %d: %s", code, stdout)
	}
	code, stdout, _ = runLanyard("version", "--output", "json")
	var b build
	if err := json.Unmarshal([]byte(stdout), &b); code != exitOK || err != nil || b != thisBuild() || b.GoVersion == "" {
		t.Errorf("ended with %d: %s (%v)", code, stdout, err)
	}
	for _, args := range [][]string{{"version", "extra"}, {"version", "-o", "xml"}} {
		if code, _, _ := runLanyard(args...); code != exitUsage {
			t.Errorf("%v ended with %d", args, code)
		}
	}
}

func TestTheManualsConfigurationCanBeUsed(t *testing.T) {
	manual, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(manual), "```yaml\n")
	example, _, _ := strings.Cut(rest, "```")
	path := filepath.Join(t.TempDir(), "lanyard.yaml")
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := loadEngine(path)
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
}

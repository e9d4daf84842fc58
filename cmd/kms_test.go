package cmd

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/klog/v2"
	kmsapi "k8s.io/kms/apis/v2"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/kmsring"
	"github.com/lanyardhq/lanyard/provider/kmsring/ringtest"
)

// writeKey writes a local key file of one new key.
func writeKey(t *testing.T, path string) string {
	t.Helper()
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(raw)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// ringOf is a ring file of local keys: pairs of a name and a state. Each has a
// key file of its name beside the ring.
func ringOf(t *testing.T, directory string, pairs ...string) string {
	t.Helper()
	text := "kind: lanyard.kms-ring.v1\nsettle: 0s\nkeys:\n"
	for i := 0; i < len(pairs); i += 2 {
		file := filepath.Join(directory, pairs[i]+".key")
		if _, err := os.Stat(file); err != nil && pairs[i] != "absent" {
			writeKey(t, file)
		}
		text += fmt.Sprintf("- {name: %s, state: %s, cluster: prod-eu, service: {type: local, file: %s}}\n", pairs[i], pairs[i+1], file)
	}
	path := filepath.Join(directory, "ring.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// servedKMS is a plugin that runs in the test's process.
type servedKMS struct {
	*served
	kms kmsapi.KeyManagementServiceClient
}

func serveKMS(t *testing.T, directory, ring string, args ...string) *servedKMS {
	t.Helper()
	s := &served{T: t, directory: directory, log: new(lockedBuffer)}
	path := filepath.Join(directory, "kms.sock")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	root := newRoot()
	root.SetArgs(append([]string{"kms", "--ring", ring, "--socket", path, "--admin-address", "127.0.0.1:0", "--probe-interval", "1s"}, args...))
	root.SetErr(s.log)
	go func() { ended <- root.ExecuteContext(ctx) }()
	s.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("kms: %v", err)
		}
		klog.ClearLogger()
	})
	conn, err := grpc.NewClient("unix:"+path, grpc.WithAuthority("localhost"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s.eventually("a socket", func() bool { _, err := os.Stat(path); return err == nil })
	return &servedKMS{s, kmsapi.NewKeyManagementServiceClient(conn)}
}

// keyID is what status names; empty while it is not well.
func (s *servedKMS) keyID() string {
	got, err := s.kms.Status(context.Background(), &kmsapi.StatusRequest{}, grpc.WaitForReady(true))
	if err != nil || got.GetHealthz() != "ok" {
		return ""
	}
	return got.GetKeyId()
}

func TestKMSEncryptsAndFollowsItsRing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	directory := socketDirectory(t)
	s := serveKMS(t, directory, ringOf(t, directory, "one", "write", "two", "read"))
	s.eventually("key ID", func() bool { return s.keyID() != "" })
	first := s.keyID()
	sealed, err := s.kms.Encrypt(t.Context(), &kmsapi.EncryptRequest{Plaintext: []byte("the seed")})
	if err != nil || sealed.GetKeyId() != first {
		t.Fatalf("%v, %v; want key ID %s", sealed, err, first)
	}
	ringOf(t, directory, "one", "read", "two", "write")
	s.eventually("other key ID", func() bool { id := s.keyID(); return id != "" && id != first })
	got, err := s.kms.Decrypt(t.Context(), &kmsapi.DecryptRequest{Ciphertext: sealed.GetCiphertext(), KeyId: sealed.GetKeyId(), Annotations: sealed.GetAnnotations()})
	if err != nil || string(got.GetPlaintext()) != "the seed" {
		t.Errorf("%v, %v", got, err)
	}
	ringOf(t, directory, "one", "read")
	s.eventually("word of the bad ring", func() bool {
		_, metrics := s.get("/metrics")
		return strings.Contains(metrics, "lanyard_kms_ring_last_reload_successful 0")
	})
	_, metrics := s.get("/metrics")
	for _, want := range []string{`lanyard_kms_write_key{key="two"} 1`, "lanyard_kms_healthy 1", `lanyard_kms_ring_keys{state="read"} 1`, "lanyard_kms_last_good_age_seconds", `lanyard_kms_calls_total{code="OK",method="encrypt"} 1`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no metric %s", want)
		}
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if code, body := s.get(path); code != http.StatusOK {
			t.Errorf("%s: %s", path, body)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if err := s.stop(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if _, err := os.Stat(filepath.Join(directory, "kms.sock")); !os.IsNotExist(err) {
		t.Errorf("its socket is left behind: %v", err)
	}
}

func TestKMSLivesWithoutItsKeyService(t *testing.T) {
	directory := socketDirectory(t)
	ring := ringOf(t, directory, "absent", "write")
	s := serveKMS(t, directory, ring)
	s.eventually("refusal", func() bool {
		_, err := s.kms.Status(t.Context(), &kmsapi.StatusRequest{})
		return err != nil && strings.Contains(err.Error(), "the key file cannot be read")
	})
	if code, body := s.get("/livez"); code != http.StatusOK {
		t.Errorf("it is not alive: %s", body)
	}
	if code, body := s.get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "the key file cannot be read") {
		t.Errorf("readyz: %d %s", code, body)
	}
	writeKey(t, filepath.Join(directory, "absent.key"))
	s.eventually("key ID", func() bool { return s.keyID() != "" })
	http.DefaultClient.CloseIdleConnections()
}

func TestKMSRefusesWrongFlagsAndRings(t *testing.T) {
	directory := socketDirectory(t)
	ring := ringOf(t, directory, "one", "write")
	two := filepath.Join(directory, "two.yaml")
	if err := os.WriteFile(two, []byte("kind: lanyard.kms-ring.v1\nkeys: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"kms"}, "--ring is missing"},
		{[]string{"kms", "chekc"}, "did you mean check?"},
		{[]string{"kms", "--ring", "/nonexistent"}, "/nonexistent: cannot be read: no such file"},
		{[]string{"kms", "--ring", two}, two + ":2: keys: has 0 keys with state write"},
		{[]string{"kms", "--ring", ring, "--probe-interval", "1ms"}, "--probe-interval must be from 1s to 1m"},
		{[]string{"kms", "--ring", ring, "--allow-peer-uid", "4294967295"}, "is no user"},
		{[]string{"kms", "--ring", ring, "--shutdown-timeout", "-1s"}, "must not be negative"},
		{[]string{"kms", "--ring", ring, "--pprof", "--admin-address", ":1"}, "loopback addresses only"},
		{[]string{"kms", "check"}, "--ring is missing"},
		{[]string{"kms", "check", "more"}, "takes no arguments"},
		{[]string{"kms", "check", "--ring", two}, "has 0 keys with state write"},
		{[]string{"kms", "check", "--ring", ring, "--name", "a:b"}, "have no colon"},
		{[]string{"kms", "check", "--ring", ring, "--resources", ""}, "--resources must name one"},
		{[]string{"kms", "check", "--ring", ring, "--timeout", "0s"}, "--timeout must be positive"},
		{[]string{"kms", "check", "--ring", ring, "--output", "xml"}, "must be text or json"},
	} {
		if code, _, stderr := runLanyard(c.args...); code != exitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit code %d, %q; want %d and %q", c.args, code, stderr, exitUsage, c.want)
		}
	}
	klog.ClearLogger()
}

func TestKMSCheckTriesEveryKeyAndPrintsTheConfiguration(t *testing.T) {
	directory := socketDirectory(t)
	ring := ringOf(t, directory, "new", "write", "old", "read", "gone", "retired")
	code, stdout, stderr := runLanyard("kms", "check", "--ring", ring, "--socket", "@lanyard-none", "--resources", "secrets,configmaps", "--name", "lanyard-eu")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	const want = encryptionNote + `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets, configmaps]
    providers:
      - kms:
          apiVersion: v2
          name: lanyard-eu
          endpoint: unix:///@lanyard-none
          timeout: 3s
      - identity: {}
`
	if stdout != want {
		t.Errorf("printed\n%s\nwant\n%s", stdout, want)
	}
	for _, want := range []string{"new   write    round trip", "old   read     round trip", "gone  retired  retired", "no healthy plugin at @lanyard-none"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in\n%s", want, stderr)
		}
	}
}

func TestKMSCheckFailsForAKeyThatCannotBeUsed(t *testing.T) {
	directory := socketDirectory(t)
	ring := ringOf(t, directory, "new", "write", "absent", "read")
	code, stdout, stderr := runLanyard("kms", "check", "--ring", ring)
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "1 of 2 keys cannot be used") || !strings.Contains(stderr, "absent: encrypting: ") {
		t.Errorf("exit code %d, %q, %s", code, stdout, stderr)
	}
	code, stdout, _ = runLanyard("kms", "check", "--ring", ring, "-o", "json")
	var report kmsReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != exitFailed {
		t.Fatalf("exit code %d, %v: %s", code, err, stdout)
	}
	if report.OK || report.Encryption != nil || len(report.Keys) != 2 || report.Keys[0].Result != "round trip" || report.Keys[1].Result != "failed" || report.Keys[1].Problem == "" {
		t.Errorf("%+v", report)
	}
}

func TestKMSCheckTakesARefusalToEncryptForAnAnswerOfAReadKeyAlone(t *testing.T) {
	keys := ringtest.New()
	ring, err := kmsring.Parse([]byte("kind: lanyard.kms-ring.v1\nkeys:\n- {name: new, state: write, service: {type: memory, key: new}}\n- {name: old, state: read, service: {type: memory, key: old}}\n"), []key.Type{keys})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	for _, c := range []struct {
		key, denied, want string
	}{
		{"old", ringtest.Encrypt, "answers"},
		{"old", ringtest.Decrypt, "failed"},
		{"new", ringtest.Encrypt, "failed"},
	} {
		keys.Fail(func(_ context.Context, _, operation string) error {
			if operation == c.denied || operation == ringtest.Current {
				return fault.Fail(fault.ErrDenied, errors.New("denied"))
			}
			return nil
		})
		flags := kmsCheckFlags{timeout: time.Minute}
		if got := flags.try(t.Context(), ring.ByName(c.key)); got.Result != c.want || (got.Problem == "") != (c.want == "answers") {
			t.Errorf("key %s, %s denied: %+v", c.key, c.denied, got)
		}
	}
}

func TestKMSCheckAsksAPluginThatRuns(t *testing.T) {
	directory := socketDirectory(t)
	ring := ringOf(t, directory, "one", "write")
	s := serveKMS(t, directory, ring)
	s.eventually("key ID", func() bool { return s.keyID() != "" })
	code, stdout, stderr := runLanyard("kms", "check", "--ring", ring, "--socket", filepath.Join(directory, "kms.sock"), "-o", "json")
	var report kmsReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v: %s%s", code, err, stdout, stderr)
	}
	if !report.Plugin.Running || report.Plugin.KeyID != report.Keys[0].KeyID || report.Plugin.KeyID != s.keyID() {
		t.Errorf("%+v", report)
	}
	if report.Keys[0].Seconds <= 0 || report.Keys[0].Seconds > time.Minute.Seconds() || report.Encryption == nil {
		t.Errorf("%+v", report.Keys[0])
	}
}

package kms

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2"
	kmstypes "k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2/v2"
)

// etcd is what API servers share.
type etcd struct {
	mu   sync.Mutex
	data map[string][]byte
}

func newEtcd() *etcd { return &etcd{data: map[string][]byte{}} }

func (e *etcd) put(key string, stored []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.data[key] = stored
}

func (e *etcd) get(key string) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.data[key]
}

func (e *etcd) keys() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var keys []string
	for key := range e.data {
		keys = append(keys, key)
	}
	return keys
}

// apiServer is the part of an API server that encrypts, with everything that
// polls and decides there.
type apiServer struct {
	*testing.T
	etcd *etcd
	name string // of the KMS provider
	conf *encryptionconfig.EncryptionConfiguration
	end  context.CancelFunc
	mu   sync.Mutex
	skew time.Duration // that its clock for seeds is ahead
}

// startAPIServer starts one with the text of an EncryptionConfiguration, whose
// KMS provider has the name.
func startAPIServer(t *testing.T, e *etcd, name, text string) *apiServer {
	t.Helper()
	path := filepath.Join(t.TempDir(), "encryption.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a := &apiServer{T: t, etcd: e, name: name, end: cancel}
	t.Cleanup(cancel)
	t.Cleanup(kmsv2.SetNowFuncForTests(name, func() time.Time {
		a.mu.Lock()
		defer a.mu.Unlock()
		return time.Now().Add(a.skew)
	}))
	conf, err := encryptionconfig.LoadEncryptionConfig(ctx, path, true, name)
	if err != nil {
		t.Fatal(err)
	}
	a.conf = conf
	return a
}

// configuration has the plugin as its first provider, then the others.
func configuration(p *plugin, name string, others ...string) string {
	return "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n" +
		kmsEntry(p, name) + strings.Join(others, "")
}

func kmsEntry(p *plugin, name string) string {
	return fmt.Sprintf("  - kms: {apiVersion: v2, name: %s, endpoint: \"unix://%s\", timeout: 3s}\n", name, p.Socket)
}

func (a *apiServer) transformer() value.Transformer {
	return a.conf.Transformers[schema.GroupResource{Resource: "secrets"}]
}

// ahead sets the clock by which seeds expire.
func (a *apiServer) ahead(by time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.skew = by
}

// healthy is the API server's own check, which polls the plugin's status at
// most every 20 s, and every 3 s after a failure.
func (a *apiServer) healthy() error {
	req, err := http.NewRequest(http.MethodGet, "/readyz", nil)
	if err != nil {
		return err
	}
	return a.conf.HealthChecks[0].Check(req)
}

func (a *apiServer) write(key, text string) error {
	stored, err := a.transformer().TransformToStorage(context.Background(), []byte(text), value.DefaultContext(key))
	if err != nil {
		return err
	}
	a.etcd.put(key, stored)
	return nil
}

func (a *apiServer) read(key string) (text string, stale bool, err error) {
	got, stale, err := a.transformer().TransformFromStorage(context.Background(), a.etcd.get(key), value.DefaultContext(key))
	return string(got), stale, err
}

// reads fails the test unless the key holds text.
func (a *apiServer) reads(key, text string) (stale bool) {
	a.Helper()
	got, stale, err := a.read(key)
	if err != nil || got != text {
		a.Errorf("%s: %q, %v, want %q", key, got, err, text)
	}
	return stale
}

// rewrites writes every key again as it is, which is how a cluster is migrated.
func (a *apiServer) rewrites() {
	a.Helper()
	for _, key := range a.etcd.keys() {
		text, _, err := a.read(key)
		if err == nil {
			err = a.write(key, text)
		}
		if err != nil {
			a.Errorf("%s: %v", key, err)
		}
	}
}

// keyIDOf is the key ID that lies beside a value in etcd.
func keyIDOf(t *testing.T, stored []byte) string {
	t.Helper()
	parts := strings.SplitN(string(stored), ":", 6) // k8s:enc:kms:v2:<name>:
	object := &kmstypes.EncryptedObject{}
	if len(parts) != 6 || proto.Unmarshal([]byte(parts[5]), object) != nil {
		t.Fatalf("etcd holds %q", stored)
	}
	return object.KeyID
}

func unique(name string) string { return fmt.Sprintf("%s-%d", name, time.Now().UnixNano()) }

func TestTheConfigurationThatCheckPrintsIsTheAPIServersOwn(t *testing.T) {
	t.Parallel()
	p := newPlugin(newVault(t), "one", "write", "two", "read").start()
	name := unique("printed")
	printed, err := p.Command("kms", "check", "--ring", p.RingFile(), "--socket", p.Socket, "--name", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	status(t, client(t, p))
	a := startAPIServer(t, newEtcd(), name, string(printed))
	if err := a.healthy(); err != nil {
		t.Fatal(err)
	}
	if err := a.write("/registry/secrets/prod/db", "the value"); err != nil {
		t.Fatal(err)
	}
	if stored := string(a.etcd.get("/registry/secrets/prod/db")); !strings.HasPrefix(stored, "k8s:enc:kms:v2:"+name+":") || strings.Contains(stored, "the value") {
		t.Errorf("etcd holds %q", stored)
	}
	if a.reads("/registry/secrets/prod/db", "the value") {
		t.Error("what was just written is stale")
	}
	// What was there before is read as it is, and stale.
	a.etcd.put("/registry/secrets/prod/old", []byte("plain"))
	if !a.reads("/registry/secrets/prod/old", "plain") {
		t.Error("plain text is not stale")
	}
}

func TestMigrationFromAESAndBackToIdentity(t *testing.T) {
	t.Parallel()
	p := newPlugin(newVault(t), "one", "write").start()
	status(t, client(t, p))
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		t.Fatal(err)
	}
	for _, before := range []string{"aescbc", "secretbox"} {
		name, e := unique(before), newEtcd()
		old := fmt.Sprintf("  - %s: {keys: [{name: key1, secret: %s}]}\n", before, base64.StdEncoding.EncodeToString(raw))
		head := "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n"
		first := startAPIServer(t, e, unique("none"), head+old)
		for i := range 20 {
			if err := first.write(fmt.Sprintf("/registry/secrets/a/%d", i), "the value"); err != nil {
				t.Fatal(err)
			}
		}
		// All API servers can read what the first of them writes with the plugin.
		reading := startAPIServer(t, e, unique("reading"), head+old+kmsEntry(p, name))
		writing := startAPIServer(t, e, name, configuration(p, name, old))
		writing.rewrites()
		for _, key := range e.keys() {
			if !strings.HasPrefix(string(e.get(key)), "k8s:enc:kms:v2:") || writing.reads(key, "the value") {
				t.Errorf("%s: %s is still under %s or stale", before, key, before)
			}
			reading.reads(key, "the value")
		}
		back := startAPIServer(t, e, unique("back"), head+"  - identity: {}\n"+kmsEntry(p, name))
		back.rewrites()
		for _, key := range e.keys() {
			if string(e.get(key)) != "the value" {
				t.Errorf("%s is not plain again", key)
			}
		}
	}
}

func TestRotationUnderLoadFailsNoRequestAndLeavesNothingStale(t *testing.T) {
	t.Parallel()
	v, e := newVault(t), newEtcd()
	name := unique("load")
	plugins := []*plugin{newPlugin(v, "one", "write").start(), newPlugin(v, "one", "write").start()}
	var servers []*apiServer
	for i, p := range plugins {
		status(t, client(t, p))
		servers = append(servers, startAPIServer(t, e, unique(fmt.Sprintf("s%d", i)), configuration(p, name)))
	}
	const secrets = 500
	for i := range secrets {
		if err := servers[i%2].write(fmt.Sprintf("/registry/secrets/a/%d", i), "the value"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	var load sync.WaitGroup
	var calls [2]int
	for i, a := range servers {
		load.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				key := fmt.Sprintf("/registry/secrets/a/%d", n%secrets)
				a.reads(key, "the value")
				if err := a.write(key, "the value"); err != nil {
					t.Errorf("write: %v", err)
				}
				calls[i]++
				time.Sleep(time.Millisecond)
			}
		})
	}
	// The order of docs/kms.md: every ring has the key to read, then it writes.
	for _, p := range plugins {
		p.ring("one", "write", "two", "read")
	}
	time.Sleep(6 * time.Second)
	for _, p := range plugins {
		p.ring("one", "read", "two", "write")
	}
	// A version of the old key changes meanwhile, too.
	v.rotate("one")
	eventually(t, 90*time.Second, "everything under the new key", func() error {
		time.Sleep(time.Second)
		for _, a := range servers {
			if err := a.healthy(); err != nil {
				return err
			}
		}
		left := 0
		for _, key := range e.keys() {
			for _, p := range plugins {
				if keyIDOf(t, e.get(key)) != p.KeyID("two") {
					left++
				}
			}
		}
		if left > 0 {
			return fmt.Errorf("%d are not", left)
		}
		return nil
	})
	stop()
	load.Wait()
	// Now nothing needs the old key.
	for _, p := range plugins {
		p.ring("one", "retired", "two", "write")
	}
	time.Sleep(6 * time.Second)
	fresh := startAPIServer(t, e, unique("fresh"), configuration(plugins[0], name))
	for _, key := range e.keys() {
		if fresh.reads(key, "the value") {
			t.Errorf("%s is stale", key)
		}
	}
	t.Logf("%d and %d reads and writes while keys changed", calls[0], calls[1])
}

func TestAPluginThatIsKilledLeavesNothingToFix(t *testing.T) {
	t.Parallel()
	p := newPlugin(newVault(t), "one", "write").start()
	status(t, client(t, p))
	name := unique("killed")
	a := startAPIServer(t, newEtcd(), name, configuration(p, name))
	if err := a.write("k", "the value"); err != nil {
		t.Fatal(err)
	}
	p.Kill()
	if _, err := os.Lstat(p.Socket); err != nil {
		t.Fatalf("no socket was left behind: %v", err)
	}
	a.reads("k", "the value")
	if err := a.write("k", "another value"); err != nil {
		t.Errorf("writes stop at once: %v", err)
	}
	p.start()
	eventually(t, 30*time.Second, "a healthy API server", a.healthy)
	// One that has no seed in memory.
	other := startAPIServer(t, a.etcd, unique("other"), configuration(p, name))
	eventually(t, 30*time.Second, "a healthy API server", other.healthy)
	other.reads("k", "another value")
}

package kms

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/klog/v2"
	kmsapi "k8s.io/kms/apis/v2"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/kmsring/ringtest"
	"github.com/lanyardhq/lanyard/server/socket"
)

// The tests of this file are named after bugs that other plugins had.

func TestBugEveryErrorSwallowedAndAnEmptyResultReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, head+ringKey("a", "write", "")+ringKey("gone", "retired", ""))
		p.probe()
		req := p.sealed("seed")
		check := func(what string) {
			t.Helper()
			for _, call := range []func() (bool, error){
				func() (bool, error) {
					got, err := p.server.service.Decrypt(p.Context(), req)
					return got != nil, err
				},
				func() (bool, error) { got, err := p.encrypt("seed"); return got != nil, err },
			} {
				if answered, err := call(); answered || err == nil {
					t.Errorf("%s: answered %v, error %v", what, answered, err)
				}
			}
		}
		for _, kind := range []error{fault.ErrInvalid, fault.ErrNotFound, fault.ErrUnauthenticated, fault.ErrDenied, fault.ErrUnavailable, errors.New("of no kind")} {
			p.failing(kind, "a")
			check(kind.Error())
		}
		p.keys.Fail(nil)
		p.keys.AlterPlaintexts(func(string, []byte) []byte { return nil })
		p.keys.Rotate("a") // so that Encrypt decrypts too
		check("an empty answer")
	})
}

// lockedBuffer is a log that goroutines write to.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func TestBugHalfOfEachPlaintextInTheDebugLog(t *testing.T) {
	log := &lockedBuffer{}
	state := klog.CaptureState()
	defer state.Restore()
	klog.LogToStderr(false)
	klog.SetOutput(log)
	var level klog.Level
	if err := level.Set("10"); err != nil {
		t.Fatal(err)
	}
	p := start(t, head+ringKey("a", "write", ""))
	client := p.serve()
	p.probe()
	const plaintext = "correct-horse-battery-staple-123"
	sealed, err := client.Encrypt(t.Context(), &kmsapi.EncryptRequest{Plaintext: []byte(plaintext), Uid: "uid-1"})
	if err != nil {
		t.Fatal(err)
	}
	open := &kmsapi.DecryptRequest{Ciphertext: sealed.GetCiphertext(), KeyId: sealed.GetKeyId(), Annotations: sealed.GetAnnotations()}
	if _, err := client.Decrypt(t.Context(), open); err != nil {
		t.Fatal(err)
	}
	p.failing(fault.ErrDenied, "a")
	if _, err := client.Decrypt(t.Context(), open); err == nil {
		t.Fatal("it decrypts")
	}
	families, err := p.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	klog.Flush()
	log.mu.Lock()
	told := log.text.String() + fmt.Sprint(families)
	log.mu.Unlock()
	if !strings.Contains(told, "Call answered") {
		t.Error("the log was not captured")
	}
	for i := 0; i+8 <= len(plaintext); i++ {
		if strings.Contains(told, plaintext[i:i+8]) {
			t.Fatalf("%q of the plaintext was told", plaintext[i:i+8])
		}
	}
	if bytes.Contains([]byte(told), sealed.GetCiphertext()[8:24]) {
		t.Error("the ciphertext was told")
	}
}

// serve serves the plugin on a socket and returns a client.
func (p *plugin) serve() kmsapi.KeyManagementServiceClient {
	p.Helper()
	directory, err := os.MkdirTemp("", "kms")
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = os.RemoveAll(directory) })
	listener, err := socket.Listen(p.Context(), filepath.Join(directory, "kms.sock"))
	if err != nil {
		p.Fatal(err)
	}
	p.path = listener.Path()
	done := make(chan error, 1)
	go func() { done <- p.server.Serve(listener) }()
	p.Cleanup(func() {
		p.server.Stop(context.Background())
		if err := <-done; err != nil {
			p.Error(err)
		}
	})
	conn, err := grpc.NewClient("unix:"+listener.Path(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = conn.Close() })
	return kmsapi.NewKeyManagementServiceClient(conn)
}

func TestBugAConnectionLeakedForEachDecrypt(t *testing.T) {
	p := start(t, head+ringKey("a", "write", "")+ringKey("b", "read", ""))
	client := p.serve()
	p.probe()
	sealed := p.sealed("seed")
	files := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	call := func() {
		if _, err := client.Decrypt(t.Context(), sealed); err != nil {
			t.Fatal(err)
		}
	}
	call()
	before, opened := files(), p.keys.Opened()
	for range 200 {
		call()
	}
	if after := files(); after > before+2 || p.keys.Opened() != opened {
		t.Errorf("%d files are open after 200 calls, %d before; %d keys, %d before", after, before, p.keys.Opened(), opened)
	}
}

func TestBugAKeyIDThatIsABareVersionCollidesAndDecryptIgnoresIt(t *testing.T) {
	p := start(t, head+ringKey("a", "write", "")+ringKey("b", "read", ""))
	p.probe()
	ofA := p.sealed("of a")
	if err := p.to(head + ringKey("a", "read", "") + ringKey("b", "write", "")); err != nil {
		t.Fatal(err)
	}
	p.probe()
	ofB := p.sealed("of b")
	// Both are version 1 of their keys.
	if ofA.GetKeyId() == ofB.GetKeyId() || ofA.GetKeyId() == "1" {
		t.Errorf("key IDs are %q and %q", ofA.GetKeyId(), ofB.GetKeyId())
	}
	p.opens(ofA, "of a")
	p.opens(ofB, "of b")
	calls := p.keys.Calls("a", ringtest.Decrypt)
	ofB.KeyId = "AAAA" + ofB.GetKeyId()[4:]
	_, err := p.decrypt(ofB)
	p.is(err, codes.FailedPrecondition, "belongs to none of the 2 keys in the key ring (a (read), b (write)); put the key")
	if p.keys.Calls("a", ringtest.Decrypt) != calls {
		t.Error("another key was tried")
	}
}

func TestBugAKeyIDThatIsAnAliasBreaksEveryReadWhenTheAliasMoves(t *testing.T) {
	p := start(t, head+ringKey("alias", "write", ""))
	p.probe()
	before := p.sealed("before")
	p.keys.Rotate("alias") // what the name points to is another key from now on
	p.probe()
	after := p.sealed("after")
	if before.GetKeyId() == after.GetKeyId() {
		t.Error("the key ID is that of the name, not of what it points to")
	}
	p.opens(before, "before")
	p.opens(after, "after")
}

func TestBugAPinnedVersionNeedsASecondPluginToRotate(t *testing.T) {
	p := start(t, head+ringKey("a", "write", ""))
	client := p.serve()
	p.probe()
	var sealed []*kmsapi.DecryptRequest
	ids := map[string]bool{}
	for range 5 {
		got, err := client.Encrypt(t.Context(), &kmsapi.EncryptRequest{Plaintext: []byte("seed")})
		if err != nil {
			t.Fatal(err)
		}
		ids[got.GetKeyId()] = true
		sealed = append(sealed, &kmsapi.DecryptRequest{Ciphertext: got.GetCiphertext(), KeyId: got.GetKeyId(), Annotations: got.GetAnnotations()})
		p.keys.Rotate("a")
		p.probe()
	}
	for _, req := range sealed {
		if got, err := client.Decrypt(t.Context(), req); err != nil || string(got.GetPlaintext()) != "seed" {
			t.Errorf("%v, %v", got, err)
		}
	}
	if len(ids) != 5 {
		t.Errorf("%d key IDs of 5 versions", len(ids))
	}
}

func TestBugSeveralRemoteCallsForEachStatusUsedAsTheLivenessProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, head+ringKey("a", "write", ""))
		p.run()
		synctest.Wait()
		p.keyID()
		calls := p.keys.Calls("a", ringtest.Encrypt) + p.keys.Calls("a", ringtest.Decrypt)
		p.keys.Fail(func(ctx context.Context, _, _ string) error { <-ctx.Done(); return ctx.Err() })
		began := time.Now()
		for range 100 {
			if _, err := p.status(); err != nil {
				t.Error(err)
			}
		}
		if time.Since(began) > 0 || p.keys.Calls("a", ringtest.Encrypt)+p.keys.Calls("a", ringtest.Decrypt) != calls {
			t.Error("status called the key service, or waited for it")
		}
		time.Sleep(DefaultProbe + probeTime + time.Second)
		if got, err := p.status(); err != nil || got.GetHealthz() == "ok" {
			t.Errorf("a service that hangs is not noticed: %v, %v", got, err)
		}
	})
}

func TestBugAStaleSocketKeepsThePluginFromStarting(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "kms.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	_ = left.Close()
	if err := os.Chmod(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	listener, err := socket.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v (%v)", info.Mode(), err)
	}
}

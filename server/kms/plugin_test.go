package kms

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	kmsapi "k8s.io/kms/apis/v2"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/kmsring"
	"github.com/lanyardhq/lanyard/provider/kmsring/ringtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plugin is a Server whose methods are called as the API server would, without
// a socket between.
type plugin struct {
	*testing.T
	keys     *ringtest.Service
	server   *Server
	ring     *kmsring.Ring
	registry *prometheus.Registry
	path     string // of the socket, after serve
}

const head = "kind: lanyard.kms-ring.v1\nsettle: 0s\noutage: 1h\nkeys:\n"

// ringKey is one key of a ring file.
func ringKey(name, state, more string) string {
	return "- {name: " + name + ", state: " + state + ", service: {type: memory, key: " + name + "}" + more + "}\n"
}

// start starts a plugin with the ring; without watching it when the test wants
// to say itself when the probe looks.
func start(t *testing.T, text string) *plugin {
	t.Helper()
	p := &plugin{T: t, keys: ringtest.New(), registry: prometheus.NewRegistry()}
	p.ring = p.parse(text)
	p.server = New(Options{Ring: p.ring, Metrics: NewMetrics(p.registry)})
	t.Cleanup(func() {
		p.server.Stop(context.Background())
		p.ring.Close()
	})
	return p
}

// run has the probe look by itself until the test ends.
func (p *plugin) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); p.server.Run(ctx) }()
	p.Cleanup(func() { cancel(); <-done })
}

func (p *plugin) parse(text string) *kmsring.Ring {
	p.Helper()
	ring, err := kmsring.Parse([]byte(text), []key.Type{p.keys})
	if err != nil {
		p.Fatal(err)
	}
	return ring
}

// to makes another ring hold, as the watcher does.
func (p *plugin) to(text string) error {
	p.Helper()
	next := p.parse(text)
	if err := p.server.SetRing(next); err != nil {
		next.Close()
		return err
	}
	p.ring.Close()
	p.ring = next
	return nil
}

func (p *plugin) probe() bool { return p.server.service.probe(p.Context()) }

func (p *plugin) status() (*kmsapi.StatusResponse, error) {
	return p.server.service.Status(p.Context(), &kmsapi.StatusRequest{})
}

// keyID is what Status names, which must be well.
func (p *plugin) keyID() string {
	p.Helper()
	got, err := p.status()
	if err != nil || got.GetVersion() != "v2" || got.GetHealthz() != "ok" || got.GetKeyId() == "" {
		p.Fatalf("status is %v, %v", got, err)
	}
	return got.GetKeyId()
}

func (p *plugin) encrypt(text string) (*kmsapi.EncryptResponse, error) {
	return p.server.service.Encrypt(p.Context(), &kmsapi.EncryptRequest{Plaintext: []byte(text), Uid: "u"})
}

// sealed is an Encrypt that must succeed, as the request that decrypts it.
func (p *plugin) sealed(text string) *kmsapi.DecryptRequest {
	p.Helper()
	got, err := p.encrypt(text)
	if err != nil {
		p.Fatal(err)
	}
	return &kmsapi.DecryptRequest{Ciphertext: got.GetCiphertext(), KeyId: got.GetKeyId(), Annotations: got.GetAnnotations(), Uid: "u"}
}

func (p *plugin) decrypt(req *kmsapi.DecryptRequest) (string, error) {
	got, err := p.server.service.Decrypt(p.Context(), req)
	return string(got.GetPlaintext()), err
}

// opens fails the test unless the request decrypts to text.
func (p *plugin) opens(req *kmsapi.DecryptRequest, text string) {
	p.Helper()
	if got, err := p.decrypt(req); err != nil || got != text {
		p.Errorf("decrypted to %q, %v, want %q", got, err, text)
	}
}

// is fails the test unless the error has the code and says all texts.
func (p *plugin) is(err error, code codes.Code, texts ...string) {
	p.Helper()
	if status.Code(err) != code {
		p.Errorf("the code is %v, want %v: %v", status.Code(err), code, err)
	}
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			p.Errorf("%v does not say %q", err, text)
		}
	}
}

// failing makes every call of the operations fail with the kind.
func (p *plugin) failing(kind error, operations ...string) {
	p.keys.Fail(func(_ context.Context, name, operation string) error {
		for _, one := range operations {
			if operation == one || one == name {
				return fault.Fail(kind, errors.New("memory:"+name+": "+kind.Error()))
			}
		}
		return nil
	})
}

func TestWhatIsEncryptedIsDecrypted(t *testing.T) {
	p := start(t, head+ringKey("a", "write", ", cluster: prod-eu"))
	if !p.probe() {
		t.Fatal("the probe failed")
	}
	req := p.sealed("0123456789abcdef0123456789abcdef")
	if req.GetKeyId() != p.keyID() {
		t.Errorf("encrypted with %s, status names %s", req.GetKeyId(), p.keyID())
	}
	if bytes.Contains(req.GetCiphertext(), []byte("0123")) || len(req.GetCiphertext()) > maxCiphertext {
		t.Errorf("the ciphertext is %q", req.GetCiphertext())
	}
	if a := req.GetAnnotations(); len(a) != 2 || string(a[formatAnnotation]) != "1" || string(a[versionAnnotation]) != "1" {
		t.Errorf("the annotations are %q", a)
	}
	p.opens(req, "0123456789abcdef0123456789abcdef")
	if err := p.server.healthy(); err != nil {
		t.Error(err)
	}
}

func TestStatusWaitsForAKeyThatHasProvedItself(t *testing.T) {
	p := start(t, head+ringKey("a", "write", ""))
	_, err := p.status()
	p.is(err, codes.Unavailable, "the key service has not answered yet")
	p.failing(fault.ErrDenied, ringtest.Decrypt)
	if p.probe() {
		t.Error("a key that cannot decrypt is taken")
	}
	_, err = p.status()
	p.is(err, codes.PermissionDenied, "key a: memory:a: permission denied")
	_, err = p.encrypt("seed")
	p.is(err, codes.PermissionDenied)
	p.keys.Fail(nil)
	p.keys.AlterPlaintexts(func(string, []byte) []byte { return []byte("something else") })
	p.probe()
	_, err = p.status()
	p.is(err, codes.InvalidArgument, "does not decrypt to what was encrypted")
	_, err = p.encrypt("seed")
	p.is(err, codes.InvalidArgument, "does not decrypt to what was encrypted")
	p.keys.AlterPlaintexts(nil)
	req := p.sealed("seed")
	if req.GetKeyId() != p.keyID() {
		t.Error("an Encrypt that proved itself is not named")
	}
}

func TestAVersionThatRotatesBetweenProbeAndEncryptIsNamedNext(t *testing.T) {
	p := start(t, head+ringKey("a", "write", ""))
	p.probe()
	before := p.keyID()
	old := p.sealed("old")
	p.keys.Rotate("a")
	if p.keyID() != before {
		t.Error("status knew of it without a call")
	}
	req := p.sealed("new")
	if req.GetKeyId() == before || req.GetKeyId() != p.keyID() {
		t.Errorf("encrypted with %s after %s, status names %s", req.GetKeyId(), before, p.keyID())
	}
	p.opens(old, "old")
	p.opens(req, "new")
}

func TestTheProbeFindsANewVersion(t *testing.T) {
	p := start(t, head+ringKey("a", "write", ""))
	p.probe()
	before := p.keyID()
	p.keys.Rotate("a")
	p.probe()
	after := p.keyID()
	if after == before || p.sealed("seed").GetKeyId() != after {
		t.Error("the new version is not what is named and used")
	}
}

func TestAProbeThatBeganEarlierDoesNotTakeBackWhatAnEncryptFound(t *testing.T) {
	p := start(t, head+ringKey("a", "write", ""))
	p.probe()
	began, goOn := make(chan struct{}), make(chan struct{})
	p.keys.Fail(func(_ context.Context, _, operation string) error {
		if operation == ringtest.Decrypt { // the probe has encrypted with version 1
			p.keys.Fail(nil)
			close(began)
			<-goOn
		}
		return nil
	})
	done := make(chan struct{})
	go func() { defer close(done); p.probe() }()
	<-began
	p.keys.Rotate("a")
	newer := p.sealed("seed").GetKeyId()
	close(goOn)
	<-done
	if got := p.keyID(); got != newer {
		t.Errorf("status went back to %s from %s", got, newer)
	}
}

func TestRotationOfTheRingKeepsEveryCiphertextReadable(t *testing.T) {
	p := start(t, head+ringKey("a", "write", "")+ringKey("b", "read", ""))
	p.probe()
	first := p.sealed("one")
	if err := p.to(head + ringKey("a", "read", "") + ringKey("b", "write", "")); err != nil {
		t.Fatal(err)
	}
	if p.keyID() != first.GetKeyId() || p.sealed("two").GetKeyId() != first.GetKeyId() {
		t.Error("a key that has not proved itself is used")
	}
	p.probe()
	if p.keyID() == first.GetKeyId() {
		t.Error("the new write key is not named")
	}
	third := p.sealed("three")
	p.opens(first, "one")
	p.opens(third, "three")
	if err := p.to(head + ringKey("a", "retired", "") + ringKey("b", "write", "")); err != nil {
		t.Fatal(err)
	}
	_, err := p.decrypt(first)
	p.is(err, codes.FailedPrecondition, "key a of the key ring was retired and is still needed")
	p.opens(third, "three")
}

// Kubernetes forbids a key ID that comes back for another state.
func TestAFormerWriteKeyComesBackAsAnotherKeyAlone(t *testing.T) {
	p := start(t, head+ringKey("a", "write", "")+ringKey("b", "read", ""))
	p.probe()
	first := p.keyID()
	b := head + ringKey("a", "read", "") + ringKey("b", "write", "")
	if err := p.to(b); err != nil {
		t.Fatal(err)
	}
	// While b has not written, nobody knows of it.
	if err := p.to(head + ringKey("a", "write", "") + ringKey("b", "read", "")); err != nil {
		t.Errorf("a change of mind is refused: %v", err)
	}
	if err := p.to(b); err != nil {
		t.Fatal(err)
	}
	p.probe()
	second := p.keyID()
	for _, settle := range []string{"settle: 0s", "settle: 5m"} {
		err := p.to(strings.Replace(head, "settle: 0s", settle, 1) + ringKey("a", "write", "") + ringKey("b", "read", ""))
		if err == nil || !strings.Contains(err.Error(), "key a was the write key before key b, and a key ID must not come back") {
			t.Errorf("%s: %v", settle, err)
		}
	}
	if p.keyID() != second {
		t.Error("the key ID changes all the same")
	}
	again := strings.Replace(ringKey("a", "write", ", epoch: 1"), "name: a", "name: a2", 1)
	if err := p.to(head + ringKey("a", "read", "") + ringKey("b", "read", "") + again); err != nil {
		t.Fatal(err)
	}
	p.probe()
	if id := p.keyID(); id == first || id == second {
		t.Errorf("the key ID %s comes back", id)
	}
}

func TestANewWriteKeyThatDoesNotWorkChangesNothing(t *testing.T) {
	p := start(t, head+ringKey("a", "write", "")+ringKey("b", "read", ""))
	p.probe()
	before := p.keyID()
	if err := p.to(head + ringKey("a", "read", "") + ringKey("b", "write", "")); err != nil {
		t.Fatal(err)
	}
	p.failing(fault.ErrDenied, "b")
	if p.probe() {
		t.Error("the probe is content")
	}
	if p.keyID() != before || p.sealed("seed").GetKeyId() != before {
		t.Error("the key before is not used any more")
	}
	err := p.to(head + ringKey("a", "retired", "") + ringKey("b", "write", ""))
	if err == nil || !strings.Contains(err.Error(), "key a is what API servers write with now, because key b has not worked yet") {
		t.Errorf("the key before may be retired: %v", err)
	}
	p.keys.Fail(nil)
	p.probe()
	if p.keyID() == before {
		t.Error("the new key is not taken when it works")
	}
}

func TestAnOutageIsToldAndTheProvenKeyStaysNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, head+ringKey("a", "write", ""))
		p.run()
		synctest.Wait()
		keyID := p.keyID()
		p.failing(fault.ErrUnavailable, "a")
		time.Sleep(DefaultProbe + probeTime)
		got, err := p.status()
		if err != nil || got.GetKeyId() != keyID || got.GetHealthz() != "key a: memory:a: unavailable" {
			t.Errorf("status is %v, %v", got, err)
		}
		if p.server.healthy() == nil {
			t.Error("it says that it is healthy")
		}
		time.Sleep(time.Hour)
		_, err = p.status()
		p.is(err, codes.Unavailable, "key a: memory:a: unavailable")
		p.keys.Fail(nil)
		time.Sleep(probeAgain + time.Second)
		if p.keyID() != keyID {
			t.Error("another key is named after the outage")
		}
	})
}

func TestARefusalEndsWritingAtOnce(t *testing.T) {
	for _, kind := range []error{fault.ErrDenied, fault.ErrUnauthenticated, fault.ErrNotFound, fault.ErrInvalid} {
		synctest.Test(t, func(t *testing.T) {
			p := start(t, head+ringKey("a", "write", ""))
			p.run()
			synctest.Wait()
			p.keyID()
			p.failing(kind, "a")
			time.Sleep(DefaultProbe + time.Second)
			if got, err := p.status(); err == nil {
				t.Errorf("%v: status is %v", kind, got)
			}
		})
	}
}

func TestCallsTellStatusWithinSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, head+ringKey("a", "write", ""))
		p.run()
		synctest.Wait()
		req := p.sealed("seed")
		p.failing(fault.ErrDenied, "a")
		if _, err := p.decrypt(req); err == nil {
			t.Fatal("it decrypts")
		}
		time.Sleep(probeAgain + time.Millisecond)
		if p.server.healthy() == nil {
			t.Error("a Decrypt that was refused is not heard")
		}
		p.keys.Fail(nil)
		p.opens(req, "seed")
		time.Sleep(probeAgain + time.Millisecond)
		p.keyID()
		p.failing(fault.ErrDenied, "a")
		if _, err := p.encrypt("seed"); err == nil {
			t.Fatal("it encrypts")
		}
		if p.server.healthy() == nil {
			t.Error("an Encrypt that was refused is not heard at once")
		}
	})
}

func TestACiphertextThatIsNotWholeSaysNothingOfTheKey(t *testing.T) {
	p := start(t, head+ringKey("a", "write", ""))
	p.probe()
	req := p.sealed("seed")
	calls := p.keys.Calls("a", ringtest.Encrypt)
	req.Ciphertext[len(req.GetCiphertext())-1] ^= 1
	_, err := p.decrypt(req)
	p.is(err, codes.InvalidArgument, "key a: not a ciphertext of this key")
	p.keyID()
	if len(p.server.service.probes) != 0 || p.keys.Calls("a", ringtest.Encrypt) != calls {
		t.Error("the probe was asked to look")
	}
}

func TestAReadKeyThatHangsKeepsNoOtherKeyWaiting(t *testing.T) {
	p := start(t, head+ringKey("old", "write", "")+ringKey("new", "read", ""))
	client := p.serve()
	p.probe()
	old := p.sealed("old")
	if err := p.to(head + ringKey("old", "read", "") + ringKey("new", "write", "")); err != nil {
		t.Fatal(err)
	}
	p.probe()
	recent := p.sealed("new")
	hanging := make(chan struct{}, 200)
	p.keys.Fail(func(ctx context.Context, name, _ string) error {
		if name != "old" {
			return nil
		}
		hanging <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 200 {
		group.Go(func() {
			if _, err := client.Decrypt(ctx, old); err == nil {
				t.Error("it decrypts")
			}
		})
	}
	for range 64 {
		<-hanging
	}
	if got, err := client.Status(t.Context(), &kmsapi.StatusRequest{}); err != nil || got.GetHealthz() != "ok" {
		t.Errorf("status is %v, %v", got, err)
	}
	if !p.probe() {
		t.Error("the probe fails")
	}
	if _, err := client.Encrypt(t.Context(), &kmsapi.EncryptRequest{Plaintext: []byte("seed")}); err != nil {
		t.Errorf("encrypt: %v", err)
	}
	if got, err := client.Decrypt(t.Context(), recent); err != nil || string(got.GetPlaintext()) != "new" {
		t.Errorf("decrypt with the key that does not hang: %v, %v", got, err)
	}
	cancel()
	group.Wait()
}

func TestVersionsThatTakeTurnsChangeTheKeyIDOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, head+ringKey("a", "write", ""))
		p.run()
		synctest.Wait()
		first := p.keyID()
		p.keys.Rotate("a")
		time.Sleep(DefaultProbe + time.Second)
		second := p.keyID()
		if second == first {
			t.Fatal("the new version is not named")
		}
		stays := func(what string) {
			t.Helper()
			if got := p.keyID(); got != second {
				t.Errorf("%s: %s is named, want %s", what, got, second)
			}
		}
		for turn := range 60 { // for half an hour
			p.keys.Use("a", 1+turn%2)
			time.Sleep(30 * time.Second)
			stays("taking turns")
		}
		p.keys.Use("a", 1)
		if p.sealed("seed").GetKeyId() != first || p.keyID() != first {
			t.Error("what an Encrypt used is not what is named next")
		}
		p.keys.Use("a", 2)
		time.Sleep(DefaultProbe + time.Second)
		stays("after an Encrypt with the other")
		time.Sleep(DefaultProbe)
		p.keys.Use("a", 1)
		time.Sleep(backTime - time.Minute)
		stays("nine minutes of the older one")
		time.Sleep(2 * time.Minute)
		if got := p.keyID(); got != first {
			t.Errorf("%s is named, want the older one that alone is used", got)
		}
	})
}

func TestAfterARestartTheVersionWithTheHigherNumberIsTheNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, head+ringKey("a", "write", ""))
		p.keys.Rotate("a") // before this plugin has seen any
		p.run()
		synctest.Wait()
		second := p.keyID()
		for turn := range 60 { // for half an hour
			p.keys.Use("a", 1+turn%2)
			time.Sleep(30 * time.Second)
			if got := p.keyID(); got != second {
				t.Fatalf("turn %d: %s is named, want %s", turn, got, second)
			}
		}
	})
}

func TestAVersionThatDoesNotDecryptAnyMoreIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, head+ringKey("a", "write", ""))
		p.run()
		synctest.Wait()
		first := p.keyID()
		p.keys.Rotate("a")
		time.Sleep(DefaultProbe + time.Second)
		p.keys.Use("a", 1)
		p.keys.Disable("a", 2)
		time.Sleep(DefaultProbe + time.Second)
		if got := p.keyID(); got != first {
			t.Errorf("%s is named, which does not decrypt", got)
		}
	})
}

func TestAProbeOfAKeyThatTheRingNoLongerWritesWithIsNotAnnounced(t *testing.T) {
	p := start(t, head+ringKey("a", "write", "")+ringKey("b", "read", ""))
	p.probe()
	before := p.keyID()
	if err := p.to(head + ringKey("a", "read", "") + ringKey("b", "write", "")); err != nil {
		t.Fatal(err)
	}
	began, goOn := make(chan struct{}), make(chan struct{})
	p.keys.Fail(func(_ context.Context, name, operation string) error {
		if name == "b" && operation == ringtest.Decrypt {
			close(began)
			<-goOn
		}
		return nil
	})
	done := make(chan struct{})
	go func() { defer close(done); p.probe() }()
	<-began
	if err := p.to(head + ringKey("a", "write", "") + ringKey("b", "read", "")); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	<-done
	if got := p.keyID(); got != before {
		t.Errorf("%s is named, of a key that only reads", got)
	}
}

func TestASilentProbeIsNotTakenForHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, head+ringKey("a", "write", ""))
		p.probe()
		p.keyID()
		time.Sleep(3*DefaultProbe + silence + time.Second)
		if err := p.server.healthy(); err == nil || !strings.Contains(err.Error(), "key a was last seen to work 41s ago") {
			t.Errorf("%v", err)
		}
	})
}

// healthy returns why the API server would not be told that all is well.
func (s *Server) healthy() error {
	_, err := s.service.current.status(time.Now(), s.service.interval)
	return err
}

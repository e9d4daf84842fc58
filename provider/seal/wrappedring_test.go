package seal_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// wrap wraps a ring and reads it back from its file, locked.
func wrap(t testing.TB, ring *seal.KeyRing, with *seal.ServiceKey) *seal.KeyRing {
	t.Helper()
	wrapped, err := ring.Wrap(t.Context(), with)
	if err != nil {
		t.Fatal(err)
	}
	return reread(t, wrapped)
}

func unlock(t testing.TB, ring *seal.KeyRing, with *seal.ServiceKey, before *seal.KeyRing) *seal.KeyRing {
	t.Helper()
	unlocked := ring.Unlock(with, before)
	t.Cleanup(unlocked.Lock)
	return unlocked
}

func TestWrappedRingOpensWhatWasSealedToIt(t *testing.T) {
	service, with := newService(t)
	plain := newRing(t)
	wrapped := wrap(t, plain, with)
	if wrapped.WrappedBy() != "prod" || wrapped.Cluster() != "dev" || wrapped.Public().ID() != plain.Public().ID() {
		t.Errorf("wrapped by %q, cluster %q", wrapped.WrappedBy(), wrapped.Cluster())
	}
	_, private, _ := strings.Cut(marshal(t, plain), "lanyard.private.v1.")
	if strings.Contains(marshal(t, wrapped), strings.TrimSpace(private)) || strings.Contains(marshal(t, wrapped), "private: ") {
		t.Error("the file holds the private key")
	}
	text := mustSeal(t, wrapped, webScope(), "v") // the key service is not asked
	unlocked := unlock(t, wrapped, with, nil)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got, err := open(t, unlocked, text); got != "v" || err != nil {
				t.Errorf("Open = %q, %v", got, err)
			}
		})
	}
	all.Wait()
	if len(service.decrypts) != 1 || !key.IsNode(service.decrypts[0]) {
		t.Errorf("asked %d times, as %v; want once, as the node", len(service.decrypts), service.decrypts)
	}
	want := key.Context{"use": "sealed-key-ring", "ring-key": plain.Public().ID().String(), "cluster": "dev"}
	for _, bound := range service.bound {
		if string(bound.Canonical()) != string(want.Canonical()) {
			t.Errorf("bound to %v", bound)
		}
	}

	_, err := open(t, wrapped, text)
	wantErrors(t, err, seal.ErrUnknownKey)
	if !strings.Contains(err.Error(), "key prod") {
		t.Errorf("a locked ring: %v", err)
	}
}

func TestWrappedRingRotatesAndRetires(t *testing.T) {
	service, with := newService(t)
	first := wrap(t, newRing(t), with)
	old := mustSeal(t, first, webScope(), "old")
	rotated, err := first.Rotate(noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rotated.Marshal(); err == nil || !strings.Contains(err.Error(), "wrap") {
		t.Errorf("a plain key in a wrapped ring's file: %v", err)
	}
	rotated = wrap(t, rotated, with)
	if service.encrypts != 2 || len(service.decrypts) != 0 {
		t.Errorf("%d calls to encrypt, %d to decrypt; rotation needs one and none", service.encrypts, len(service.decrypts))
	}
	unlocked := unlock(t, rotated, with, nil)
	for text, want := range map[string]string{old: "old", mustSeal(t, rotated, webScope(), "new"): "new"} {
		if got, err := open(t, unlocked, text); got != want || err != nil {
			t.Errorf("Open = %q, %v", got, err)
		}
	}
	retired, err := rotated.Retire(first.Public().ID())
	if err != nil {
		t.Fatal(err)
	}
	_, err = open(t, unlock(t, reread(t, retired), with, unlocked), old)
	wantErrors(t, err, seal.ErrRetiredKey)
	other := named(t, "other", service, true)
	if _, err := rotated.Wrap(t.Context(), other); err == nil || !strings.Contains(err.Error(), "wrapped by key prod") {
		t.Errorf("wrapped by another key: %v", err)
	}
}

// A key service that is away, or refuses the node, loses nothing and takes
// nothing away.
func TestWrappedRingAndAKeyServiceThatFails(t *testing.T) {
	for name, failure := range map[string]error{
		"away":             fault.Fail(fault.ErrUnavailable, errors.New("no route")),
		"denied":           fault.Fail(fault.ErrDenied, errors.New("no route")),
		"unauthenticated":  fault.Fail(fault.ErrUnauthenticated, errors.New("no route")),
		"of no known kind": errors.New("no route"),
	} {
		t.Run(name, func(t *testing.T) {
			service, with := newService(t)
			ring := wrap(t, newRing(t), with)
			text := mustSeal(t, ring, webScope(), "v")
			unlocked := unlock(t, ring, with, nil)
			service.refuse = failure
			_, err := open(t, unlocked, text)
			wantErrors(t, err, seal.ErrKeyService)
			if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "no route") || !strings.Contains(err.Error(), "not lost") {
				t.Errorf("error %v", err)
			}
			service.refuse = nil
			if got, err := open(t, unlocked, text); got != "v" || err != nil {
				t.Errorf("after it came back: %q, %v", got, err)
			}
			service.refuse = failure
			if got, err := open(t, unlocked, text); got != "v" || err != nil {
				t.Errorf("what worked: %q, %v", got, err)
			}
			// A changed file makes another ring, which goes on with what there is.
			if got, err := open(t, unlock(t, reread(t, ring), with, unlocked), text); got != "v" || err != nil {
				t.Errorf("after the file was read anew: %q, %v", got, err)
			}
		})
	}
	t.Run("a caller that leaves", func(t *testing.T) {
		_, with := newService(t)
		ring := wrap(t, newRing(t), with)
		sealed, err := seal.Parse(mustSeal(t, ring, webScope(), "v"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		// Either answer is right, whichever comes first; none is a wrong value.
		if value, err := sealed.Open(ctx, seal.Keys{Ring: unlock(t, ring, with, nil)}, web, object, noon); err != nil && (!errors.Is(err, context.Canceled) || value.Len() > 0) {
			t.Errorf("%v", err)
		}
	})
}

// hangingKey does not decrypt before it is told to end, and then takes a while.
type hangingKey struct {
	key.Key
	began chan struct{}

	mu     sync.Mutex
	events []string
}

func (k *hangingKey) happened(what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.events = append(k.events, what)
}

func (k *hangingKey) Decrypt(ctx context.Context, _ identity.Identity, _ key.Ciphertext, _ key.Context) (secret.Bytes, error) {
	close(k.began)
	<-ctx.Done()
	time.Sleep(20 * time.Millisecond)
	k.happened("ended")
	return secret.Bytes{}, ctx.Err()
}

func (k *hangingKey) Close() { k.happened("closed") }

// An unwrapping outlives who asked for it, and ends before the key is closed.
func TestClosingAKeyEndsWhatOutlivesItsCallers(t *testing.T) {
	service := &hangingKey{Key: localKey(t, newLine(t)), began: make(chan struct{})}
	with := named(t, "prod", service, true)
	wrapped := wrap(t, newRing(t), with)
	sealed := mustParse(t, mustSeal(t, wrapped, webScope(), "v"))
	unlocked := unlock(t, wrapped, with, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-service.began; cancel() }()
	if _, err := sealed.Open(ctx, seal.Keys{Ring: unlocked}, web, object, noon); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
	with.Close()
	service.mu.Lock()
	defer service.mu.Unlock()
	if got := strings.Join(service.events, " "); got != "ended closed" {
		t.Errorf("happened: %s", got)
	}
}

func TestWrappedRingRefusesAnotherPrivateKey(t *testing.T) {
	_, with := newService(t)
	first := wrap(t, newRing(t), with)
	second, err := first.Rotate(noon)
	if err != nil {
		t.Fatal(err)
	}
	ring := wrap(t, second, with)
	file := marshal(t, ring)
	var wrapped []string
	for line := range strings.Lines(file) {
		if strings.Contains(line, "wrapped: ") {
			wrapped = append(wrapped, line)
		}
	}
	moved, err := seal.ParseKeyRing(secret.NewString(strings.NewReplacer(wrapped[0], wrapped[1], wrapped[1], wrapped[0]).Replace(file)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = open(t, unlock(t, moved, with, nil), mustSeal(t, ring, webScope(), "v"))
	wantErrors(t, err, seal.ErrKeyService)
	if !errors.Is(err, fault.ErrInvalid) {
		t.Errorf("a moved private key: %v", err)
	}
	t.Run("of a key service that answers wrong", func(t *testing.T) {
		service, with := newService(t)
		ring := wrap(t, newRing(t), with)
		service.alter = func(plain []byte) []byte { plain[0] ^= 1; return plain }
		_, err := open(t, unlock(t, ring, with, nil), mustSeal(t, ring, webScope(), "v"))
		if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "another private key") {
			t.Errorf("%v", err)
		}
	})
}

// A private key is in memory only as long as it is used.
func TestWrappedRingForgetsWhatIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, with := newService(t)
		ring := wrap(t, newRing(t), with)
		text := mustSeal(t, ring, webScope(), "v")
		unlocked := ring.Unlock(with, nil)
		for i, c := range []struct {
			wait time.Duration
			asks int
		}{{0, 1}, {14 * time.Minute, 1}, {14 * time.Minute, 1}, {16 * time.Minute, 2}} {
			time.Sleep(c.wait)
			synctest.Wait()
			if _, err := open(t, unlocked, text); err != nil || len(service.decrypts) != c.asks {
				t.Errorf("step %d: asked %d times, want %d; %v", i, len(service.decrypts), c.asks, err)
			}
		}
		unlocked.Lock()
		if _, err := open(t, unlocked, text); err != nil || len(service.decrypts) != 3 {
			t.Errorf("after Lock: asked %d times, %v", len(service.decrypts), err)
		}
		if _, err := open(t, unlocked, text); err != nil || len(service.decrypts) != 4 {
			t.Errorf("a locked ring kept a key: asked %d times, %v", len(service.decrypts), err)
		}
	})
}

func TestParseWrappedKeyRingRefuses(t *testing.T) {
	_, with := newService(t)
	good := marshal(t, wrap(t, newRing(t), with))
	plain := marshal(t, newRing(t))
	field := func(name string) string {
		for line := range strings.Lines(good) {
			if strings.HasPrefix(strings.TrimSpace(line), name+": ") {
				return line
			}
		}
		t.Fatalf("no %s", name)
		return ""
	}
	with2 := func(old, replacement string) string { return strings.Replace(good, old, replacement, 1) }
	_, private, _ := strings.Cut(plain, "private: ")
	for name, c := range map[string]struct{ file, tells string }{
		"no name of the key":      {with2(field("key"), ""), "key: must be 1 to 63"},
		"no version":              {with2(field("version"), ""), "keys[0].version"},
		"no public part":          {with2(field("public"), ""), "keys[0].public"},
		"nothing wrapped":         {with2(field("wrapped"), ""), "keys[0].wrapped"},
		"another prefix":          {with2("lanyard.wrapped.v1.", "lanyard.private.v1."), "keys[0].wrapped"},
		"another key's id":        {with2(field("public"), "  public: "+publicOf(t)+"\n"), "keys[0].id"},
		"a plain private key":     {with2(field("wrapped"), field("wrapped")+"  private: "+private), "keys[0].private: a wrapped key ring has no plain"},
		"a retired key's parts":   {with2("state: write", "state: retired"), "keys[0].wrapped: a retired key has none"},
		"a plain ring with a key": {strings.Replace(plain, "keys:", "key: prod\nkeys:", 1), "key: a plain key ring has none"},
		"a plain ring's wrapped":  {plain + field("wrapped"), "keys[0].wrapped: a plain key ring"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := seal.ParseKeyRing(secret.NewString(c.file))
			if err == nil || !strings.Contains(err.Error(), c.tells) || strings.Contains(err.Error(), strings.TrimSpace(private)[20:40]) {
				t.Errorf("error %v does not tell %q", err, c.tells)
			}
		})
	}
}

// publicOf is the text of a new public key.
func publicOf(t testing.TB) string {
	t.Helper()
	_, text, _ := strings.Cut(string(newRing(t).Public().Marshal()), "public: ")
	return strings.TrimSpace(text)
}

// A wrapped ring tells nothing by itself, so that it may come from a ConfigMap.
func TestReadKeyRingTakesAWrappedOneOfAnyMode(t *testing.T) {
	_, with := newService(t)
	path := filepath.Join(t.TempDir(), "ring.yaml")
	if err := os.WriteFile(path, []byte(marshal(t, wrap(t, newRing(t), with))), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.ReadKeyRing(path); err != nil {
		t.Error(err)
	}
}

func decodeBase64URL(t testing.TB, text string) []byte {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const ringVectorsPath = "testdata/wrapped-ring.json"

// ringVectors are a wrapped key ring, the line of the key file that wraps it,
// and what is in it.
type ringVectors struct {
	Line string `json:"line"`
	Ring string `json:"ring"`
	Keys []struct {
		ID    string `json:"id"`
		State string `json:"state"`
		Seed  string `json:"seed,omitempty"`
	} `json:"keys"`
}

func TestWriteRingVectors(t *testing.T) {
	if !*writeVectors {
		return
	}
	v := ringVectors{Line: newLine(t)}
	with := named(t, "prod", localKey(t, v.Line), true)
	ring := newRing(t)
	for range 2 {
		rotated, err := ring.Rotate(noon)
		if err != nil {
			t.Fatal(err)
		}
		ring = rotated
	}
	ring, err := ring.Retire(ring.Keys()[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	seeds := map[string]string{}
	plain := marshal(t, ring)
	for _, entry := range strings.Split(plain, "- id: ")[1:] {
		if _, private, ok := strings.Cut(entry, "lanyard.private.v1."); ok {
			seeds[entry[1:33]] = hex.EncodeToString(decodeBase64URL(t, strings.TrimSpace(private)))
		}
	}
	v.Ring = marshal(t, wrap(t, ring, with))
	for _, k := range ring.Keys() {
		v.Keys = append(v.Keys, struct {
			ID    string `json:"id"`
			State string `json:"state"`
			Seed  string `json:"seed,omitempty"`
		}{k.ID.String(), string(k.State), seeds[k.ID.String()]})
	}
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ringVectorsPath, append(data, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The vectors, read with the specification's own words: each private key is what
// the key service decrypts for the context that the page tells.
func TestRingVectors(t *testing.T) {
	data, err := os.ReadFile(ringVectorsPath)
	if err != nil {
		t.Fatal(err)
	}
	var v ringVectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	local := localKey(t, v.Line)
	ring, err := seal.ParseKeyRing(secret.NewString(v.Ring))
	if err != nil || marshal(t, ring) != v.Ring {
		t.Fatalf("reads back as another ring; %v", err)
	}
	entries := strings.Split(v.Ring, "- id: ")[1:]
	for i, k := range v.Keys {
		if got := ring.Keys()[i]; got.ID.String() != k.ID || string(got.State) != k.State {
			t.Errorf("key %d is %v", i, got)
		}
		_, text, ok := strings.Cut(entries[i], "lanyard.wrapped.v1.")
		if ok != (k.Seed != "") {
			t.Fatalf("key %d: wrapped %v", i, ok)
		}
		if !ok {
			continue
		}
		seed, err := local.Decrypt(t.Context(), identity.Identity{}, key.Ciphertext{Data: decodeBase64URL(t, strings.TrimSpace(text))},
			key.Context{"cluster": "dev", "ring-key": k.ID, "use": "sealed-key-ring"})
		if err != nil || hex.EncodeToString(seed.Reveal()) != k.Seed {
			t.Errorf("key %d: %v", i, err)
		}
	}
	with := named(t, "prod", local, true)
	if got, err := open(t, unlock(t, ring, with, nil), mustSeal(t, ring, webScope(), "v")); got != "v" || err != nil {
		t.Errorf("Open = %q, %v", got, err)
	}
}

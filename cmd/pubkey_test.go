package cmd_test

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// keyServer serves over HTTPS what answer writes, and is trusted by the file that
// is returned.
func (b *sealBench) keyServer(answer http.HandlerFunc) (address, caCert string) {
	b.t.Helper()
	server := httptest.NewUnstartedServer(answer)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that refuse it
	server.StartTLS()
	b.t.Cleanup(server.Close)
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return server.URL, b.file("ca.pem", string(block))
}

func (b *sealBench) writeKeyID() string {
	b.t.Helper()
	return writeKey(b.t, b.must("", "keygen", "--out", b.ring, "--export", "--public-out", b.public))
}

func TestPubkeyFetchesThePinnedKey(t *testing.T) {
	b := newSealBench(t)
	id := b.writeKeyID()
	public := b.read(b.public)
	address, ca := b.keyServer(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, public) })
	pinned := []string{"pubkey", address + "/public.yaml", "--ca-cert", ca, "--pin", strings.Repeat("0", 32), "--pin", id}
	if got := b.must("", pinned...); got != public {
		t.Errorf("printed %q", got)
	}
	out := filepath.Join(b.dir, "fetched.yaml")
	for range 2 {
		b.must("", append(pinned, "--out", out)...)
	}
	b.must("v", append([]string{"seal", "--public", out}, forWeb...)...)

	// After a rotation the new pin replaces the key.
	b.must("", "keygen", "--out", b.ring, "--rotate", "--public-out", b.public)
	public = b.read(b.public)
	b.refused(1, "and the pin is", "", append(pinned, "--out", out)...)
	b.must("", append(pinned, "--out", out, "--pin", b.writeKeyID())...)
	if b.read(out) != public {
		t.Error("the key was not replaced")
	}
}

func TestPubkeyOfAFile(t *testing.T) {
	b := newSealBench(t)
	id := b.writeKeyID()
	for name, args := range map[string][]string{
		"a public key":        {"pubkey", b.public},
		"a pinned public key": {"pubkey", b.public, "--pin", id},
		"a key ring":          {"pubkey", b.ring},
	} {
		if got := b.must("", args...); got != b.read(b.public) {
			t.Errorf("%s: printed %q", name, got)
		}
	}
	wrapped, _ := wrappedBench(t)
	if got := wrapped.must("", "pubkey", wrapped.ring); got != wrapped.read(wrapped.public) {
		t.Errorf("a wrapped key ring: printed %q", got)
	}
}

func TestPubkeySaysWhatIsWrongWithARing(t *testing.T) {
	b := newSealBench(t)
	if err := os.Chmod(b.ring, 0o644); err != nil {
		t.Fatal(err)
	}
	b.refused(2, "are too open", "", "pubkey", b.ring)
	b.refused(2, "keys[0]", "", "pubkey", b.file("broken.yaml", "kind: lanyard.wrapped-key-ring.v1\nkey: prod\nkeys: [{id: x}]\n"))
}

func TestPubkeyRefuses(t *testing.T) {
	b := newSealBench(t)
	id := b.writeKeyID()
	public := b.read(b.public)
	forever := make(chan struct{})
	address, ca := b.keyServer(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/public.yaml":
			_, _ = io.WriteString(w, public)
		case "/ring.yaml":
			_, _ = io.WriteString(w, b.read(b.ring))
		case "/plain":
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat("#", 1<<16)); err != nil {
					return
				}
			}
		case "/slow":
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-forever:
			case <-r.Context().Done():
			case <-time.After(time.Minute):
			}
		default:
			http.NotFound(w, r)
		}
	})
	t.Cleanup(func() { close(forever) })
	pinned := func(path string, more ...string) []string {
		return append([]string{"pubkey", address + path, "--ca-cert", ca, "--pin", id}, more...)
	}
	other := newSealBench(t)
	foreign := filepath.Join(b.dir, "foreign.yaml")
	b.must("", "keygen", "--out", filepath.Join(b.dir, "r2.yaml"), "--cluster", "live", "--public-out", foreign)
	for name, c := range map[string]struct {
		code  int
		tells string
		args  []string
	}{
		"nothing":                      {2, "one URL or file", []string{"pubkey"}},
		"plain http":                   {2, "https:// alone", []string{"pubkey", "http://localhost/public.yaml", "--pin", id}},
		"another scheme":               {2, "https:// alone", []string{"pubkey", "file:///etc/passwd", "--pin", id}},
		"a password in the URL":        {2, "others can see", []string{"pubkey", "https://user:hunter2@localhost/", "--pin", id}},
		"no pin":                       {2, "--pin is missing", []string{"pubkey", address + "/public.yaml", "--ca-cert", ca}},
		"what is no pin":               {2, "--pin: a key id has", []string{"pubkey", address + "/public.yaml", "--pin", "abc"}},
		"another key":                  {1, "seal nothing to it", []string{"pubkey", address + "/public.yaml", "--ca-cert", ca, "--pin", other.writeKeyID()}},
		"a file with another key":      {1, "seal nothing to it", []string{"pubkey", b.public, "--pin", other.writeKeyID()}},
		"a server that is not trusted": {1, "certificate", []string{"pubkey", address + "/public.yaml", "--pin", id}},
		"no authorities":               {2, "no certificate in PEM", []string{"pubkey", address + "/public.yaml", "--pin", id, "--ca-cert", b.public}},
		"what is not there":            {1, "404", pinned("/none")},
		"a private key ring":           {1, "private key ring", pinned("/ring.yaml")},
		"a way to plain http":          {1, "away from https", pinned("/plain")},
		"a way in circles":             {1, "too often", pinned("/round")},
		"an endless answer":            {1, "more than 1048576 bytes", pinned("/endless", "--timeout", "1m")},
		"a slow answer":                {1, "deadline", pinned("/slow", "--timeout", "50ms")},
		"no time":                      {2, "--timeout", pinned("/public.yaml", "--timeout", "0s")},
		"to write over another file":   {2, "no public key", pinned("/public.yaml", "--out", b.file("notes", "hello"))},
		"another cluster's key's file": {2, `cluster "live"`, pinned("/public.yaml", "--out", foreign)},
		"a file that is not there":     {2, "nonexistent", []string{"pubkey", "/nonexistent"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := b.in(t)
			b.refused(c.code, c.tells, "", c.args...)
			if _, _, stderr := b.run("", c.args...); strings.Contains(stderr, "hunter2") || strings.Contains(stderr, "lanyard.private") {
				t.Errorf("error %q tells a secret", stderr)
			}
		})
	}
	if data, err := os.ReadFile(filepath.Join(b.dir, "notes")); err != nil || string(data) != "hello" {
		t.Error("a refusal changed a file")
	}
}

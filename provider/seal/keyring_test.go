package seal_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func marshal(t testing.TB, ring *seal.KeyRing) string {
	t.Helper()
	data, err := ring.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data.RevealString()
}

func reread(t testing.TB, ring *seal.KeyRing) *seal.KeyRing {
	t.Helper()
	again, err := seal.ParseKeyRing(secret.NewString(marshal(t, ring)))
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// The life of a key: it writes, then only reads, then is retired, and each
// stage survives the file.
func TestRotationAndRetirement(t *testing.T) {
	first := reread(t, newRing(t))
	old := mustSeal(t, first, webScope(), "old")

	rotated, err := first.Rotate(noon)
	if err != nil {
		t.Fatal(err)
	}
	rotated = reread(t, rotated)
	if rotated.Public().ID() == first.Public().ID() {
		t.Fatal("rotation kept the write key")
	}
	for _, text := range []string{old, mustSeal(t, rotated, webScope(), "new")} {
		if _, err := open(t, rotated, text); err != nil {
			t.Errorf("after rotation: %v", err)
		}
	}
	if _, err := open(t, first, mustSeal(t, rotated, webScope(), "new")); err == nil {
		t.Error("the ring before rotation opened a value of the new key")
	} else {
		wantErrors(t, err, seal.ErrUnknownKey)
	}

	retired, err := rotated.Retire(first.Public().ID())
	if err != nil {
		t.Fatal(err)
	}
	retired = reread(t, retired)
	_, err = open(t, retired, old)
	wantErrors(t, err, seal.ErrRetiredKey)
	if !strings.Contains(err.Error(), retired.Public().ID().String()) {
		t.Errorf("error %q does not say which key to seal to", err)
	}
	states := []seal.State{}
	for _, key := range retired.Keys() {
		states = append(states, key.State)
	}
	if len(states) != 2 || states[0] != seal.StateRetired || states[1] != seal.StateWrite {
		t.Errorf("states %v", states)
	}
	if strings.Count(marshal(t, retired), "private: ") != 1 {
		t.Error("the retired key's private part is still in the file")
	}
	if _, err := open(t, rotated, old); err != nil {
		t.Errorf("retiring changed the ring it was called on: %v", err)
	}
}

func TestRetireRefuses(t *testing.T) {
	ring := newRing(t)
	if _, err := ring.Retire(ring.Public().ID()); err == nil || !strings.Contains(err.Error(), "rotate first") {
		t.Errorf("retiring the write key: %v", err)
	}
	if _, err := ring.Retire(seal.KeyID{}); err == nil || !strings.Contains(err.Error(), "has no key") {
		t.Errorf("retiring an unknown key: %v", err)
	}
	rotated, err := ring.Rotate(noon)
	if err != nil {
		t.Fatal(err)
	}
	retired, err := rotated.Retire(ring.Public().ID())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := retired.Retire(ring.Public().ID()); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("retiring twice: %v", err)
	}
}

func TestPublicKeyFile(t *testing.T) {
	ring := newRing(t)
	data := ring.Public().Marshal()
	public, err := seal.ParsePublicKey(data)
	if err != nil {
		t.Fatal(err)
	}
	if public.ID() != ring.Public().ID() || public.Cluster() != "dev" {
		t.Errorf("key %v of cluster %q", public.ID(), public.Cluster())
	}
	if strings.Contains(string(data), "private") {
		t.Error("the public key file speaks of a private key")
	}
	text, err := seal.Seal(public, webScope(), secret.NewString("v"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := open(t, ring, text); err != nil || got != "v" {
		t.Errorf("Open = %q, %v", got, err)
	}
}

func TestRingWithoutCluster(t *testing.T) {
	ring, err := seal.NewKeyRing("", noon)
	if err != nil {
		t.Fatal(err)
	}
	if got := reread(t, ring).Cluster(); got != "" {
		t.Errorf("cluster %q", got)
	}
	if _, err := seal.NewKeyRing("a\nb", noon); err == nil {
		t.Error("a name with a newline was accepted")
	}
}

func TestParseKeyRingRefuses(t *testing.T) {
	good := marshal(t, newRing(t))
	other := marshal(t, newRing(t))
	entry := func(file string) string { _, keys, _ := strings.Cut(file, "keys:\n"); return keys }
	line := func(file, field string) string {
		for l := range strings.Lines(file) {
			if strings.Contains(l, field+": ") {
				return strings.TrimSpace(l)
			}
		}
		t.Fatalf("no %s", field)
		return ""
	}
	for name, c := range map[string]struct{ file, tells string }{
		"no keys":                     {"kind: lanyard.key-ring.v1\nkeys: []\n", "exactly one"},
		"another kind":                {strings.Replace(good, "key-ring.v1", "key-ring.v2", 1), "kind"},
		"a public key":                {string(newRing(t).Public().Marshal()), "public key"},
		"nothing":                     {"", "kind"},
		"not YAML":                    {"\t: [", ""},
		"an unknown field":            {strings.Replace(good, "created:", "made:", 1), "made"},
		"an unknown state":            {strings.Replace(good, "state: write", "state: writes", 1), "keys[0].state"},
		"a bad time":                  {strings.Replace(good, "2026-05-01T", "yesterday", 1), "keys[0].created"},
		"a short id":                  {strings.Replace(good, line(good, "id"), `- id: "00"`, 1), "keys[0].id"},
		"another key's id":            {strings.Replace(good, line(good, "id"), line(other, "id"), 1), "id"},
		"another key's private part":  {strings.Replace(good, line(good, "private"), line(other, "private"), 1), "keys[0].id"},
		"no private part":             {strings.Replace(good, line(good, "private"), "", 1), "keys[0].private"},
		"a cut private part":          {strings.Replace(good, line(good, "private"), line(good, "private")[:40], 1), "keys[0].private"},
		"a re-encoded private part":   {strings.Replace(good, line(good, "private"), line(good, "private")+"=", 1), "keys[0].private"},
		"a retired key with its part": {strings.Replace(good, "state: write", "state: retired", 1), "keys[0].private"},
		"no write key":                {strings.Replace(good, "state: write", "state: read", 1), "exactly one"},
		"two write keys":              {good + entry(other), "exactly one"},
		"one key twice":               {good + strings.Replace(entry(good), "state: write", "state: read", 1), "keys[1].id"},
		"a cluster with a bell":       {strings.Replace(good, `"dev"`, `"\a"`, 1), "cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := seal.ParseKeyRing(secret.NewString(c.file))
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), c.tells) {
				t.Errorf("error %q does not tell %q", err, c.tells)
			}
			for _, file := range []string{good, other} {
				if private := strings.TrimPrefix(line(file, "private"), "private: lanyard.private.v1."); strings.Contains(err.Error(), private[:8]) {
					t.Errorf("error %q quotes a private key", err)
				}
			}
		})
	}
}

func TestParsePublicKeyRefuses(t *testing.T) {
	ring := newRing(t)
	good := string(ring.Public().Marshal())
	other := newRing(t).Public().ID().String()
	for name, c := range map[string]struct{ file, tells string }{
		"a key ring":           {marshal(t, ring), "private key ring"},
		"another kind":         {strings.Replace(good, "public-key.v1", "x", 1), "kind"},
		"another key's id":     {strings.Replace(good, ring.Public().ID().String(), other, 1), "id"},
		"an id in capitals":    {strings.Replace(good, ring.Public().ID().String(), strings.Repeat("A", 32), 1), "id"},
		"a cut key":            {good[:len(good)-8], "public"},
		"a key of another use": {strings.Replace(good, "lanyard.public.v1.", "age1", 1), "public"},
		"an unknown field":     {good + "private: x\n", "private"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := seal.ParsePublicKey([]byte(c.file)); err == nil || !strings.Contains(err.Error(), c.tells) {
				t.Errorf("error %v does not tell %q", err, c.tells)
			}
		})
	}
}

func TestReadKeyRingRefusesFilesOthersMayUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ring.yaml")
	if err := os.WriteFile(path, []byte(marshal(t, newRing(t))), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o620: false, 0o602: false, 0o610: false} {
		t.Run(mode.String(), func(t *testing.T) {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			_, err := seal.ReadKeyRing(path)
			if (err == nil) != ok {
				t.Errorf("ReadKeyRing: %v, want success %v", err, ok)
			}
			if !ok && !strings.Contains(err.Error(), path) {
				t.Errorf("error %q does not name the file", err)
			}
		})
	}
	t.Run("another owner", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Log("only root can give a file away; the check runs where tests run as root")
			return
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, 1234, -1); err != nil {
			t.Fatal(err)
		}
		if _, err := seal.ReadKeyRing(path); err == nil || !strings.Contains(err.Error(), "1234") {
			t.Errorf("ReadKeyRing: %v", err)
		}
	})
	t.Run("a named pipe", func(t *testing.T) {
		pipe := filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := seal.ReadKeyRing(pipe); err == nil || !strings.Contains(err.Error(), "regular file") {
			t.Errorf("ReadKeyRing: %v", err)
		}
	})
	t.Run("a huge file", func(t *testing.T) {
		huge := filepath.Join(t.TempDir(), "huge")
		if err := os.WriteFile(huge, make([]byte, seal.MaxKeyFile+1), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := seal.ReadKeyRing(huge); err == nil || !strings.Contains(err.Error(), "larger than") {
			t.Errorf("ReadKeyRing: %v", err)
		}
	})
}

package local_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/keytest"
	"github.com/lanyardhq/lanyard/provider/key/local"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func newLine(t *testing.T) string {
	t.Helper()
	plain := make([]byte, 32)
	if _, err := rand.Read(plain); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(plain)
}

// write puts the lines in place the way that the documentation asks for: into
// another file first, which then takes its place.
func write(t *testing.T, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func settingsOf(path string) key.Settings {
	return key.Settings{Fields: map[string]any{"file": path}, ByOperator: true}
}

func TestLocalKeyMeetsTheContract(t *testing.T) {
	keytest.Run(t, func(t *testing.T) *keytest.Fixture {
		dir := t.TempDir()
		path, other := filepath.Join(dir, "keys"), filepath.Join(dir, "other")
		lines := []string{newLine(t), "# older", newLine(t)}
		write(t, path, lines...)
		otherLine := newLine(t)
		write(t, other, otherLine)
		same := settingsOf(dir + "/./keys")
		byPod := settingsOf(path)
		byPod.ByOperator = false
		return &keytest.Fixture{
			Type: local.NewType(), Settings: settingsOf(path), Other: settingsOf(other), SameKey: &same,
			OtherCallers: map[string]identity.Identity{
				"a pod":                  {Namespace: "prod", ServiceAccount: "web"},
				"a pod with a token":     {Tokens: map[string]identity.Token{"a": {JWT: secret.NewString("jwt")}}, Namespace: "prod"},
				"a pod with credentials": {Credentials: map[string]secret.Bytes{"a": secret.NewString("b")}},
			},
			DetectsVersion: true,
			Rotate: func(t *testing.T) {
				lines = append([]string{newLine(t)}, lines...)
				write(t, path, lines...)
			},
			Fail: func(t *testing.T) {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			},
			Answers: keytest.NoServer,
			InvalidSettings: map[string]key.Settings{
				"file":                     {ByOperator: true},
				"file absolute":            {Fields: map[string]any{"file": "keys"}, ByOperator: true},
				"path":                     {Fields: map[string]any{"path": path}, ByOperator: true},
				"operator's":               byPod,
				"file operator's absolute": {Fields: map[string]any{"file": "./keys"}},
			},
			Planted: append([]string{otherLine}, lines...),
		}
	})
}

func TestAFileThatCannotBeTrustedIsRefused(t *testing.T) {
	good := newLine(t)
	for name, test := range map[string]struct {
		content string
		mode    os.FileMode
		want    string
	}{
		"for the group":       {good + "\n", 0o640, "chmod 600"},
		"for all":             {good + "\n", 0o604, "chmod 600"},
		"empty":               {"", 0o600, "cut short"},
		"comments alone":      {"# none\n\n", 0o600, "holds no key"},
		"cut short":           {good[:20], 0o600, "cut short"},
		"no line's end":       {good, 0o600, "cut short"},
		"carriage return":     {good + "\r\n", 0o600, "line 1: is not base64"},
		"space":               {good + " \n", 0o600, "line 1: is not base64"},
		"no padding":          {strings.TrimRight(good, "=") + "\n", 0o600, "line 1: is not base64"},
		"set bits at the end": {good[:42] + "B=" + "\n", 0o600, "line 1: "},
		"short key":           {base64.StdEncoding.EncodeToString([]byte("short")) + "\n", 0o600, "line 1: is a key of 5 bytes"},
		"placeholder":         {strings.Repeat("A", 43) + "=\n", 0o600, "line 1: is a placeholder"},
		"placeholder, high":   {base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0x80}, 32)) + "\n", 0o600, "line 1: is a placeholder"},
		"one key twice":       {good + "\n# again\n" + good + "\n", 0o600, "line 3: is the same key"},
		"two wrong lines":     {"x\n" + good + "\ny\n", 0o600, "line 3: is not base64"},
		"too large":           {strings.Repeat("#\n", 40<<10), 0o600, "larger than"},
		"too many keys":       {manyKeys(t, 65), 0o600, "more than 64 keys"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys")
			if err := os.WriteFile(path, []byte(test.content), test.mode); err != nil {
				t.Fatal(err)
			}
			opened, err := local.NewType().Open(settingsOf(path))
			if err != nil {
				t.Fatal(err)
			}
			defer opened.Close()
			_, err = opened.Current(t.Context(), identity.Identity{})
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want one with %q and the path", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), good[:20]) {
				t.Errorf("the error %q shows a key", err)
			}
		})
	}
}

func manyKeys(t *testing.T, count int) string {
	t.Helper()
	var all strings.Builder
	for range count {
		all.WriteString(newLine(t) + "\n")
	}
	return all.String()
}

func TestAKeyThatWasTakenOutIsNotFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	write(t, path, newLine(t))
	opened, err := local.NewType().Open(settingsOf(path))
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	made, err := opened.Encrypt(t.Context(), identity.Identity{}, secret.NewString("a"), nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, newLine(t))
	_, err = opened.Decrypt(t.Context(), identity.Identity{}, made, nil)
	if !errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), made.Version) {
		t.Errorf("error %v, want not found with the key's ID", err)
	}
}

package manifest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const walkedClass = "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: wéb}\nspec: {provider: lanyard}\n"

// Text that decodes is encoded to the same bytes again, and holds the same classes in
// every encoding. Nothing panics.
func FuzzWalker(f *testing.F) {
	for _, seed := range []string{
		walkedClass, "\ufeff" + walkedClass, strings.ReplaceAll(walkedClass, "\n", "\r\n"), "---\n---\n" + walkedClass, "",
		"kind: List\nitems:\n- {kind: SecretProviderClass}\n- {kind: List, items: [{kind: SecretProviderClass, apiVersion: a/v1}]}\n",
		`{"kind":"SecretProviderClass"}`, "a: &a [*a]\n", "\xff\xfea\x00", "\xfe\xff\x00a", "\xff\xfe\x00\xd8", "a: b: c", "%YAML 1.2\n---\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text, as, err := decode(data)
		if err != nil {
			return
		}
		if !bytes.Equal(as.encode(text), data) {
			t.Errorf("%q is written back as %q", data, as.encode(text))
		}
		documents, _ := Documents(text) // what comes before the error counts
		classes := Classes(documents)
		for _, other := range encodings {
			again, _, err := decode(other.encode(text))
			if err != nil || !bytes.Equal(again, text) {
				t.Errorf("%q becomes %q in another encoding, %v", text, again, err)
			}
		}
		for _, class := range classes {
			_, _ = class.Parameters() // it must not panic
			_ = class.Name() + class.Namespace() + class.Provider()
		}
	})
}

func TestAHostileTextIsRefusedBeforeItIsParsed(t *testing.T) {
	for _, unit := range []string{"- a\n", "[", "{a,", "a: b\n", "\r"} {
		if _, err := Documents([]byte(strings.Repeat(unit, maxParts+1))); err == nil || !strings.Contains(err.Error(), "too many") {
			t.Errorf("%q many times: %v", unit, err)
		}
	}
	if documents, err := Documents([]byte("a: " + strings.Repeat("x-y:z", maxParts))); err != nil || len(documents) != 1 {
		t.Errorf("a long word: %v", err)
	}
}

func TestAnAliasBombCostsNothing(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'z'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 9), ",") + "]\n"
	}
	documents, err := Documents([]byte(walkedClass + "---\n" + bomb + "kind: List\nitems: *y\n"))
	if err != nil || len(Classes(documents)) != 1 {
		t.Errorf("%d classes, %v", len(Classes(documents)), err)
	}
}

func TestAFolderIsWalkedWithoutWhatLiesElsewhere(t *testing.T) {
	outside, folder := t.TempDir(), t.TempDir()
	write := func(path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(walkedClass), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(outside, "secret.yaml"))
	write(filepath.Join(folder, "..2026/mounted.yaml")) // as a ConfigMap is mounted
	write(filepath.Join(folder, "b/plain.yml"))
	write(filepath.Join(folder, ".hidden.yaml"))
	write(filepath.Join(folder, "notes.txt"))
	link(filepath.Join(outside, "secret.yaml"), "elsewhere.yaml")
	link("..2026/mounted.yaml", "mounted.yaml")
	link("b/plain.yml", "again.yaml")
	link(outside, "folder.yaml")
	var got []string
	err := Each(nil, []string{folder, filepath.Join(folder, "b")}, []string{Kind}, func(in Input, err error) error {
		relative, _ := filepath.Rel(folder, in.Name) // it is below
		got = append(got, relative)
		return err
	})
	if want := "b/plain.yml mounted.yaml"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("visited %q, %v; want %s", got, err, want)
	}
}

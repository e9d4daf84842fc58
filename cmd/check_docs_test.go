package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

const classesPage = "../docs/classes.md"

// TestDocumentedClassesAreValid runs check on every YAML block of the page. A
// list is the objects of a class; an ellipsis stands for the rest of a sealed
// value; a console block says what check prints of the block before it.
func TestDocumentedClassesAreValid(t *testing.T) {
	page, err := os.ReadFile(classesPage)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```(yaml|console)\n(.*?)```").FindAllSubmatch(page, -1)
	if len(blocks) < 5 {
		t.Fatalf("the page has %d blocks", len(blocks))
	}
	t.Chdir(t.TempDir())
	sealed := sealedForAll(t)
	for i, block := range blocks {
		if string(block[1]) != "yaml" {
			continue
		}
		text := strings.ReplaceAll(string(block[2]), "lanyard.v1.…", sealed)
		if strings.HasPrefix(text, "- ") {
			text = "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: a}\nspec:\n  provider: lanyard\n  parameters:\n    objects: |\n" +
				regexp.MustCompile("(?m)^").ReplaceAllString(text, "      ")
		}
		if !strings.Contains(text, "kind: SecretProviderClass") {
			continue
		}
		want, wantCode := "", exitOK
		if i+1 < len(blocks) && string(blocks[i+1][1]) == "console" {
			want, wantCode = strings.TrimPrefix(string(blocks[i+1][2]), "$ lanyard check web.yaml\n"), exitFailed
		}
		if err := os.WriteFile("web.yaml", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errors bytes.Buffer
		if code := Execute([]string{"check", "web.yaml"}, strings.NewReader(""), &out, &errors); code != wantCode || out.String() != want {
			t.Errorf("check of\n%s\nprints\n%s%sexit %d, want\n%s", text, out.String(), errors.String(), code, want)
		}
	}
}

func sealedForAll(t *testing.T) string {
	t.Helper()
	ring, err := seal.NewKeyRing("docs", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	text, err := seal.Seal(ring.Public(), seal.Scope{Cluster: seal.Any(), Namespace: seal.Any(), ServiceAccount: seal.Any(), Object: seal.Any()}, secret.NewString("example"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestEveryFieldIsDocumented takes the names from what check answers to an
// unknown one.
func TestEveryFieldIsDocumented(t *testing.T) {
	page, err := os.ReadFile(classesPage)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "class.yaml")
	const class = "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: a}\nspec:\n  provider: lanyard\n  parameters: {zzzz: '', objects: '- {zzzz: 1}'}\n"
	if err := os.WriteFile(file, []byte(class), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errors bytes.Buffer
	Execute([]string{"check", file}, strings.NewReader(""), &out, &errors)
	lists := regexp.MustCompile("known are (.*)").FindAllStringSubmatch(out.String(), -1)
	if len(lists) != 2 {
		t.Fatalf("check prints\n%s", out.String())
	}
	for _, list := range lists {
		for name := range strings.SplitSeq(list[1], ", ") {
			if !bytes.Contains(page, []byte("\n| `"+name+"` |")) {
				t.Errorf("%s has no row for %s", classesPage, name)
			}
		}
	}
}

package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// TestAnotherCheckoutGivesTheSameBytes builds from a copy of the source
// elsewhere, as another machine would.
func TestAnotherCheckoutGivesTheSameBytes(t *testing.T) {
	copied := t.TempDir()
	for _, path := range []string{"go.mod", "go.sum", "main.go"} {
		data, err := os.ReadFile(filepath.Join(source, path))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copied, path), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"cmd", "internal", "provider", "server"} {
		if err := os.CopyFS(filepath.Join(copied, path), os.DirFS(filepath.Join(source, path))); err != nil {
			t.Fatal(err)
		}
	}
	first, err := built()
	if err != nil {
		t.Fatal(err)
	}
	second, err := Build(t.Context(), options(copied))
	if err != nil {
		t.Fatal(err)
	}
	if one, other := digest(t, first), digest(t, second); one != other {
		t.Errorf("two builds of one source are %s and %s", one, other)
	}
}

func digest(t *testing.T, index v1.ImageIndex) v1.Hash {
	t.Helper()
	found, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// writeArchive writes the archive of built.
func writeArchive(t *testing.T, architecture string) (path string) {
	t.Helper()
	if _, err := built(); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "image.tar")
	if err := WriteArchive(path, layoutDir, architecture, created); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheArchiveIsTheLayoutAndAlwaysTheSame(t *testing.T) {
	var archives [2][]byte
	for i := range archives {
		var err error
		if archives[i], err = os.ReadFile(writeArchive(t, "amd64")); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of one layout differ")
	}
	archive := tar.NewReader(bytes.NewReader(archives[0]))
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if header.Name == "manifest.json" {
			continue // Docker's
		}
		if want, err := os.ReadFile(filepath.Join(layoutDir, header.Name)); err != nil || !bytes.Equal(data, want) {
			t.Errorf("%s is not what the layout has: %v", header.Name, err)
		}
	}
}

// TestDockersClassicStoreReadsTheArchive reads it as that store does, by the
// library's own reader of what `docker save` writes.
func TestDockersClassicStoreReadsTheArchive(t *testing.T) {
	tag, err := name.NewTag("registry.example/lanyard:v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	for architecture, want := range images(t) {
		got, err := tarball.ImageFromPath(writeArchive(t, architecture), &tag)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(got); err != nil {
			t.Errorf("%s: %v", architecture, err)
		}
		wanted, err := want.ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		if config, err := got.ConfigName(); err != nil || config != wanted {
			t.Errorf("%s has the configuration %v, want %v: %v", architecture, config, wanted, err)
		}
	}
}

func TestAnArchiveForAnArchitectureThatTheLayoutLacksIsRefused(t *testing.T) {
	if _, err := built(); err != nil {
		t.Fatal(err)
	}
	err := WriteArchive(filepath.Join(t.TempDir(), "image.tar"), layoutDir, "mips", created)
	if err == nil || !strings.Contains(err.Error(), "holds 0 images for mips") {
		t.Errorf("the error is %v", err)
	}
}

func TestALayoutReplacesALayoutAndNothingElse(t *testing.T) {
	index, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for range 2 {
		if err := WriteLayout(dir, "a", "b", index); err != nil {
			t.Fatal(err)
		}
	}
	written, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if manifest, err := written.IndexManifest(); err != nil || len(manifest.Manifests) != 1 {
		t.Errorf("the layout holds %v: %v", manifest, err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteLayout(other, "a", "b", index); err == nil || !strings.Contains(err.Error(), "holds no OCI layout") {
		t.Errorf("over other files the error is %v", err)
	}
}

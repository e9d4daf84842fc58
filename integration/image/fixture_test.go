package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

var source = filepath.Join("..", "..")

var created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func options(source string) Options {
	return Options{Source: source, Certificates: DebianCertificates, Version: "v1.2.3", Commit: "0123abc", Created: created}
}

// layoutDir is where built is. It is set once, before any test runs.
var layoutDir string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if layoutDir, err = os.MkdirTemp("", "lanyard-layout-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(layoutDir) }()
	return m.Run()
}

// built is the image that all tests look at, made once and read back from its
// layout as others read it.
var built = sync.OnceValues(func() (v1.ImageIndex, error) {
	index, err := Build(context.Background(), options(source))
	if err != nil {
		return nil, err
	}
	if err := WriteLayout(layoutDir, "registry.example/lanyard", "v1.2.3", index); err != nil {
		return nil, err
	}
	written, err := layout.ImageIndexFromPath(layoutDir)
	if err != nil {
		return nil, err
	}
	manifest, err := written.IndexManifest()
	if err != nil {
		return nil, err
	}
	return written.ImageIndex(manifest.Manifests[0].Digest)
})

// images are the built images by architecture.
func images(t *testing.T) map[string]v1.Image {
	t.Helper()
	index, err := built()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]v1.Image{}
	for _, one := range manifest.Manifests {
		all[one.Platform.Architecture], err = index.Image(one.Digest)
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// unpacked are the images' files by architecture and path, read once.
var unpacked = map[string]map[string]entry{}

// entry is a file or a directory of an image.
type entry struct {
	header  *tar.Header
	content []byte
}

// entries are an image's files and directories from all layers.
func entries(t *testing.T, architecture string) map[string]entry {
	t.Helper()
	if known, found := unpacked[architecture]; found {
		return known
	}
	layers, err := images(t)[architecture].Layers()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]entry{}
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		archive := tar.NewReader(content)
		for {
			header, err := archive.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			all[header.Name] = entry{header, data}
		}
	}
	unpacked[architecture] = all
	return all
}

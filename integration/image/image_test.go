package image

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"debug/elf"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
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

// files are an image's files, without directories, from all layers.
func files(t *testing.T, image v1.Image) map[string][]byte {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
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
			if header.Uid != 0 || header.Gid != 0 || !header.ModTime.Equal(created) || header.Mode&0o022 != 0 {
				t.Errorf("%s is of %d:%d with mode %o and time %v", header.Name, header.Uid, header.Gid, header.Mode, header.ModTime)
			}
			if header.Typeflag == tar.TypeReg {
				if all[header.Name], err = io.ReadAll(archive); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return all
}

func TestTheImageIsForBothArchitecturesAndValid(t *testing.T) {
	index, err := built()
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	if got := slices.Sorted(maps.Keys(images(t))); !slices.Equal(got, []string{"amd64", "arm64"}) {
		t.Errorf("the image is for %v", got)
	}
}

func TestTheImageIsSmall(t *testing.T) {
	const most = 50 << 20
	for architecture, image := range images(t) {
		layers, err := image.Layers()
		if err != nil {
			t.Fatal(err)
		}
		var pulled int64
		for _, layer := range layers {
			size, err := layer.Size()
			if err != nil {
				t.Fatal(err)
			}
			pulled += size
		}
		unpacked := 0
		for _, content := range files(t, image) {
			unpacked += len(content)
		}
		t.Logf("%s: %d MiB to pull, %d MiB unpacked", architecture, pulled>>20, unpacked>>20)
		if unpacked > most {
			t.Errorf("%s takes %d bytes, more than %d", architecture, unpacked, most)
		}
	}
}

func TestTheBinaryIsStaticAndOfItsArchitecture(t *testing.T) {
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	for architecture, image := range images(t) {
		binary, err := elf.NewFile(bytes.NewReader(files(t, image)["lanyard"]))
		if err != nil {
			t.Fatal(err)
		}
		if binary.Machine != machines[architecture] {
			t.Errorf("%s holds a program for %v", architecture, binary.Machine)
		}
		for _, part := range binary.Progs {
			if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
				t.Errorf("%s: the program needs libraries that the image does not have", architecture)
			}
		}
	}
}

func TestTheBinaryRunsAndKnowsItsVersion(t *testing.T) {
	image, found := images(t)[runtime.GOARCH]
	if !found {
		t.Fatalf("there is no image for %s, on which this test runs", runtime.GOARCH)
	}
	binary := filepath.Join(t.TempDir(), "lanyard")
	if err := os.WriteFile(binary, files(t, image)["lanyard"], 0o700); err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(t.Context(), binary, "version", "--output", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var says struct{ Version, Commit string }
	if err := json.Unmarshal(output, &says); err != nil || says.Version != "v1.2.3" || says.Commit != "0123abc" {
		t.Errorf("lanyard version says %s (%v)", output, err)
	}
}

func TestTheRootCertificatesAreThePackagesOwn(t *testing.T) {
	var first []byte
	for architecture, image := range images(t) {
		all := files(t, image)
		if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, []string{"etc/ssl/certs/ca-certificates.crt", "lanyard"}) {
			t.Errorf("%s holds %v", architecture, got)
		}
		bundle := all["etc/ssl/certs/ca-certificates.crt"]
		if first != nil && !bytes.Equal(first, bundle) {
			t.Error("the architectures differ in their certificates")
		}
		first = bundle
	}
	count := 0
	for rest := first; ; count++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if root, err := x509.ParseCertificate(block.Bytes); err != nil || !root.IsCA {
			t.Errorf("certificate %d is no authority's: %v", count, err)
		}
	}
	named, err := filepath.Glob(filepath.Join(DebianCertificates, "*.crt"))
	if err != nil || count != len(named) || count < 100 {
		t.Errorf("there are %d certificates, and %d in the package", count, len(named))
	}
}

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
	for _, path := range []string{"cmd", "provider", "server"} {
		if err := os.CopyFS(filepath.Join(copied, path), os.DirFS(filepath.Join(source, path))); err != nil {
			t.Fatal(err)
		}
	}
	sums := map[string]bool{}
	for _, from := range []string{source, copied} {
		index, err := Build(t.Context(), options(from))
		if err != nil {
			t.Fatal(err)
		}
		dir, archive := filepath.Join(t.TempDir(), "layout"), filepath.Join(t.TempDir(), "image.tar")
		if err := WriteLayout(dir, "registry.example/lanyard", "v1.2.3", index); err != nil {
			t.Fatal(err)
		}
		if err := WriteArchive(archive, dir, created); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		sums[string(sum[:])] = true
	}
	if len(sums) != 1 {
		t.Error("two builds of one source differ")
	}
}

func TestTheConfigurationIsTheDockerfiles(t *testing.T) {
	last := lastStage(t)
	for architecture, image := range images(t) {
		file, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if file.OS != "linux" || file.Architecture != architecture || !file.Created.Equal(created) {
			t.Errorf("the image is for %s/%s, of %v", file.OS, file.Architecture, file.Created)
		}
		want := v1.Config{User: last.user, WorkingDir: "/", Entrypoint: last.entrypoint, Cmd: last.cmd, Labels: last.labels}
		if !reflect.DeepEqual(file.Config, want) {
			t.Errorf("the configuration is\n%+v, the Dockerfile's\n%+v", file.Config, want)
		}
		for _, path := range last.copied {
			if _, found := files(t, image)[strings.TrimPrefix(path, "/")]; !found {
				t.Errorf("the Dockerfile copies %s, which the image lacks", path)
			}
		}
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

func TestMistakes(t *testing.T) {
	withCertificate := func(content string) Options {
		opts := options(source)
		opts.Certificates = t.TempDir()
		if err := os.WriteFile(filepath.Join(opts.Certificates, "a.crt"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return opts
	}
	none, unknown, nowhere := options(source), options(source), options(t.TempDir())
	none.Certificates = t.TempDir()
	unknown.Architectures = []string{"mips"}
	nowhere.Architectures = []string{runtime.GOARCH}
	for want, opts := range map[string]Options{
		"has no root certificates":   none,
		"is not one certificate":     withCertificate("nothing"),
		"a.crt: x509":                withCertificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
		"there is no image for mips": unknown,
		"does not compile":           nowhere,
	} {
		if _, err := Build(t.Context(), opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %s", err, want)
		}
	}
}

package image

import (
	"bytes"
	"crypto/x509"
	"debug/elf"
	"encoding/json"
	"encoding/pem"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

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
	const most = 110 << 20 // for two programs, each with every store and key service
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
		size := 0
		for _, file := range entries(t, architecture) {
			size += len(file.content)
		}
		t.Logf("%s: %d MiB to pull, %d MiB unpacked", architecture, pulled>>20, size>>20)
		if size > most {
			t.Errorf("%s takes %d bytes, more than %d", architecture, size, most)
		}
	}
}

func TestTheBinariesAreStaticAndOfTheirArchitecture(t *testing.T) {
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	for architecture := range images(t) {
		for _, program := range programs {
			binary, err := elf.NewFile(bytes.NewReader(entries(t, architecture)[program.name].content))
			if err != nil {
				t.Fatal(err)
			}
			if binary.Machine != machines[architecture] {
				t.Errorf("%s holds a %s for %v", architecture, program.name, binary.Machine)
			}
			for _, part := range binary.Progs {
				if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
					t.Errorf("%s: %s needs libraries that the image does not have", architecture, program.name)
				}
			}
		}
	}
}

func TestTheBinariesRunAndKnowTheirVersion(t *testing.T) {
	if _, found := images(t)[runtime.GOARCH]; !found {
		t.Fatalf("there is no image for %s, on which this test runs", runtime.GOARCH)
	}
	for _, program := range programs {
		binary := filepath.Join(t.TempDir(), program.name)
		if err := os.WriteFile(binary, entries(t, runtime.GOARCH)[program.name].content, 0o700); err != nil {
			t.Fatal(err)
		}
		if program.name == "lanyard-exec" { // which has no commands
			if err := exec.CommandContext(t.Context(), binary, "--help").Run(); err != nil {
				t.Errorf("%s --help: %v", program.name, err)
			}
			continue
		}
		output, err := exec.CommandContext(t.Context(), binary, "version", "--output", "json").Output()
		if err != nil {
			t.Fatal(err)
		}
		var says struct{ Version, Commit string }
		if err := json.Unmarshal(output, &says); err != nil || says.Version != "v1.2.3" || says.Commit != "0123abc" {
			t.Errorf("%s version says %s (%v)", program.name, output, err)
		}
	}
}

func TestTheImageHoldsNothingElseAndAllIsRoots(t *testing.T) {
	modes := map[string]int64{"etc/": 0o755, "etc/ssl/": 0o755, "etc/ssl/certs/": 0o755, "etc/ssl/certs/ca-certificates.crt": 0o644, "lanyard": 0o755, "lanyard-sync": 0o755, "lanyard-exec": 0o755}
	for architecture := range images(t) {
		all := entries(t, architecture)
		if got, want := slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(modes)); !slices.Equal(got, want) {
			t.Errorf("%s holds %v, want %v", architecture, got, want)
		}
		for path, file := range all {
			if h := file.header; h.Uid != 0 || h.Gid != 0 || h.Mode != modes[path] || !h.ModTime.Equal(created) {
				t.Errorf("%s is of %d:%d with mode %o and time %v", path, h.Uid, h.Gid, h.Mode, h.ModTime)
			}
		}
	}
}

func TestTheRootCertificatesAreThePackagesOwn(t *testing.T) {
	var first []byte
	for architecture := range images(t) {
		bundle := entries(t, architecture)["etc/ssl/certs/ca-certificates.crt"].content
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
			if _, found := entries(t, architecture)[strings.TrimPrefix(path, "/")]; !found {
				t.Errorf("the Dockerfile copies %s, which the image lacks", path)
			}
		}
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

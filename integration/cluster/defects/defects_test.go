package defects

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/integration/checkout"
)

// A defect that a test of the product notices is planted and tested here too, since that
// needs no lab.
func TestEachDefectFitsTheSourceAndCompiles(t *testing.T) {
	for _, defect := range All() {
		t.Run(defect.Name, func(t *testing.T) {
			dir := t.TempDir()
			if err := defect.Plant(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
			if defect.Package != "" {
				if _, err := defect.Notice(t.Context(), dir); err != nil {
					t.Error(err)
				}
				return
			}
			build := exec.CommandContext(t.Context(), "go", append([]string{"build", "-trimpath", "-buildvcs=false"}, patched(t, defect)...)...)
			build.Dir = dir
			build.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
			if output, err := build.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
}

// What the defects are planted into is all that the product is made of.
func TestTheCopyOfTheProductCompiles(t *testing.T) {
	source, err := checkout.Path()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := copyProduct(t.Context(), source, dir); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", t.TempDir()+"/", ".", "./cmd/...")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

// patched are the packages that a defect's patch changes.
func patched(t *testing.T, defect Defect) (packages []string) {
	t.Helper()
	patch, err := patches.ReadFile(defect.Name + ".patch")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(patch)) {
		if file, ok := strings.CutPrefix(strings.TrimSpace(line), "+++ b/"); ok {
			packages = append(packages, "./"+path.Dir(file))
		}
	}
	slices.Sort(packages)
	return slices.Compact(packages)
}

func TestEachPatchIsADefect(t *testing.T) {
	files, err := fs.Glob(patches, "*.patch")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, defect := range All() {
		names = append(names, defect.Name+".patch")
	}
	slices.Sort(names)
	if !slices.Equal(files, names) {
		t.Errorf("the patches are %v, the defects' are %v", files, names)
	}
}

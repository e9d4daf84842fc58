package defects

import (
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"testing"
)

func TestEachDefectFitsTheSourceAndCompiles(t *testing.T) {
	for _, defect := range All() {
		t.Run(defect.Name, func(t *testing.T) {
			dir := t.TempDir()
			if err := defect.Plant(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
			build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "./...")
			build.Dir = dir
			build.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
			if output, err := build.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
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

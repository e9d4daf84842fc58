// Package defects holds faults that are planted into Lanyard one at a time, to
// see that the scenarios notice: a suite that stays green whatever is broken
// tells nothing. Each is a patch to the product's own source.
//
// Its test holds each patch to still fit the source. Command cmd plants each and
// runs the scenarios that have to go red.
package defects

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/lanyardhq/lanyard/integration/deployment"
)

//go:embed *.patch
var patches embed.FS

// Defect is one fault.
type Defect struct {
	// Name is the patch's, without .patch.
	Name string
	// Scenarios are those that have to notice, as go test's -run takes them.
	Scenarios string
	// Says matches what they print then, so that no other failure counts.
	Says *regexp.Regexp
}

// All returns every defect.
func All() []Defect {
	return []Defect{
		{"cache-without-identity", "^TestVaultDown$", regexp.MustCompile(`pod stranger started, with what it may not have`)},
		{"error-is-empty", "^TestVaultDown$", regexp.MustCompile(`pod stranger started, with what it may not have`)},
		{"version-stays", "^TestRotation$", regexp.MustCompile(`turning was written again and kept the version`)},
		{"socket-for-all", "^TestSocketIsOutOfReach$", regexp.MustCompile(`the container may connect to lanyard\.sock`)},
		{"only-what-changed", "^TestRotation$", regexp.MustCompile(`can't open '/secrets/turns/lasting'`)},
	}
}

// Plant copies the product's source, as it is in this checkout, into dir, an
// empty folder, and plants the defect there.
func (d Defect) Plant(ctx context.Context, dir string) error {
	source, err := deployment.Source()
	if err != nil {
		return err
	}
	if err := copyProduct(ctx, source, dir); err != nil {
		return err
	}
	patch, err := patches.ReadFile(d.Name + ".patch")
	if err != nil {
		return err
	}
	apply := exec.CommandContext(ctx, "git", "apply", "--whitespace=nowarn", "-")
	apply.Dir = dir
	apply.Stdin = bytes.NewReader(patch)
	// Not a part of a repository that the folder may lie in.
	apply.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	if output, err := apply.CombinedOutput(); err != nil {
		return fmt.Errorf("integration/cluster/defects/%s.patch does not fit the source any more, make it anew: %w\n%s", d.Name, err, output)
	}
	return nil
}

// copyProduct copies the files of the product's own module that git knows, or
// would take.
func copyProduct(ctx context.Context, source, dir string) error {
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.go", "go.mod", "go.sum")
	list.Dir = source
	files, err := list.Output()
	if err != nil {
		return fmt.Errorf("list the source at %s: %w", source, err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(files), "\x00"), "\x00") {
		if strings.HasPrefix(name, "integration/") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(source, name))
		if os.IsNotExist(err) {
			continue // deleted, and git was not told yet
		}
		if err != nil {
			return err
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(to, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Package defects holds faults that are planted into Lanyard one at a time, to
// see that the scenarios and tests notice: a suite that stays green whatever is broken
// tells nothing. Each is a patch to the product's own source.
//
// Its test holds each patch to still fit the source. Command cmd plants each and
// runs the scenarios or the test that have to go red.
package defects

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/lanyardhq/lanyard/integration/checkout"
)

//go:embed *.patch
var patches embed.FS

// Defect is one fault.
type Defect struct {
	// Name is the patch's, without .patch.
	Name string
	// Package is that of the product's test that has to notice, from the source's root;
	// empty if scenarios have to.
	Package string
	// Tests are the scenarios or tests that have to notice, as go test's -run takes
	// them.
	Tests string
	// Says matches what they print then, so that no other failure counts.
	Says *regexp.Regexp
}

// All returns every defect.
func All() []Defect {
	return []Defect{
		{"cache-without-identity", "", "^TestVaultDown$", regexp.MustCompile(`pod stranger started, with what it may not have`)},
		{"error-is-empty", "", "^TestVaultDown$", regexp.MustCompile(`pod stranger started, with what it may not have`)},
		{"version-stays", "", "^TestRotation$", regexp.MustCompile(`turning was written again and kept the version`)},
		{"socket-for-all", "", "^TestSocketIsOutOfReach$", regexp.MustCompile(`the container may connect to lanyard\.sock`)},
		{"only-what-changed", "", "^TestRotation$", regexp.MustCompile(`can't open '/secrets/turns/lasting'`)},
		{"fair-shares-off", "provider/share", "^TestAFreedUnitGoesToTheTenantThatHoldsTheFewest$", regexp.MustCompile(`holds \d+ units; the equal share is`)},
		{"empty-answer-is-a-value", "provider/store/awssecrets", "^TestSecretsManagerMeetsTheStoreContract$", regexp.MustCompile(`SecretString left out: value 0 is ""`)},
		{"another-keys-answer", "provider/key/aws", "^TestKMSMeetsTheContract$", regexp.MustCompile(`KeyId of another, .*: another key's answer was taken`)},
		{"whole-answer-version", "provider/engine", "^TestAVersionStaysWhileAnotherFieldMoves$", regexp.MustCompile(`password moved though its bytes did not`)},
		{"numbers-are-floats", "provider/render/jmespath", "^TestPropertySelects$", regexp.MustCompile(`big = "12345678901234567000", <nil>; want "12345678901234567890"`)},
		{"silent-outage", "provider/engine", "^TestAnOutageIsToldOnceAndItsEndToo$", regexp.MustCompile(`The store is down; .* is not told once`)},
		{"socket-stays-lost", "server/socket", "^TestALostSocketIsMadeAgain$", regexp.MustCompile(`nobody can connect`)},
	}
}

// Notice runs the product's test in dir, where the defect is planted, and returns what
// it printed about the defect. It is an error if the test does not go red, or for another
// reason.
func (d Defect) Notice(ctx context.Context, dir string) (string, error) {
	tests := exec.CommandContext(ctx, "go", "test", "-trimpath", "-count=1", "-run", d.Tests, "./"+d.Package) //nolint:gosec // All's own texts
	tests.Dir = dir
	tests.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	return d.noticed(tests)
}

// NoticeScenarios is Notice for the compiled scenarios, which find the lab by env.
func (d Defect) NoticeScenarios(ctx context.Context, scenarios string, env ...string) (string, error) {
	tests := exec.CommandContext(ctx, scenarios, "-test.run", d.Tests, "-test.v") //nolint:gosec // the caller compiled it
	tests.Env = append(os.Environ(), env...)
	return d.noticed(tests)
}

func (d Defect) noticed(tests *exec.Cmd) (string, error) {
	output, err := tests.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", fmt.Errorf("%s does not notice it:\n%s", d.Tests, output)
	case !errors.As(err, &exit) || exit.ExitCode() != 1:
		return "", fmt.Errorf("%s was broken off: %w\n%s", d.Tests, err, output)
	case !d.Says.Match(output):
		return "", fmt.Errorf("%s fails, but does not say %q:\n%s", d.Tests, d.Says, output)
	}
	return string(d.Says.Find(output)), nil
}

// Plant copies the product's source, as it is in this checkout, into dir, an
// empty folder, and plants the defect there.
func (d Defect) Plant(ctx context.Context, dir string) error {
	source, err := checkout.Path()
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
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
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

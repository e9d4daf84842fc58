package lanyardserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/lanyardhq/lanyard/integration/checkout"
)

// Build compiles lanyard with the race detector into dir and returns the
// binary's path. What the compiler has in its cache makes it a matter of
// seconds.
func Build(ctx context.Context, dir string) (string, error) { return BuildWith(ctx, dir, "-race") }

// BuildWith is Build with other flags for the compiler; with none the binary is
// as fast as the one that users have.
func BuildWith(ctx context.Context, dir string, flags ...string) (string, error) {
	binary := filepath.Join(dir, "lanyard")
	return binary, BuildCommand(ctx, ".", binary, flags...)
}

// BuildCommand compiles another command of the module, such as ./cmd/lanyard-sync.
func BuildCommand(ctx context.Context, command, binary string, flags ...string) error {
	source, err := checkout.Path()
	if err != nil {
		return err
	}
	args := append(append([]string{"build", "-buildvcs=false", "-trimpath", "-o", binary}, flags...), command)
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the caller's own directory
	cmd.Dir = source
	// The caller's flags are meant for the module that it is in. Without the race
	// detector, which needs C, it is compiled as the one that users have.
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	if !slices.Contains(flags, "-race") {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	}
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s in %s: %w\n%s", command, source, err, output)
	}
	return nil
}

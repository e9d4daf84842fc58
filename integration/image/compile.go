package image

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// compile is the static binary for an architecture, built with the Dockerfile's
// own flags, so that it is the same as the one made there by the same compiler.
func compile(ctx context.Context, opts Options, architecture string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "lanyard-image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	binary := filepath.Join(dir, "lanyard")
	const module = "github.com/lanyardhq/lanyard/cmd"
	linked := fmt.Sprintf("-s -w -X %s.version=%s -X %s.commit=%s", module, opts.Version, module, opts.Commit)
	//nolint:gosec // the arguments are the caller's own
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", linked, "-o", binary, ".")
	build.Dir = opts.Source
	// Nothing of the caller's own settings may be in the binary.
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture,
		"GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off", "GOWORK=off")
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("lanyard does not compile: %w\n%s", err, output)
	}
	return os.ReadFile(binary)
}

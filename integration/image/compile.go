package image

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// programs are the image's binaries by the packages that they are built from, in
// the order of the layers.
var programs = []struct{ name, source string }{
	{"lanyard", "."},
	{"lanyard-sync", "./cmd/lanyard-sync"},
	{"lanyard-exec", "./cmd/lanyard-exec"},
}

// compile makes the static binaries for an architecture in the directory dir. It
// builds them with the Dockerfile's own flags, so that they are the same as those
// made there by the same compiler.
func compile(ctx context.Context, opts Options, architecture, dir string) error {
	const module = "github.com/lanyardhq/lanyard/cmd"
	linked := fmt.Sprintf("-s -w -X %s.version=%s -X %s.commit=%s", module, opts.Version, module, opts.Commit)
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", linked, "-o", dir + string(filepath.Separator)}
	for _, program := range programs {
		args = append(args, program.source)
	}
	build := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the arguments are the caller's own
	build.Dir = opts.Source
	// Nothing of the caller's own settings may be in the binary.
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture,
		"GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off", "GOWORK=off")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("lanyard does not compile: %w\n%s", err, output)
	}
	return nil
}

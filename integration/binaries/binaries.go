// Package binaries builds the real servers that tests run against, each from a
// module of its own below integration, and keeps them in a cache from one run
// to the next. The cache is $LANYARD_CACHE or ~/.cache/lanyard; a folder's name
// there holds a hash of what its binaries were built from.
//
// Start with Build.
package binaries

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/lanyardhq/lanyard/integration/checkout"
)

// Source is what binaries are built from.
type Source struct {
	// Module is the folder of the module, below integration.
	Module string
	// Packages are the commands to build, by import path or, for the module's
	// own, by a path that begins with a dot.
	Packages []string
	// Tags are the build tags, separated by commas.
	Tags string
	// LinkerFlags are given to the linker beside those that strip.
	LinkerFlags string
}

// Build returns the folder that holds the binaries, each named after the last
// element of its package's path, and builds them first if they are not in the
// cache. Any number of processes may call it at once; one builds, the others
// wait.
func Build(ctx context.Context, source Source) (string, error) {
	module, err := Folder(source.Module)
	if err != nil {
		return "", err
	}
	hash, err := source.hash(module)
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(cache, 0o750); err != nil {
		return "", err
	}
	name := strings.ReplaceAll(source.Module, "/", "-")
	lock, err := os.OpenFile(filepath.Join(cache, name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close() //nolint:errcheck // it is only locked
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	built := filepath.Join(cache, name+"-"+hash)
	if _, err := os.Stat(built); err == nil {
		return built, nil
	}
	return built, source.build(ctx, module, built)
}

// build compiles into another folder first, so that one in the cache is always
// whole.
func (s Source) build(ctx context.Context, module, built string) error {
	partial := built + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := os.Mkdir(partial, 0o750); err != nil {
		return err
	}
	args := append([]string{
		"build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w " + s.LinkerFlags, "-tags", s.Tags, "-o", partial + "/",
	}, s.Packages...)
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the arguments are made above
	cmd.Dir = module
	// The caller's GOFLAGS (-race, -mod, -tags) are not meant for this module.
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s in %s: %w\n%s", strings.Join(s.Packages, ", "), module, err, output)
	}
	return os.Rename(partial, built)
}

// cacheDir is where binaries are kept between runs.
func cacheDir() (string, error) {
	if dir := os.Getenv("LANYARD_CACHE"); dir != "" {
		return filepath.Join(dir, "bin"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("set LANYARD_CACHE to a folder for built binaries: %w", err)
	}
	return filepath.Join(home, ".cache", "lanyard", "bin"), nil
}

// Folder is the folder of a module below integration.
func Folder(name string) (string, error) {
	dir, err := checkout.Path("integration", filepath.FromSlash(name))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return "", fmt.Errorf("no module integration/%s: %w", name, err)
	}
	return dir, nil
}

// hash identifies what the binaries are made of: the module's Go files, its
// requirements, the compiler and how it is called.
func (s Source) hash(module string) (string, error) {
	all := sha256.New()
	fmt.Fprintln(all, runtime.Version(), runtime.GOOS, runtime.GOARCH, s.Packages, s.LinkerFlags)
	if s.Tags != "" {
		fmt.Fprintln(all, s.Tags)
	}
	err := filepath.WalkDir(module, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if name := entry.Name(); name != "go.mod" && name != "go.sum" && !strings.HasSuffix(name, ".go") {
			return nil
		}
		content, err := os.ReadFile(path) //nolint:gosec // it is a folder of this checkout
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(module, path)
		fmt.Fprintln(all, relative, len(content))
		all.Write(content)
		return err
	})
	if err != nil {
		return "", errors.Join(fmt.Errorf("read the source of %s", module), err)
	}
	return hex.EncodeToString(all.Sum(nil)[:8]), nil
}

package vaultserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// Binary returns the path of the server's binary, and builds it first if it is
// not in the cache: about three minutes on two cores with nothing downloaded,
// nothing after that. The cache is $LANYARD_CACHE or ~/.cache/lanyard; the
// binary's name there holds a hash of what it was built from. Any number of
// processes may call it at once; one builds, the others wait.
func Binary(ctx context.Context) (string, error) {
	source, err := sourceDir()
	if err != nil {
		return "", err
	}
	hash, err := sourceHash(source)
	if err != nil {
		return "", err
	}
	bin, err := cacheDir()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(bin, 0o750); err != nil {
		return "", err
	}
	binary := filepath.Join(bin, "vault-"+hash)

	lock, err := os.OpenFile(filepath.Join(bin, "vault.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close() //nolint:errcheck // it is only locked
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	return binary, build(ctx, source, binary)
}

// build compiles to another name first, so that a binary in the cache is
// always whole.
func build(ctx context.Context, source, binary string) error {
	partial := binary + ".partial"
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", partial, ".") //nolint:gosec // the path is made above
	cmd.Dir = source
	// The caller's GOFLAGS (-race, -mod, -tags) are not meant for this module.
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build Vault in %s: %w\n%s", source, err, output)
	}
	return os.Rename(partial, binary)
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

// sourceDir is integration/vault in the checkout that this package was
// compiled from.
func sourceDir() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(file), "..", "vault")
	if !ok || !filepath.IsAbs(dir) {
		return "", errors.New("the path of Vault's source is not known: build this program without -trimpath")
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return "", fmt.Errorf("no source of Vault beside the code that this program was built from: %w", err)
	}
	return dir, nil
}

// sourceHash identifies what a binary is made of: its Go files, its
// requirements and the compiler.
func sourceHash(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*")) // sorted
	if err != nil {
		return "", err
	}
	var all bytes.Buffer
	fmt.Fprintln(&all, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, file := range files {
		if name := filepath.Base(file); name != "go.mod" && name != "go.sum" && !strings.HasSuffix(name, ".go") {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(&all, filepath.Base(file), len(content))
		all.Write(content)
	}
	sum := sha256.Sum256(all.Bytes())
	return hex.EncodeToString(sum[:8]), nil
}

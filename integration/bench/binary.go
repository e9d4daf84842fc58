package main

import (
	"cmp"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/integration/checkout"
)

// megabyte is what a binary's size is told in.
const megabyte = 1e6

// part is what one module adds to the binary: its code, its data, and its
// types and tables as far as the linker names them.
type part struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// What is in a binary and in no module.
const (
	standardLibrary = "Go's runtime and standard library"
	functionTables  = "function and line tables, for stack traces"
	unnamed         = "strings, types and other data without a name"
)

// measureBinary measures the binary's size, and what makes it up from the
// symbols of one that was built from the same source and not stripped.
func measureBinary(ctx context.Context, l *lab) ([]figure, error) {
	info, err := os.Stat(l.binary)
	if err != nil {
		return nil, err
	}
	f := figure{What: "binary, stripped", Unit: "MB", Value: float64(info.Size()) / megabyte, Chart: "binary"}
	f = f.held(atMost, 45, "45 MB")

	source, err := checkout.Path()
	if err != nil {
		return nil, err
	}
	dir, err := l.newDir()
	if err != nil {
		return nil, err
	}
	l.progress("binary: building it with symbols")
	whole := filepath.Join(dir, "lanyard")
	if _, err := runGo(ctx, source, "build", "-trimpath", "-o", whole, "."); err != nil {
		return nil, err
	}
	listed, err := runGo(ctx, source, "list", "-deps", "-f", `{{.ImportPath}} {{with .Module}}{{.Path}}{{end}}`, ".")
	if err != nil {
		return nil, err
	}
	if l.parts, err = partsOf(whole, packageModules(listed)); err != nil {
		return nil, err
	}
	return []figure{f}, nil
}

// runGo runs the go command as the Makefile does for the binary under test.
func runGo(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the arguments are made above
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	output, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, failed.Stderr)
	}
	return string(output), err
}

// packageModules are the modules of packages, from lines of both. Packages of
// the standard library have none.
func packageModules(listed string) map[string]string {
	modules := map[string]string{}
	for line := range strings.Lines(listed) {
		pkg, module, _ := strings.Cut(strings.TrimSpace(line), " ")
		modules[pkg] = cmp.Or(module, standardLibrary)
	}
	return modules
}

// partsOf divides what of the file is loaded into memory, the largest part
// first.
func partsOf(path string, modules map[string]string) ([]part, error) {
	file, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // read only
	symbols, err := file.Symbols()
	if err != nil {
		return nil, err
	}
	var loaded int64
	sizes := map[string]int64{}
	for _, section := range file.Sections {
		if inFile(section) {
			loaded += int64(section.FileSize) //nolint:gosec // a file's size
		}
		if section.Name == ".gopclntab" {
			sizes[functionTables] = int64(section.FileSize) //nolint:gosec // a file's size
		}
	}
	for _, symbol := range symbols {
		if int(symbol.Section) >= len(file.Sections) || !inFile(file.Sections[symbol.Section]) || file.Sections[symbol.Section].Name == ".gopclntab" {
			continue
		}
		if module, ok := modules[packageOf(symbol.Name)]; ok {
			sizes[module] += int64(symbol.Size) //nolint:gosec // less than the file's size
		}
	}
	for _, size := range sizes {
		loaded -= size
	}
	sizes[unnamed] = loaded
	var parts []part
	for name, bytes := range sizes {
		parts = append(parts, part{name, bytes})
	}
	slices.SortFunc(parts, func(x, y part) int { return cmp.Or(cmp.Compare(y.Bytes, x.Bytes), cmp.Compare(x.Name, y.Name)) })
	return parts, nil
}

// inFile says whether a section takes room in the file and survives stripping.
func inFile(section *elf.Section) bool {
	return section.Flags&elf.SHF_ALLOC != 0 && section.Type != elf.SHT_NOBITS
}

// packageOf is the import path of the package that a symbol of Go's linker
// belongs to, as far as its name tells: "a.b/c%2ed.(*T).M" is of a.b/c.d.
func packageOf(symbol string) string {
	for _, prefix := range []string{"type:", ".eq.", ".hash.", "go:itab.", "go:", "*"} {
		symbol = strings.TrimPrefix(symbol, prefix)
	}
	if end := strings.IndexAny(symbol, "[(,"); end >= 0 { // of type arguments, methods, interfaces
		symbol = symbol[:end]
	}
	last := strings.LastIndexByte(symbol, '/') + 1
	if dot := strings.IndexByte(symbol[last:], '.'); dot >= 0 {
		symbol = symbol[:last+dot]
	}
	return strings.NewReplacer("%2e", ".", "%22", `"`).Replace(symbol)
}

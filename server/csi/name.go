package csi

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The directories in which the driver looks for a provider's socket, in this
// order: the defaults of its flags --provider-volume and
// --additional-provider-volume-paths.
const (
	FirstDirectory  = "/etc/kubernetes/secrets-store-csi-providers"
	secondDirectory = "/var/run/secrets-store-csi-providers"
)

// Directories are those in which the driver looks by itself, in its order.
func Directories() []string { return []string{FirstDirectory, secondDirectory} }

// SocketPath is where the driver looks for a dialect's socket in a directory.
// The error is that the driver would not accept the name.
func SocketPath(directory, dialect string) (string, error) {
	const maxName = 30
	if dialect == "" || len(dialect) > maxName || strings.ContainsFunc(dialect, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}) {
		return "", fmt.Errorf("%q cannot be a provider's name: the driver accepts 1 to %d letters, digits, dashes and underscores", dialect, maxName)
	}
	return filepath.Join(directory, dialect+".sock"), nil
}

// HiddenBy returns the path of the socket that the driver would find before
// the one in directory; empty if there is none. Whether anybody answers there
// makes no difference to the driver.
func HiddenBy(directory, dialect string) string {
	return hiddenBy(Directories(), directory, dialect)
}

func hiddenBy(searched []string, directory, dialect string) string {
	own, err := os.Stat(directory)
	if err != nil {
		return ""
	}
	first := ""
	for _, candidate := range searched {
		if info, err := os.Stat(candidate); err == nil && os.SameFile(info, own) {
			return first
		}
		path := filepath.Join(candidate, dialect+".sock")
		if _, err := os.Stat(path); err == nil && first == "" {
			first = path
		}
	}
	return "" // not a directory that the driver looks in by itself
}

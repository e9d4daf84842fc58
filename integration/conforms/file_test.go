package conforms

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/lanyardhq/lanyard/integration/conformance"
)

// newFiles has a directory for each service account, and a file store that
// only its pods may use.
func newFiles(t *testing.T) store {
	t.Helper()
	root := filepath.Join(t.TempDir(), "files")
	away := root + "-away"
	config := ""
	for _, account := range accounts {
		dir := filepath.Join(root, account.Name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		config += fmt.Sprintf("  %s: {type: file, root: %s, allow: [%s]}\n", account.Name, dir, account)
	}
	file := func(owner conformance.Account, name string) string { return filepath.Join(root, owner.Name, name) }
	return store{
		config: config,
		put: func(_ context.Context, owner conformance.Account, name string, value []byte) error {
			next := file(owner, name) + ".next"
			if err := os.WriteFile(next, value, 0o600); err != nil {
				return err
			}
			return os.Rename(next, file(owner, name))
		},
		remove: func(_ context.Context, owner conformance.Account, name string) error {
			return os.Remove(file(owner, name))
		},
		object: func(owner conformance.Account, object conformance.Object) (map[string]any, error) {
			return map[string]any{"store": owner.Name, "key": object.Name}, nil
		},
		// What an agent that has not started yet looks like.
		fail:    func(context.Context) error { return os.Rename(root, away) },
		recover: func(context.Context) error { return os.Rename(away, root) },
	}
}

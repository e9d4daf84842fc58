package checkout

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPathIsBelowTheRootOfTheCheckout(t *testing.T) {
	t.Chdir(t.TempDir())
	path, err := Path("integration", "checkout", "checkout.go")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil || !filepath.IsAbs(path) {
		t.Errorf("%s: %v", path, err)
	}
}

package vaultserver

import (
	"context"
	"path/filepath"

	"github.com/lanyardhq/lanyard/integration/binaries"
)

// Binary returns the path of the server's binary, and builds it first if it is
// not in the cache: about three minutes on two cores with nothing downloaded,
// nothing after that.
func Binary(ctx context.Context) (string, error) {
	dir, err := binaries.Build(ctx, binaries.Source{Module: "vault", Packages: []string{"."}})
	return filepath.Join(dir, "vault"), err
}

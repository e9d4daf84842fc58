package kmsplugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/lanyardhq/lanyard/integration/lanyardserver"
	"github.com/lanyardhq/lanyard/integration/vaultserver"
)

// Parts are what all plugins of a program share: the binary and the Vault.
type Parts struct {
	server    *vaultserver.Server
	directory string
	binary    string
	mounts    atomic.Int64
}

// Setup builds lanyard and starts a Vault. Close ends it. log takes the Vault's
// errors. flags are given to the compiler.
func Setup(ctx context.Context, log io.Writer, flags ...string) (*Parts, error) {
	directory, err := os.MkdirTemp("", "lanyard-kms-")
	if err != nil {
		return nil, err
	}
	p := &Parts{directory: directory}
	if p.binary, err = lanyardserver.BuildWith(ctx, directory, flags...); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if p.server, err = vaultserver.Start(ctx, vaultserver.Options{Log: log}); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Close ends the Vault and removes all files.
func (p *Parts) Close() error {
	if p.server != nil {
		p.server.Close()
	}
	return os.RemoveAll(p.directory)
}

// Vault is a Transit engine of its own in the server, with the keys one and
// two, and a token that may use it.
type Vault struct {
	*vaultserver.Server
	// Mount is the engine's.
	Mount string
	// TokenFile holds the token that plugins log in with, the root token to
	// begin with.
	TokenFile string

	binary string
}

// Vault makes an engine.
func (p *Parts) Vault(ctx context.Context) (*Vault, error) {
	mount := fmt.Sprintf("kms%d", p.mounts.Add(1))
	v := &Vault{Server: p.server, Mount: mount, TokenFile: filepath.Join(p.directory, mount, "token"), binary: p.binary}
	if err := os.Mkdir(filepath.Dir(v.TokenFile), 0o700); err != nil {
		return nil, err
	}
	if err := v.Call(ctx, http.MethodPost, "sys/mounts/"+v.Mount, map[string]any{"type": "transit"}, nil); err != nil {
		return nil, err
	}
	for _, name := range []string{"one", "two"} {
		if err := v.Key(ctx, name); err != nil {
			return nil, err
		}
	}
	return v, v.UseToken(p.server.RootToken)
}

// Key makes a key.
func (v *Vault) Key(ctx context.Context, name string) error {
	return v.Call(ctx, http.MethodPost, v.Mount+"/keys/"+name, map[string]any{"derived": true}, nil)
}

// UseToken changes the token that plugins log in with.
func (v *Vault) UseToken(token string) error { return replace(v.TokenFile, token) }

// Rotate gives a key its next version.
func (v *Vault) Rotate(ctx context.Context, name string) error {
	return v.Call(ctx, http.MethodPost, v.Mount+"/keys/"+name+"/rotate", nil, nil)
}

// replace writes a file whole.
func replace(path, text string) error {
	if err := os.WriteFile(path+".next", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".next", path)
}

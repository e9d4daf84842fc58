package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/integration/vaultserver"
)

// What Vault holds: secrets of two sizes at secret/data/<size>/000 and so on,
// which every service account of the namespace may read with the role bench.
const (
	namespace = "bench"
	role      = "bench"
	audience  = "vault"

	small      = "small" // a password
	smallBytes = 64
	smallCount = 100
	large      = "large"
	largeBytes = 1 << 10
	largeCount = 20
)

// lab is what the groups measure with.
type lab struct {
	options
	stderr io.Writer
	dir    string // for sockets, files and logs
	made   int    // directories in dir

	// Vault is started when it is first asked for.
	vault  *vaultserver.Server
	issuer *issuer.Issuer

	parts []part
}

func newLab(o options, stderr io.Writer) (*lab, error) {
	dir, err := os.MkdirTemp("", "lanyard-bench-")
	if err != nil {
		return nil, err
	}
	return &lab{options: o, stderr: stderr, dir: dir}, nil
}

func (l *lab) close() error {
	if l.vault != nil {
		l.vault.Close()
	}
	return os.RemoveAll(l.dir)
}

// progress tells the person who waits.
func (l *lab) progress(format string, args ...any) { fmt.Fprintf(l.stderr, format+"\n", args...) }

// samples is n, or a fifth of it for a quick run, but at least 3.
func (l *lab) samples(n int) int {
	if l.quick {
		return max(3, n/5)
	}
	return n
}

// newDir makes a directory with a short path, because a unix socket's path may
// have 107 bytes, that no other user can write to.
func (l *lab) newDir() (string, error) {
	l.made++
	dir := filepath.Join(l.dir, strconv.Itoa(l.made))
	return dir, os.Mkdir(dir, 0o755) //nolint:gosec // its parent is closed to others
}

// proxy starts a proxy before Vault, which is started first if need be.
func (l *lab) proxy(ctx context.Context, delay time.Duration) (*faultproxy.Proxy, error) {
	if l.vault == nil {
		if err := l.startVault(ctx); err != nil {
			return nil, err
		}
	}
	proxy, err := faultproxy.New(l.vault.Address)
	if err != nil {
		return nil, err
	}
	proxy.SetDelay(delay)
	return proxy, nil
}

func (l *lab) startVault(ctx context.Context) error {
	l.progress("starting Vault; it is built first if this machine has not done so, which takes some minutes")
	var err error
	if l.issuer, err = issuer.New(); err != nil {
		return err
	}
	if l.vault, err = startVaultServer(ctx); err != nil {
		return err
	}
	return l.fillVault(ctx)
}

// vaultGOGC has Vault collect its garbage seldom: it shares the processors with
// the provider, which runs as it does everywhere.
const vaultGOGC = "800"

// startVaultServer starts a Vault with this program's environment, of which the
// provider and the floor get nothing.
func startVaultServer(ctx context.Context) (*vaultserver.Server, error) {
	if err := os.Setenv("GOGC", vaultGOGC); err != nil {
		return nil, err
	}
	return vaultserver.Start(ctx, vaultserver.Options{Log: io.Discard})
}

func (l *lab) fillVault(ctx context.Context) error {
	type fields = map[string]any
	for _, step := range []struct {
		path string
		body fields
	}{
		{"sys/mounts/secret", fields{"type": "kv", "options": fields{"version": "2"}}},
		{"sys/auth/jwt", fields{"type": "jwt"}},
		{"auth/jwt/config", fields{"jwt_validation_pubkeys": []string{l.issuer.PublicKeyPEM()}, "bound_issuer": issuer.Name}},
		{"sys/policies/acl/" + role, fields{"policy": `path "secret/data/*" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }`}},
		{"auth/jwt/role/" + role, fields{
			"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{audience},
			"bound_claims_type": "glob", "bound_claims": fields{"sub": "system:serviceaccount:" + namespace + ":*"},
			// Vault's default policy has templates, which make Vault parse it
			// anew for every request: half of what a read costs there.
			"token_policies": []string{role}, "token_no_default_policy": true, "token_ttl": "1h",
		}},
	} {
		if err := l.vault.Call(ctx, http.MethodPost, step.path, step.body, nil); err != nil {
			return err
		}
	}
	return errors.Join(l.putSecrets(ctx, small, smallCount, smallBytes), l.putSecrets(ctx, large, largeCount, largeBytes))
}

// putSecrets writes secrets with one field, value, of the size. The first waits
// for Vault, which prepares a new KV version 2 in the background.
func (l *lab) putSecrets(ctx context.Context, kind string, count, size int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for i := range count {
		value := fmt.Sprintf("%0*d", size, i)
		body := map[string]any{"data": map[string]any{"value": value}}
		for {
			err := l.vault.Call(ctx, http.MethodPost, keyOf(kind, i), body, nil)
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return err
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

func keyOf(kind string, i int) string { return fmt.Sprintf("secret/data/%s/%03d", kind, i) }

// forget has a proxy count from zero. It waits for requests whose answers have
// arrived and that the proxy has not noted yet.
func forget(proxy *faultproxy.Proxy) {
	for proxy.Reset(); proxy.MaxInFlight() > 0; proxy.Reset() {
		time.Sleep(time.Millisecond)
	}
}

// callsAt is what came through a proxy since forget, once nothing more does.
func callsAt(proxy *faultproxy.Proxy) calls {
	return settled(func() calls {
		return calls{
			Logins: proxy.Count("", "auth/jwt/login"),
			Reads:  proxy.Count(http.MethodGet, "secret/data/"),
		}
	})
}

// settled counts until nothing more comes.
func settled(count func() calls) calls {
	seen := count()
	for {
		time.Sleep(10 * time.Millisecond)
		now := count()
		if now == seen {
			return seen
		}
		seen = now
	}
}

package reseal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/internal/atomicfile"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func TestAFileThatCannotBeLockedIsResealedUnlessItChanges(t *testing.T) {
	ring, err := seal.NewKeyRing("dev", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	text, err := seal.Seal(ring.Public(), seal.Scope{Cluster: seal.Exact("dev"), Namespace: seal.Exact("prod"), ServiceAccount: seal.Exact("web"), Object: seal.Exact("a")}, secret.NewString("v"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		lock    error
		changed bool
		want    string // the problem
		written bool
	}{
		"no locks":                 {fmt.Errorf("%w: %w", atomicfile.ErrNoLocks, syscall.EBADF), false, "", true},
		"no locks, and it changes": {fmt.Errorf("%w: %w", atomicfile.ErrNoLocks, syscall.EBADF), true, "changed by somebody else", false},
		"another error":            {errors.New("no such device"), false, "no such device", false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.yaml")
			write := func(content string) {
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Error(err)
				}
			}
			write("x: " + text + "\n")
			r := &run{Options: Options{Scope: Narrowing{}.Apply}, slots: make(chan struct{}, 1), lock: func(context.Context, string) (func(), error) { return nil, c.lock }}
			r.Open = func(context.Context, *seal.Sealed) (secret.Bytes, error) { return secret.NewString("v"), nil }
			r.Current = func(context.Context, *seal.Sealed) (bool, error) { return false, nil }
			r.Seal = func(_ context.Context, scope seal.Scope, value secret.Bytes) (string, error) {
				if c.changed {
					write("x: another\n")
				}
				return seal.Seal(ring.Public(), scope, value)
			}
			got := r.file(t.Context(), Input{Path: path, Texts: 1})
			problem := got.Problem
			for _, value := range got.Values {
				problem += value.Reason
			}
			if got.Written != c.written || !strings.Contains(problem, c.want) || c.want == "" && problem != "" {
				t.Errorf("%+v", got)
			}
		})
	}
}

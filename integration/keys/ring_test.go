package keys

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/vault"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/sealed"
)

// A key ring is wrapped by who may encrypt alone, and unwrapped by the node, in a
// real Vault that rotates its key and goes away.
func TestAKeyRingIsWrappedByWhoMayNotOpenIt(t *testing.T) {
	s := newSealing(t)
	plain, err := seal.NewKeyRing("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ring, err := plain.Wrap(t.Context(), s.with)
	if err != nil {
		t.Fatal(err)
	}
	s.rotate(t)
	if ring, err = ring.Rotate(time.Now()); err == nil {
		ring, err = ring.Wrap(t.Context(), s.with)
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err := ring.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ring.yaml")
	if err := os.WriteFile(path, data.Reveal(), 0o644); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, to := range []*seal.PublicKey{plain.Public(), ring.Public()} {
		text, err := seal.Seal(to, scopeOf("shop", "web"), secret.NewString("v"))
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}

	// Who sealed may not unwrap.
	parsed, err := seal.Parse(texts[0])
	if err != nil {
		t.Fatal(err)
	}
	locked := ring.Unlock(s.with, nil)
	defer locked.Lock()
	as := identity.Identity{Cluster: "test", Namespace: "shop", ServiceAccount: "web"}
	if _, err := parsed.Open(t.Context(), seal.Keys{Ring: locked}, as, parsed.Scope().Object.String(), time.Now()); !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("with the right to encrypt alone: %v", err)
	}

	settings := s.settings(s.asNode(t), map[string]any{"type": "vault"})
	node, err := sealed.NewType(sealed.Options{KeyTypes: []key.Type{vault.NewType(vault.Options{})}}).Open(store.Settings{
		ByOperator: true, Fields: map[string]any{"keyRing": path, "keys": []any{map[string]any{"name": "prod", "openAs": "node", "service": settings.Fields}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	read := func(text string) error {
		value, err := node.Read(t.Context(), as, store.Reference{Key: text, Object: parsed.Scope().Object.String()})
		if err == nil && value.Data.RevealString() != "v" {
			err = errors.New("another value")
		}
		return err
	}
	back := s.proxy.Add(faultproxy.Fault{Status: 503})
	if err := read(texts[0]); !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "not lost") {
		t.Errorf("while Vault is away: %v", err)
	}
	back()
	if err := errors.Join(read(texts[0]), read(texts[1])); err != nil {
		t.Errorf("after it came: %v", err)
	}
	s.proxy.Reset()
	s.proxy.Add(faultproxy.Fault{Status: 503})
	if err := errors.Join(read(texts[0]), read(texts[1])); err != nil || s.proxy.Count("", "") != 0 {
		t.Errorf("what was unwrapped: %v, %d calls", err, s.proxy.Count("", ""))
	}
}

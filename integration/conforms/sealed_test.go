package conforms

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/integration/conformance"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// newSealed has values in the classes themselves, sealed for one service
// account and one object. A secret that does not exist is a text sealed to a
// key that the node does not have.
func newSealed(t *testing.T) store {
	t.Helper()
	ring, err := seal.NewKeyRing(cluster, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := seal.NewKeyRing(cluster, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	text, err := ring.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ring.yaml")
	if err := os.WriteFile(file, text.Reveal(), 0o600); err != nil {
		t.Fatal(err)
	}
	g := newGit(func(owner conformance.Account, path string, value []byte) (string, error) {
		to := ring.Public()
		if value == nil {
			value, to = []byte("somebody else's"), elsewhere.Public()
		}
		scope := seal.Scope{Cluster: seal.Exact(cluster), Namespace: seal.Exact(owner.Namespace), ServiceAccount: seal.Exact(owner.Name), Object: seal.Exact(path)}
		text, err := seal.Seal(to, scope, secret.NewString(string(value)))
		if err != nil {
			// A path that cannot be sealed for cannot be mounted either; the class
			// is to be refused for the path.
			scope.Object = seal.Exact("other")
			text, err = seal.Seal(to, scope, secret.NewString(string(value)))
		}
		return text, err
	})
	return store{
		config: "  sealed: {type: sealed, keyRing: " + file + "}\n",
		put:    g.put, remove: g.remove,
		object: func(owner conformance.Account, object conformance.Object) (map[string]any, error) {
			text, err := g.text(owner, object)
			return map[string]any{"sealed": text}, err
		},
		// A class, with all of its values, is one object of the API server's.
		largestVolume: 512 << 10,
	}
}

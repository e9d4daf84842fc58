package conforms

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
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
	g := &git{values: map[string][]byte{}, texts: map[string]string{}}
	return store{
		config: "  sealed: {type: sealed, keyRing: " + file + "}\n",
		put: func(_ context.Context, owner conformance.Account, name string, value []byte) error {
			g.set(owner.String()+" "+name, value)
			return nil
		},
		remove: func(_ context.Context, owner conformance.Account, name string) error {
			g.set(owner.String()+" "+name, nil)
			return nil
		},
		object: func(owner conformance.Account, object conformance.Object) (map[string]any, error) {
			text, err := g.text(owner, object, ring.Public(), elsewhere.Public())
			return map[string]any{"sealed": text}, err
		},
		// A class, with all of its values, is one object of the API server's.
		largest: 512 << 10,
	}
}

// git is where people keep sealed texts: sealed once, and then the same until
// the value changes.
type git struct {
	mu     sync.Mutex
	values map[string][]byte // by owner and name
	texts  map[string]string // by owner, name and path
}

func (g *git) set(key string, value []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if value == nil {
		delete(g.values, key)
	} else {
		g.values[key] = value
	}
	for of := range g.texts {
		if len(of) > len(key) && of[:len(key)+1] == key+" " {
			delete(g.texts, of)
		}
	}
}

func (g *git) text(owner conformance.Account, object conformance.Object, here, elsewhere *seal.PublicKey) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := owner.String() + " " + object.Name
	if text, sealed := g.texts[key+" "+object.Path]; sealed {
		return text, nil
	}
	scope := seal.Scope{Cluster: seal.Exact(cluster), Namespace: seal.Exact(owner.Namespace), ServiceAccount: seal.Exact(owner.Name), Object: seal.Exact(object.Path)}
	value, there := g.values[key]
	to := here
	if !there {
		value, to = []byte("somebody else's"), elsewhere
	}
	text, err := seal.Seal(to, scope, secret.NewString(string(value)))
	if err != nil {
		// A path that cannot be sealed for cannot be mounted either; the class
		// is to be refused for the path.
		scope.Object = seal.Exact("other")
		var again error
		text, again = seal.Seal(to, scope, secret.NewString(string(value)))
		err = errors.Join(again)
	}
	g.texts[key+" "+object.Path] = text
	return text, err
}

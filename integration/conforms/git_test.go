package conforms

import (
	"context"
	"sync"

	"github.com/lanyardhq/lanyard/integration/conformance"
)

// git is where people keep ciphertexts, which stand in classes: encrypted once,
// and then the same until the value changes.
type git struct {
	// encrypt encrypts a value for an object of this path. Of a secret that does
	// not exist, whose value is nil, it makes a text that nobody can open here.
	encrypt func(owner conformance.Account, path string, value []byte) (string, error)

	mu     sync.Mutex
	values map[conformance.Account]map[string][]byte            // by name
	texts  map[conformance.Account]map[string]map[string]string // by name and path
}

func newGit(encrypt func(conformance.Account, string, []byte) (string, error)) *git {
	g := &git{encrypt: encrypt, values: map[conformance.Account]map[string][]byte{}, texts: map[conformance.Account]map[string]map[string]string{}}
	for _, owner := range accounts {
		g.values[owner], g.texts[owner] = map[string][]byte{}, map[string]map[string]string{}
	}
	return g
}

func (g *git) put(_ context.Context, owner conformance.Account, name string, value []byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.values[owner][name], g.texts[owner][name] = value, map[string]string{}
	return nil
}

func (g *git) remove(ctx context.Context, owner conformance.Account, name string) error {
	return g.put(ctx, owner, name, nil)
}

func (g *git) text(owner conformance.Account, object conformance.Object) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	texts := g.texts[owner][object.Name]
	if texts == nil {
		texts = map[string]string{}
		g.texts[owner][object.Name] = texts
	}
	if texts[object.Path] == "" {
		text, err := g.encrypt(owner, object.Path, g.values[owner][object.Name])
		if err != nil {
			return "", err
		}
		texts[object.Path] = text
	}
	return texts[object.Path], nil
}

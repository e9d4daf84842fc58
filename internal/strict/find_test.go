package strict

import (
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestFind(t *testing.T) {
	const text = `
objects:
- path: a
- mode: b
stores:
  my.store:
    auth.role: c
    auth: {role: d}
`
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		line, column int
		found        bool
	}{
		"":                          {2, 1, true},
		"objects":                   {2, 1, true},
		"objects[1]":                {4, 3, true},
		"objects[1].mode":           {4, 3, true},
		"objects[1].store":          {4, 3, false},
		"objects[2].mode":           {2, 1, false},
		"objects[x":                 {2, 1, false},
		"object":                    {2, 1, false},
		"stores.my.store.auth":      {8, 5, true},
		"stores.my.store.auth.role": {7, 5, true},
		"stores.my.store.address":   {6, 3, false},
	}
	for field, want := range tests {
		at, _, found := Find(document.Content[0], field)
		if at.Line != want.line || at.Column != want.column || found != want.found {
			t.Errorf("Find(%q) = %d:%d %v, want %d:%d %v", field, at.Line, at.Column, found, want.line, want.column, want.found)
		}
	}
}

package key

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/lanyardhq/lanyard/internal/proxy"
	"github.com/lanyardhq/lanyard/internal/strict"
)

// Open opens the key of an operator's or a developer's file: service is its
// type, which must be one of types, and the type's own settings. at is the field
// that holds them, for the problems, which name every wrong setting by its place
// and quote no value. Calls go through the proxy. It makes no remote call.
func Open(types []Type, service map[string]any, via proxy.Settings, at string) (Key, strict.Problems) {
	return open(types, service, Settings{Proxy: via}, at)
}

// OpenName is Open for a key that is only asked for its name: no file is read.
func OpenName(types []Type, service map[string]any, at string) (Key, strict.Problems) {
	return open(types, service, Settings{NameOnly: true}, at)
}

func open(types []Type, service map[string]any, settings Settings, at string) (Key, strict.Problems) {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.Name()
	}
	name, isText := service["type"].(string)
	index := slices.Index(names, name)
	switch {
	case len(service) == 0:
		return nil, strict.Problems{{Field: at, Text: "is missing; say which key service, with its type and settings"}}
	case !isText || name == "":
		return nil, strict.Problems{{Field: at + ".type", Text: fmt.Sprintf("must be one of %s", list(names))}}
	case index < 0:
		return nil, strict.Problems{{Field: at + ".type", Text: strict.Unknown("key service", name, names)}}
	}
	settings.Fields, settings.ByOperator = maps.Clone(service), true
	delete(settings.Fields, "type")
	opened, err := types[index].Open(settings)
	if err != nil {
		return nil, below(at, err)
	}
	return opened, nil
}

// below puts what a key service says of its settings at their place.
func below(at string, err error) strict.Problems {
	var inner strict.Problems
	if !errors.As(err, &inner) {
		return strict.Problems{{Field: at, Text: err.Error()}}
	}
	placed := make(strict.Problems, len(inner))
	for i, problem := range inner {
		field := at
		if problem.Field != "" {
			field += "." + problem.Field
		}
		placed[i] = strict.Problem{Field: field, Text: problem.Text}
	}
	return placed
}

func list(names []string) string {
	sorted := slices.Sorted(slices.Values(names))
	if len(sorted) == 0 {
		return "none, because this build knows no key service"
	}
	return fmt.Sprint(sorted)
}

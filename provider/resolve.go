package provider

import (
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// resolved is a store that a class may use: what the class and the operator
// say of it together.
type resolved struct {
	store.Type
	settings store.Settings
	allow    []string
}

// resolve decides which store a class means by a name. What the operator's
// configuration sets always wins: a class that says otherwise is refused
// rather than ignored, so that nobody believes in a setting without effect.
func (c Config) resolve(types map[string]store.Type, name string, class map[string]any) (resolved, []Problem) {
	operator, named := c.Stores[name]
	given, _ := class["type"].(string)
	typeName := given
	if named {
		typeName = operator.Type
	}

	problem := func(field, format string, args ...any) []Problem {
		return []Problem{{Field: "stores." + name + field, Text: fmt.Sprintf(format, args...)}}
	}
	switch {
	case !named && class == nil:
		return resolved{}, problem("", "no such store; %s", c.knownStores())
	case !named && !c.Policy.ClassStores:
		return resolved{}, problem("", "the operator does not let classes define stores; %s", c.knownStores())
	case typeName == "":
		return resolved{}, problem(".type", "missing; give one of %s", strings.Join(slices.Sorted(maps.Keys(types)), ", "))
	case types[typeName] == nil:
		return resolved{}, problem(".type", "unknown type; give one of %s", strings.Join(slices.Sorted(maps.Keys(types)), ", "))
	case named && given != "" && given != typeName:
		return resolved{}, problem(".type", "the operator's configuration says %s; remove it here", typeName)
	}

	r := resolved{Type: types[typeName], settings: store.Settings{Fields: map[string]any{}, ByOperator: named}, allow: operator.Allow}
	fields := maps.Clone(class)
	delete(fields, "type")
	if !named {
		r.settings.Fields = fields
		return r, nil
	}
	merged, refused := merge(operator.Fields, fields, "", r.WorkloadSettings())
	r.settings.Fields = merged
	var problems []Problem
	for _, field := range refused {
		problems = append(problems, problem("."+field, "pinned by the operator's configuration of store %s; remove it here", printable(name))...)
	}
	return r, problems
}

// merge lays what a class gives under what the operator gives, and lists the
// fields where the class says what only the operator may.
func merge(operator, class map[string]any, prefix string, open []string) (merged map[string]any, refused []string) {
	merged = maps.Clone(operator)
	if merged == nil {
		merged = map[string]any{}
	}
	for _, name := range slices.Sorted(maps.Keys(class)) {
		field := prefix + name
		pinned, isPinned := merged[name]
		nested, isMap := class[name].(map[string]any)
		pinnedMap, pinnedIsMap := pinned.(map[string]any)
		switch {
		case isMap && (!isPinned || pinnedIsMap) && !slices.Contains(open, field):
			below, no := merge(pinnedMap, nested, field+".", open)
			if len(below) > 0 {
				merged[name] = below
			}
			refused = append(refused, no...)
		case isPinned && reflect.DeepEqual(pinned, class[name]):
		case isPinned || !slices.Contains(open, field):
			refused = append(refused, field)
		default:
			merged[name] = class[name]
		}
	}
	return merged, refused
}

func (c Config) knownStores() string {
	if len(c.Stores) == 0 {
		return "this node's configuration names none; define it under stores"
	}
	return "this node's configuration names " + strings.Join(slices.Sorted(maps.Keys(c.Stores)), ", ")
}

// allowed says whether one of the patterns "namespace/service-account" covers
// the identity. No patterns allow all.
func allowed(patterns []string, id identity.Identity) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(pattern string) bool {
		// Names hold no pattern characters; the patterns were checked when
		// the configuration was.
		ok, err := path.Match(pattern, id.Namespace+"/"+id.ServiceAccount)
		return err == nil && ok
	})
}

package engine

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/address"
	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/proxy"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

// resolved is a store that a class may use: what the class and the operator
// say of it together.
type resolved struct {
	store.Type
	settings store.Settings
	allow    []string
	override map[string][]string
	// asNode is true if it reads with the node's own files or credentials.
	asNode bool
	// name is what the operator calls the store, for one of theirs.
	name string
}

// leaves says whether a setting is left to classes to give.
func (r *resolved) leaves(setting string) bool {
	_, open := r.override[setting]
	return (open || slices.Contains(r.WorkloadSettings(), setting)) && r.safe(setting)
}

// safe says whether a class may have a say in a setting at all: in any, unless
// it is the node's own files or credentials that read.
func (r *resolved) safe(setting string) bool {
	node, ok := r.Type.(store.NodeReader)
	return !r.asNode || ok && slices.Contains(node.NodeSettings(), setting)
}

// resolve decides which store a class means by a name. What the operator's
// configuration sets always wins: a class that says otherwise is refused
// rather than ignored, so that nobody believes in a setting without effect,
// unless the configuration itself says to override or to ignore. The dialect's
// defaults are for stores of the class alone, and others are the names of its other stores.
// A store of the class that has a base is that store of the operator's under another name,
// so that a class can have it with several settings.
func resolve(c *config.Config, types map[string]store.Type, name string, class, defaults map[string]any, others []string) (resolved, []spec.Problem) {
	problem := func(field, format string, args ...any) []spec.Problem {
		return []spec.Problem{{Field: "stores." + name + field, Store: name, Text: fmt.Sprintf(format, args...)}}
	}
	_, shadows := c.Stores[name]
	base, ok := spec.Base(name, class)
	switch {
	case !ok:
		return resolved{}, problem("."+spec.BaseField, "must be the name of a store of the operator's configuration")
	case base != name && shadows:
		return resolved{}, problem("."+spec.BaseField, "the operator's configuration has a store of the name %s itself; give this one another name", message.Printable(name))
	}
	operator, named := c.Stores[base]
	if !named && class != nil {
		class = spec.WithDefaults(class, defaults)
	}
	given, _ := class["type"].(string)
	typeName := given
	if named {
		typeName = operator.Type
	}
	switch {
	case !named && class == nil:
		return resolved{}, problem("", "%s", unknownStore(c, name, others))
	case !named && len(c.Policy.ClassStores) == 0:
		return resolved{}, problem("", "the operator does not let classes define stores; %s", knownStores(c))
	case typeName == "" && base != name:
		return resolved{}, problem("."+spec.BaseField, "%s", unknownStore(c, base, nil))
	case typeName == "":
		return resolved{}, problem(".type", "%s; for a store that the class defines, give a type: one of %s", unknownStore(c, name, others), strings.Join(slices.Sorted(maps.Keys(types)), ", "))
	case types[typeName] == nil:
		return resolved{}, problem(".type", "unknown type; give one of %s", strings.Join(slices.Sorted(maps.Keys(types)), ", "))
	case named && given != "" && given != typeName:
		return resolved{}, problem(".type", "the operator's configuration says %s; remove it here", typeName)
	}

	r := resolved{
		Type: types[typeName], settings: store.Settings{Fields: map[string]any{}, ByOperator: named, Network: remote.Network{Proxy: proxy.Settings(c.Proxy)}},
		allow: operator.Allow, override: operator.Override, name: base,
	}
	fields := maps.Clone(class)
	delete(fields, "type")
	delete(fields, spec.BaseField)
	node, mayReadAsNode := r.Type.(store.NodeReader)
	if !named {
		r.settings.Fields = fields
		r.settings.Network.Rule = remote.NewDialRule(c.Policy.ClassStores)
		r.asNode = mayReadAsNode && node.ReadsAsNode(r.settings)
		return r, nil
	}
	merged := operator.Merge(base, r.WorkloadSettings(), fields)
	r.settings.Fields, r.settings.FromClass = merged.Fields, merged.FromClass
	if len(merged.FromClass) > 0 {
		// override says which values a class may give; where those lead is up to
		// whoever owns the names.
		r.settings.Network.Rule = remote.NewDialRule(append([]string{address.Any}, address.Networks(c.Policy.ClassStores)...))
	}
	r.asNode = mayReadAsNode && node.ReadsAsNode(r.settings)
	var problems []spec.Problem
	for _, refused := range merged.Refused {
		problems = append(problems, problem("."+refused.Field, "%s", refused.Text)...)
	}
	for _, field := range merged.FromClass {
		if !r.safe(field) {
			remedy := "remove it here"
			if _, overridden := operator.Override[field]; !overridden {
				remedy += fmt.Sprintf(", or have the operator's configuration ignore it (stores.%s.ignore: [%s])", base, field)
			}
			problems = append(problems, problem("."+field, "the store reads with the node's own files or credentials, so that only the operator's configuration may say this; %s", remedy)...)
		}
	}
	return r, problems
}

// noSuchStore begins the text of a problem with a store that neither class nor
// operator defines.
const noSuchStore = "no store of that name is configured"

// unknownStore is the text of that problem; others are the names of the class's own stores.
func unknownStore(c *config.Config, name string, others []string) string {
	names := slices.Sorted(maps.Keys(c.Stores))
	text := noSuchStore
	switch {
	case len(names) > 0:
		text += "; configured are " + strings.Join(names, ", ")
	case len(others) == 0:
		return text + ", and no other is; define it under stores"
	}
	if len(others) > 0 {
		text += "; the class defines " + strings.Join(others, ", ")
	}
	if near := strict.Nearest(name, append(names, others...)); near != "" {
		text += "; did you mean " + near + "?"
	}
	return text
}

// definedBut are the names of the stores that a class defines, without one.
func definedBut(stores map[string]map[string]any, name string) []string {
	var others []string
	for _, other := range slices.Sorted(maps.Keys(stores)) {
		if other != name && stores[other]["type"] != nil {
			others = append(others, other)
		}
	}
	return others
}

func knownStores(c *config.Config) string {
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

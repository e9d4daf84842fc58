package config

import (
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/address"
	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// Merged are a store's settings once a class's own are merged into the operator's.
type Merged struct {
	// Fields are the settings that hold.
	Fields map[string]any
	// FromClass are the dotted names of the settings in which the class's value holds.
	FromClass []string
	// Refused are the settings that the class may not give. Their fields are
	// dotted names without the store's.
	Refused spec.Problems
}

// Merge merges the settings that a class gives for this store, which is called
// name, into the operator's. open lists the settings that a class may give
// where the operator is silent.
func (s Store) Merge(name string, open []string, class map[string]any) Merged {
	m := merger{operator: s, name: name, open: open}
	m.Fields = m.merge(s.Fields, class, "")
	return m.Merged
}

// merger collects the result of one Merge.
type merger struct {
	Merged
	operator Store
	name     string   // of the store, for messages
	open     []string // what classes may give where the operator is silent
}

// merge returns the settings that hold, and notes the fields where the class
// says what only the operator may.
func (m *merger) merge(operator, class map[string]any, prefix string) map[string]any {
	merged := maps.Clone(operator)
	if merged == nil {
		merged = map[string]any{}
	}
	for _, name := range slices.Sorted(maps.Keys(class)) {
		field := prefix + name
		if slices.Contains(m.operator.Ignore, field) {
			continue
		}
		pinned, isPinned := merged[name]
		nested, isMap := class[name].(map[string]any)
		pinnedMap, pinnedIsMap := pinned.(map[string]any)
		if isMap && (!isPinned || pinnedIsMap) && !slices.Contains(m.open, field) {
			if below := m.merge(pinnedMap, nested, field+"."); len(below) > 0 {
				merged[name] = below
			}
			continue
		}
		if isPinned && same(pinned, class[name]) {
			continue
		}
		patterns, overridable := m.operator.Override[field]
		switch {
		case overridable && matches(patterns, class[name]):
			merged[name], m.FromClass = class[name], append(m.FromClass, field)
		case !overridable && !isPinned && slices.Contains(m.open, field):
			merged[name], m.FromClass = class[name], append(m.FromClass, field)
		case overridable:
			m.refuse(field, "the operator's configuration of store %s lets classes give %s here; give such a value, or remove it", message.Printable(m.name), message.Printable(strings.Join(patterns, " or ")))
		default:
			m.refuse(field, "pinned by the operator's configuration of store %s; remove it here", message.Printable(m.name))
		}
	}
	return merged
}

func (m *merger) refuse(field, format string, args ...any) {
	m.Refused = append(m.Refused, spec.Problem{Field: field, Text: fmt.Sprintf(format, args...)})
}

// same says whether a class's value of a setting means the operator's: a URL may be
// spelt otherwise, and have slashes around it, as a path may.
func same(operator, class any) bool {
	mine, isText := operator.(string)
	other, both := class.(string)
	if isText && both {
		return address.SameURL(mine, other) || mine != "" && strings.Trim(mine, "/") == strings.Trim(other, "/")
	}
	return reflect.DeepEqual(operator, class)
}

// matches says whether a setting's value is among the patterns. Lists and maps
// never are.
func matches(patterns []string, value any) bool {
	switch value.(type) {
	case string, bool, int:
	default:
		return false
	}
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		text := fmt.Sprint(value)
		ok, err := path.Match(pattern, text)
		if err == nil && !ok {
			ok, err = path.Match(address.URL(pattern), address.URL(text))
		}
		return err == nil && ok
	})
}

// CheckOpenings says what is wrong with what a store leaves to classes.
func (s Store) CheckOpenings(field string) spec.Problems {
	var problems spec.Problems
	wrong := func(where, text string) {
		problems = append(problems, spec.Problem{Field: field + "." + where, Text: text})
	}
	for _, setting := range slices.Sorted(maps.Keys(s.Override)) {
		where := "override." + setting
		switch patterns := s.Override[setting]; {
		case notASetting(setting):
			wrong(where, "must be a setting of the store by its dotted name, such as address or tls.serverName")
		case slices.Contains(s.Ignore, setting):
			wrong(where, "is also under ignore; a setting is either overridden or ignored")
		case len(patterns) == 0:
			wrong(where, `has no values; list those that classes may give, such as ["https://vault-*.example.com:8200"]`)
		default:
			for i, pattern := range patterns {
				if _, err := path.Match(pattern, ""); err != nil {
					wrong(fmt.Sprintf("%s[%d]", where, i), `is no pattern: a [ is not closed, or a \ stands at the end`)
				}
			}
		}
	}
	for i, setting := range s.Ignore {
		if notASetting(setting) {
			wrong(fmt.Sprintf("ignore[%d]", i), "must be a setting of the store by its dotted name, such as address or tls.caCertFile")
		}
	}
	return problems
}

// notASetting is true of what no store type knows as a setting of its own.
func notASetting(name string) bool {
	return name == "" || slices.Contains([]string{"type", spec.BaseField, "allow", "override", "ignore"}, name)
}

// AddedByClass returns the settings of a class for this store without those that
// are ignored and those that equal the operator's.
func (s Store) AddedByClass(class map[string]any) map[string]any {
	if given, _ := class["type"].(string); given == s.Type {
		class = maps.Clone(class)
		delete(class, "type")
	}
	return s.added(s.Fields, class, "")
}

func (s Store) added(operator, class map[string]any, prefix string) map[string]any {
	left := map[string]any{}
	for name, value := range class {
		pinned, isPinned := operator[name]
		nested, isMap := value.(map[string]any)
		switch {
		case slices.Contains(s.Ignore, prefix+name), isPinned && same(pinned, value):
		case isMap:
			below, _ := pinned.(map[string]any)
			if rest := s.added(below, nested, prefix+name+"."); len(rest) > 0 {
				left[name] = rest
			}
		default:
			left[name] = value
		}
	}
	return left
}

package keytest

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/key"
)

// Part says what a setting is for: what a key is, or how it is reached.
type Part int

// The parts. What was encrypted can be decrypted exactly while Name and Fixed stay.
const (
	// InName settings decide which key it is and stand in its name.
	InName Part = iota + 1
	// InFixed settings decide how the key encrypts and stand in what Fixed says.
	InFixed
	// Reach settings lead to the same key: addresses, logins and times.
	Reach
)

// Setting is the decision about one setting of a key service.
type Setting struct {
	Part Part
	// With are fields that the test begins with beside the base; nil takes one away.
	With map[string]any
	// To is another value of the setting; without it the decision is not tried, as
	// for a value that cannot be given alone.
	To any
}

// RunSettings holds every setting of a key service to a decision about what it is
// for: of a is a pointer to the struct that settings are decoded into, and base are
// fields that name a key. A setting that has no decision fails the test, because a
// ring that is reloaded must not come to a key that cannot decrypt what it encrypted.
func RunSettings(t *testing.T, service key.Type, of any, base map[string]any, decisions map[string]Setting) {
	t.Helper()
	known := settingsOf(reflect.TypeOf(of).Elem())
	for _, name := range known {
		if _, decided := decisions[name]; !decided {
			t.Errorf("setting %s: say whether it decides which key it is, how it encrypts, or only how it is reached", name)
		}
	}
	for name, decision := range decisions {
		if !slices.Contains(known, name) {
			t.Errorf("there is no setting %s", name)
		}
		if decision.To == nil {
			continue
		}
		before := maps.Clone(base)
		for field, value := range decision.With {
			if before[field] = value; value == nil {
				delete(before, field)
			}
		}
		after := maps.Clone(before)
		after[name] = decision.To
		one, other := openName(t, service, name, before), openName(t, service, name, after)
		if one == nil || other == nil {
			continue
		}
		if named := one.Name() != other.Name(); named != (decision.Part == InName) {
			t.Errorf("setting %s: the name changes from %q to %q", name, one.Name(), other.Name())
		}
		if fixed := key.FixedOf(one) != key.FixedOf(other); fixed != (decision.Part == InFixed) {
			t.Errorf("setting %s: what is fixed changes from %q to %q", name, key.FixedOf(one), key.FixedOf(other))
		}
	}
}

func openName(t *testing.T, service key.Type, setting string, fields map[string]any) key.Key {
	t.Helper()
	opened, err := service.Open(key.Settings{Fields: fields, ByOperator: true, NameOnly: true})
	if err != nil {
		t.Errorf("setting %s: %v", setting, err)
		return nil
	}
	return opened
}

// settingsOf are the fields of a struct by their YAML names.
func settingsOf(of reflect.Type) []string {
	var names []string
	for i := range of.NumField() {
		field := of.Field(i)
		switch name, option, _ := strings.Cut(field.Tag.Get("yaml"), ","); {
		case option == "inline":
			names = append(names, settingsOf(field.Type)...)
		case field.IsExported() && name != "" && name != "-":
			names = append(names, name)
		}
	}
	return names
}

package manifest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/provider/spec"
)

// gains are what the native syntax offers a class, as far as the class itself
// shows where it would help.
func gains(from string, class *spec.Class) []string {
	var all []string
	for _, group := range oneSecret(class.Objects) {
		all = append(all, fmt.Sprintf("%s are keys of one secret, %s: one object with expand: true makes a file of every key, also of those that are added later",
			strings.Join(group.paths, ", "), group.key))
	}
	if files := len(class.Objects); files > 1 {
		all = append(all, fmt.Sprintf("a template can make one configuration file of the %d values", files))
	}
	if !slices.Contains([]string{"aws", "azure"}, from) { // whose own classes may have it
		all = append(all, "optional: true lets pods start without a secret that does not exist")
	}
	all = append(all,
		"refresh sets how old a value may be, for the class or for one object",
		"sealed values from Git, and objects of other stores, can stand beside these",
	)
	return all
}

// shared are the files that show keys of one secret.
type shared struct {
	key   string
	paths []string
}

// oneSecret finds secrets of which at least two objects show a key each and
// nothing else.
func oneSecret(objects []spec.Object) []shared {
	var found []shared
	places := map[string]int{}
	for _, o := range objects {
		if o.Property == "" || o.Encoding != "" || o.Mode != nil || strings.ContainsAny(o.Property, "[(|@") {
			continue
		}
		id, err := json.Marshal([]any{o.Store, o.Key, o.Version, o.Options})
		if err != nil {
			continue
		}
		place, known := places[string(id)]
		if !known {
			place = len(found)
			places[string(id)] = place
			found = append(found, shared{key: oneLine(o.Key)})
		}
		found[place].paths = append(found[place].paths, oneLine(o.Path))
	}
	return slices.DeleteFunc(found, func(s shared) bool { return len(s.paths) < 2 })
}

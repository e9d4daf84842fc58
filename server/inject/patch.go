package inject

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"

	core "k8s.io/api/core/v1"
)

// Operation is one step of a JSON patch. All are "add", which replaces what is there in an
// object, and inserts in a list: https://www.rfc-editor.org/rfc/rfc6902#section-4.1
type Operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// Patch is what makes after of before. It names only what differs, so that fields which
// this program does not know stay in the pod. Nothing is ever taken out of a pod.
func Patch(before, after *core.Pod) ([]Operation, error) {
	from, err := tree(before)
	if err != nil {
		return nil, err
	}
	to, err := tree(after)
	if err != nil {
		return nil, err
	}
	var operations []Operation
	difference("", from, to, &operations)
	return operations, nil
}

func tree(pod *core.Pod) (any, error) {
	text, err := json.Marshal(pod)
	if err != nil {
		return nil, err
	}
	var read any
	return read, json.Unmarshal(text, &read)
}

func difference(at string, from, to any, operations *[]Operation) {
	if reflect.DeepEqual(from, to) {
		return
	}
	switch to := to.(type) {
	case map[string]any:
		if from, ok := from.(map[string]any); ok {
			for _, name := range sortedKeys(to) {
				below := at + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
				if had, ok := from[name]; ok {
					difference(below, had, to[name], operations)
				} else {
					*operations = append(*operations, Operation{"add", below, to[name]})
				}
			}
			return
		}
	case []any:
		if from, ok := from.([]any); ok && insertions(at, from, to, operations) {
			return
		}
	}
	*operations = append(*operations, Operation{"replace", at, to})
}

// insertions notes what was inserted into a list of objects, and what changed in those that
// were there. It is false for any other change.
func insertions(at string, from, to []any, operations *[]Operation) bool {
	var made []Operation
	next := 0
	for i, item := range to {
		below := at + "/" + strconv.Itoa(i)
		switch {
		case next < len(from) && sameItem(from[next], item):
			difference(below, from[next], item, &made)
			next++
		case isObject(item):
			made = append(made, Operation{"add", below, item})
		default:
			return false
		}
	}
	if next < len(from) {
		return false
	}
	*operations = append(*operations, made...)
	return true
}

func isObject(item any) bool {
	_, ok := item.(map[string]any)
	return ok
}

// sameItem says whether two items of lists are the same object, by what the API server
// tells items of such lists apart by.
func sameItem(a, b any) bool {
	one, ok := a.(map[string]any)
	other, too := b.(map[string]any)
	if !ok || !too {
		return false
	}
	for _, key := range []string{"mountPath", "name"} {
		if one[key] != nil || other[key] != nil {
			return one[key] == other[key]
		}
	}
	return reflect.DeepEqual(a, b)
}

// Apply applies a patch to what encoding/json reads of an object. It understands what
// Patch makes.
func Apply(object any, operations []Operation) any {
	for _, o := range operations {
		object = apply(object, strings.Split(o.Path, "/")[1:], o)
	}
	return object
}

func apply(object any, path []string, o Operation) any {
	if len(path) == 0 {
		return o.Value
	}
	name := strings.NewReplacer("~1", "/", "~0", "~").Replace(path[0])
	switch object := object.(type) {
	case map[string]any:
		object[name] = apply(object[name], path[1:], o)
		return object
	case []any:
		i, err := strconv.Atoi(name)
		switch {
		case err != nil || i > len(object):
		case len(path) == 1 && o.Op == "add":
			return slices.Insert(object, i, o.Value)
		case i < len(object):
			object[i] = apply(object[i], path[1:], o)
		}
	}
	return object
}

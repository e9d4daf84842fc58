package template

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// indexOf is index: it goes into objects by key and into lists by place, and
// fails where there is nothing, unlike the language's own.
func indexOf(v any, keys ...any) (any, error) {
	for _, key := range keys {
		var err error
		if v, err = entry(v, key); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func entry(v, key any) (any, error) {
	if name, ok := key.(string); ok {
		switch object := v.(type) {
		case map[string]any:
			if found, ok := object[name]; ok {
				return found, nil
			}
			return nil, missingKeyError(name)
		case map[string]string:
			if found, ok := object[name]; ok {
				return found, nil
			}
			return nil, missingKeyError(name)
		}
		return nil, errors.New("it takes an object to look a name up in")
	}
	list, err := elements(v)
	if err != nil {
		return nil, errors.New("it takes a list and a place in it, or an object and a name")
	}
	place, err := integer(key)
	if err != nil {
		return nil, err
	}
	if place < 0 || place >= len(list) {
		return nil, fmt.Errorf("the list has no place %d; the first is 0", place)
	}
	return list[place], nil
}

// missingKeyError means that an object has no key of this name. The name may come
// from a value, and is shown only if it stands in the template.
type missingKeyError string

func (missingKeyError) Error() string { return "there is no such key" }

// sliced is slice: from the first place up to the second one, of text or a list.
func sliced(v any, places ...any) (any, error) {
	if len(places) > 2 {
		return nil, errors.New("it takes at most two places")
	}
	size, err := length(v)
	if err != nil {
		return nil, err
	}
	bounds := []int{0, size}
	for i, place := range places {
		if bounds[i], err = integer(place); err != nil {
			return nil, err
		}
	}
	if bounds[0] < 0 || bounds[0] > bounds[1] || bounds[1] > size {
		return nil, errors.New("the places are not in order or not within the text or list")
	}
	if s, ok := v.(string); ok {
		part := s[bounds[0]:bounds[1]]
		if !utf8.ValidString(part) && utf8.ValidString(s) {
			return nil, errors.New("a place is inside a character; places count bytes")
		}
		return part, nil
	}
	list, err := elements(v)
	if err != nil {
		return nil, err
	}
	return list[bounds[0]:bounds[1]:bounds[1]], nil
}

func length(v any) (int, error) {
	switch v := v.(type) {
	case string:
		return len(v), nil
	case []any:
		return len(v), nil
	case []string:
		return len(v), nil
	case map[string]any:
		return len(v), nil
	case map[string]string:
		return len(v), nil
	}
	return 0, errors.New("it takes text, a list or an object")
}

func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("it takes names and values in turn, and the last name has no value")
	}
	object := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, errors.New("it takes names and values in turn, and a name must be text")
		}
		object[name] = pairs[i+1]
	}
	return object, nil
}

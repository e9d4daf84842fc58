package kmsring

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/strict"
)

// Retire returns the content of a ring file with the named key set to retired and
// everything else, comments included, unchanged. The caller must know that nothing
// needs the key any more. The error is a strict.Problems.
func Retire(data []byte, name string) ([]byte, error) {
	file, problems := decode(data)
	if len(problems) > 0 {
		return nil, located(data, problems)
	}
	index := slices.IndexFunc(file.Keys, func(k ringKey) bool { return k.Name == name })
	if index < 0 {
		return nil, strict.Problems{{Field: "keys", Text: fmt.Sprintf("has no key named %s", name)}}
	}
	field := fmt.Sprintf("keys[%d].state", index)
	was := file.Keys[index].State
	if was != StateRead {
		return nil, strict.Problems{{Field: field, Text: fmt.Sprintf("is %s; only a key with state read can be retired", was)}}
	}
	document, err := strict.Next(yaml.NewDecoder(bytes.NewReader(data)))
	if err != nil {
		return nil, err
	}
	_, value, found := strict.Find(document.Content[0], field)
	lines := strings.SplitAfter(string(data), "\n")
	if !found || value.Line < 1 || value.Line > len(lines) {
		return nil, strict.Problems{{Field: field, Text: "is not where it should be; change it by hand"}}
	}
	line := lines[value.Line-1]
	before, after := line[:min(len(line), value.Column-1)], line[min(len(line), value.Column-1):]
	lines[value.Line-1] = before + strings.Replace(after, string(was), string(StateRetired), 1)
	changed := strings.Join(lines, "")

	// The value may be an anchor, a tag or a multi-byte name.
	file.Keys[index].State = StateRetired
	again, problems := decode([]byte(changed))
	if len(problems) > 0 || !same(file, again) {
		return nil, strict.Problems{{Field: field, Text: "is written in a way that only its author should change; set it to retired by hand"}}
	}
	return []byte(changed), nil
}

// same reports whether two files mean the same.
func same(a, b ringFile) bool {
	first, err := yaml.Marshal(a)
	if err != nil {
		return false
	}
	second, err := yaml.Marshal(b)
	return err == nil && bytes.Equal(first, second)
}

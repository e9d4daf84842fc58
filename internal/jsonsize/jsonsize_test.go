package jsonsize

import (
	"encoding/json"
	"testing"
)

// FuzzCounter holds the counter to the decoder: it never counts fewer values than
// a decoder makes.
func FuzzCounter(f *testing.F) {
	for _, text := range []string{`{}`, `[1,2,{"a":[]}]`, `{"a":"\"\\","b":{"c":null}}`, ` [ "x" , [ ] ]`, `{"\u0022":1}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var value any
		if json.Unmarshal(text, &value) != nil {
			return
		}
		var c Counter
		c.Add(text)
		if made := count(value); made > 1 && c.Values < int64(made) {
			t.Errorf("%d values, counted %d", made, c.Values)
		}
	})
}

func count(value any) int {
	n := 1
	switch value := value.(type) {
	case []any:
		for _, v := range value {
			n += count(v)
		}
	case map[string]any:
		for _, v := range value {
			n += count(v)
		}
	}
	return n
}

package manifest

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestTheSizeOfAClass(t *testing.T) {
	class := func(text string) string {
		return strings.Replace(head, "key: k\n", "key: k\n      # "+text+"\n", 1)
	}
	for name, c := range map[string]struct {
		text     string
		severity string // of the first class that is too large
	}{
		"small":                {head, ""},
		"a comment":            {"# " + strings.Repeat("x", maxObject) + "\n" + head, ""},
		"other documents":      {"kind: Pod\nx: " + strings.Repeat("x", maxObject) + "\n---\n" + head, ""},
		"many small ones":      {"kind: List\nitems:\n- " + strings.Repeat(strings.ReplaceAll(strings.TrimSpace(head), "\n", "\n  ")+"\n- ", 2000) + "kind: Pod\n", ""},
		"too much for kubectl": {class(strings.Repeat("x", maxApplied)), Warning},
		"escapes count":        {class(strings.Repeat("<", maxApplied/6)), Warning},
		"too much for all":     {class(strings.Repeat("x", maxObject)), Error},
	} {
		t.Run(name, func(t *testing.T) {
			documents, err := Documents([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			for _, class := range Classes(documents) {
				if wrong, severity := class.CheckSize(); severity != c.severity || wrong == "" != (severity == "") {
					t.Fatalf("%q, %s", wrong, severity)
				}
			}
			checker := newChecker(t)
			checker.File("f", []byte(c.text))
			var told []string
			for _, f := range checker.Findings {
				if strings.HasPrefix(f.Message, "the class has ") {
					told = append(told, f.Severity)
				}
			}
			if strings.Join(told, "") != c.severity {
				t.Errorf("check tells %q", told)
			}
		})
	}
}

func TestTheSizeIsThatOfJSON(t *testing.T) {
	documents, err := Documents([]byte(head + "  x: \"<a>&\\t\\\\\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	var object any
	if err := documents[0].Decode(&object); err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	if got := jsonSize(Classes(documents)[0].Root); got < len(want) || got > len(want)+20 {
		t.Errorf("%d bytes, want about %d", got, len(want))
	}
}

package dialect

import (
	"errors"
	"testing"

	"github.com/lanyardhq/lanyard/provider/spec"
)

type entry struct {
	Name string `yaml:"name"`
	Key  string `yaml:"key"`
}

func TestReaderTellsEverythingInTheOrderOfTheEntries(t *testing.T) {
	var r Reader
	var list []entry
	r.YAML("secrets", "- {name: a, kye: x}\n- {name: b}\n- [c]\n", &list, func(i int) string { return list[i].Name })
	r.WrongIn("secrets", 1, "b", "key", "missing; give %s", "one")
	r.Unknown(map[string]string{"secrets": "", "regoin": "", "zzzz": ""}, []string{"secrets", "region"})
	r.Wrong("region", "missing")
	var problems spec.Problems
	if !errors.As(r.Err(), &problems) {
		t.Fatalf("error %v, want Problems", r.Err())
	}
	const want = "regoin: unknown parameter; did you mean region?; zzzz: unknown parameter; known are secrets, region; region: missing; " +
		"object 1 (a): kye: unknown field; did you mean key?; object 2 (b): key: missing; give one; object 3: must be a map of fields"
	if got := problems.Error(); got != want {
		t.Errorf("problems\n%s\nwant\n%s", got, want)
	}
	for i, misread := range []bool{true, false, true} {
		if r.Misread(i) != misread {
			t.Errorf("entry %d is misread: %t", i, !misread)
		}
	}
}

func TestReaderWithoutProblemsHasNoError(t *testing.T) {
	var r Reader
	var list []entry
	r.Unknown(map[string]string{"secrets": ""}, []string{"secrets"})
	r.YAML("secrets", "- {name: a}", &list, nil)
	if err := r.Err(); err != nil || len(list) != 1 {
		t.Errorf("%d entries, error %v", len(list), err)
	}
}

package dialect

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/internal/strict"
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

func TestUnknownParametersAreTold(t *testing.T) {
	many := map[string]string{"objects": ""}
	for i := range 50_000 {
		many[fmt.Sprintf("%064d", i)] = ""
	}
	for _, original := range []*strict.Tolerant{nil, {}} {
		r := Reader{Original: original}
		r.Unknown(many, []string{"objects"})
		told := r.Idle
		if original == nil {
			told, _ = r.Err().(spec.Problems) //nolint:errorlint // that is what it is
		}
		if len(told) != maxUnknown+1 || len(told.Unknown()) != len(told) || !strings.Contains(told[maxUnknown].Text, "; so are 49899 more") {
			t.Errorf("%d are told, of which the last is %v", len(told), told[len(told)-1])
		}
	}
}

func TestWhatIsToldOfAClassIsBounded(t *testing.T) {
	r := Reader{Original: &strict.Tolerant{}}
	var one entry
	for range 2 * maxIdle {
		r.Decode("a: 1\nb: 2\nname: x", &one)
		r.YAML("objects", "a: 1\nname: x", &one, nil)
	}
	if len(r.Idle) != maxIdle {
		t.Errorf("%d are told", len(r.Idle))
	}
	// What aliases stand for is bounded for the class, not for each of its documents.
	var list []entry
	bomb := "- name: &a [" + strings.Repeat("1,", 99) + "1]\n  b: [" + strings.Repeat("*a,", 99) + "*a]\n"
	problems, _ := r.Decode(bomb, &list)
	again, _ := r.Decode(bomb, &list)
	if strings.Contains(problems.Error(), "aliases") || !strings.Contains(again.Error(), "aliases") {
		t.Errorf("the first has the problems %v, and the second %v", problems, again)
	}
}

// What says nothing is no entry, however much else there is without effect.
func TestEmptyEntriesAreFoundBehindAllElse(t *testing.T) {
	r := Reader{Original: &strict.Tolerant{}}
	var got []int
	for i := range Entries(&r, map[string]string{"objects": strings.Repeat("- {name: a, other: b}\n", 150) + "-\n- {name: c}\n"}, "objects", func(e entry) string { return e.Name }) {
		got = append(got, i)
	}
	if len(got) != 151 || got[150] != 151 || r.Err() != nil {
		t.Errorf("%d entries, the last of which is %d: %v", len(got), got[len(got)-1], r.Err())
	}
}

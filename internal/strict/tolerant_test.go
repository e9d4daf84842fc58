package strict

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

type tolerated struct {
	Name  string         `yaml:"name"`
	Count int            `yaml:"count"`
	Parts []part         `yaml:"parts"`
	Free  map[string]any `yaml:"free"`
}

type part struct {
	Path string `yaml:"path"`
}

func TestTolerantDecoding(t *testing.T) {
	for name, test := range map[string]struct {
		text     string
		want     tolerated
		problems string
		ignored  string
	}{
		"an unknown field":            {"name: a\nnamee: b", tolerated{Name: "a"}, "", "line 2: namee: unknown field, which has no effect; did you mean name?"},
		"an unknown field of an item": {"parts: [{path: a, mode: 1}]", tolerated{Parts: []part{{"a"}}}, "", "line 1: parts[0].mode: unknown field, which has no effect; known are path"},
		"an odd name":                 {"name: a\n1.5: b\n? [c]\n: d\n'': e", tolerated{Name: "a"}, "", "line 2: a field's name must be text; put it in quotes; line 3: a field's name must be text; put it in quotes; line 5: a field's name is empty"},
		"no value":                    {"name:\ncount: ~\nparts:\nfree:", tolerated{}, "", ""},
		"empty items":                 {"parts:\n-\n- path: a\n-\n", tolerated{Parts: []part{{}, {"a"}, {}}}, "", "line 2: parts[0]: is empty, which has no effect; line 4: parts[2]: is empty, which has no effect"},
		"empty items of free fields":  {"free: {list: [~, 1]}", tolerated{Free: map[string]any{"list": []any{nil, 1}}}, "", ""},
		"a second document":           {"name: a\n---\nname: b", tolerated{Name: "a"}, "", "line 2: has no effect: only the YAML document before the --- counts"},
		"a marker at the end":         {"name: a\n---\n", tolerated{Name: "a"}, "", "line 2: has no effect: only the YAML document before the --- counts"},
		"a second that is no YAML":    {"name: a\n---\n[", tolerated{Name: "a"}, "", ""},
		"nothing":                     {"# nothing", tolerated{}, "", ""},
		"an alias":                    {"name: &a b\nfree: {x: *a}", tolerated{Name: "b", Free: map[string]any{"x": "b"}}, "", ""},
		"a merge key":                 {"parts:\n- &a {path: a}\n- {<<: *a}\n- {<<: [*a, {path: b}], path: c}", tolerated{Parts: []part{{"a"}, {"a"}, {"c"}}}, "", ""},
		"a merge of nothing":          {"<<: a\nname: b", tolerated{Name: "b"}, "line 1: a YAML merge key takes a map, or a list of maps", ""},
		"tags":                        {"name: !!str 1\nfree: {x: !mine y, z: !!int '2'}\nparts: !!seq [{path: a}]", tolerated{Name: "1", Free: map[string]any{"x": "y", "z": 2}, Parts: []part{{"a"}}}, "", ""},
		"a tag of bytes":              {"name: !!binary YQ==", tolerated{Name: "a"}, "", ""},
		"a tag of no bytes":           {"name: !!binary a", tolerated{}, "line 1: what stands after !!binary is not text in base64; write the text itself", ""},
		"a tag of bytes that no text": {"name: !!binary /w==", tolerated{}, "line 1: what stands after !!binary is not text in base64; write the text itself", ""},
		"a value of another kind":     {"count: a\nparts: b", tolerated{}, "line 1: count: must be a whole number, without quotes; line 2: parts: must be a list; begin each item with a dash", ""},
		"twice":                       {"name: a\nname: b", tolerated{Name: "a"}, "line 2: name: is given twice; remove this one or that of the line above", ""},
		"another case":                {"Name: a", tolerated{}, "", "line 1: Name: unknown field, which has no effect; did you mean name?"},
		"no YAML":                     {"name: [", tolerated{}, "line 1: is not valid YAML; check indentation and quotes", ""},
		"itself":                      {"free: &a {x: *a}", tolerated{}, "line 1: is nested too deeply; at most 32 levels are accepted", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got tolerated
			problems, ignored := Tolerant{}.Unmarshal([]byte(test.text), &got)
			if problems.Error() != test.problems || ignored.Error() != test.ignored {
				t.Errorf("problems %q\nwant     %q\nignored  %q\nwant     %q", problems.Error(), test.problems, ignored.Error(), test.ignored)
			}
			if test.problems == "" && !reflect.DeepEqual(got, test.want) {
				t.Errorf("decodes as %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestTolerantDecodingInAnyCase(t *testing.T) {
	for text, want := range map[string]string{
		"{Name: a}":                   "a",
		"{NAME: a, name: b}":          "b",
		"{name: b, NAME: a}":          "b",
		"{name: a, name: b}":          "b",
		"{nAme: a, Name: b, NAme: c}": "a",
	} {
		var got tolerated
		if problems, _ := (Tolerant{FoldCase: true}).Unmarshal([]byte(text), &got); len(problems) > 0 || got.Name != want {
			t.Errorf("%s is the name %q, %v, want %q", text, got.Name, problems, want)
		}
	}
}

// What aliases stand for is counted before it is copied.
func TestTolerantDecodingOfABillionLaughs(t *testing.T) {
	text := "free:\n  a: &a [" + strings.Repeat("x,", 99) + "x]\n"
	for _, names := range []string{"ab", "bc", "cd", "de"} {
		text += "  " + names[1:] + ": &" + names[1:] + " [" + strings.Repeat("*"+names[:1]+",", 99) + "*" + names[:1] + "]\n"
	}
	var got tolerated
	problems, _ := Tolerant{}.Unmarshal([]byte(text), &got)
	if want := "line 4: YAML aliases may stand for 16384 fields and values in all; write the values out"; problems.Error() != want {
		t.Errorf("problems %q, want %q", problems.Error(), want)
	}
	if n := testing.AllocsPerRun(1, func() { Tolerant{}.Unmarshal([]byte(text), &got) }); n > 40_000 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzTolerant(f *testing.F) {
	f.Add("a: &a {<<: *a}\nname: !!str 1\n---\nx", true)
	f.Add("parts:\n-\n- {path: a, Path: b}\n", false)
	f.Fuzz(func(t *testing.T, text string, fold bool) {
		if len(text) > 1<<14 {
			return
		}
		var got tolerated
		var strictly tolerated
		problems, ignored := Tolerant{FoldCase: fold}.Unmarshal([]byte(text), &got)
		for _, p := range append(problems, ignored...) {
			if p.Text == "" || strings.ContainsAny(p.String(), "\n\r\x00") {
				t.Errorf("problem %q", p)
			}
		}
		// What is accepted strictly means the same here.
		if len(Unmarshal([]byte(text), &strictly)) == 0 && (len(problems) > 0 || !reflect.DeepEqual(got, strictly)) {
			t.Errorf("%v: %+v, and strictly %+v", problems, got, strictly)
		}
	})
}

// What a hostile document costs grows with its size, and only what is told is put into
// words.
func TestTolerantDecodingCostsNoMoreThanTheDocumentIsLong(t *testing.T) {
	fields := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "name-that-nobody-knows-%d:\n", i)
		}
		return b.String()
	}
	for name, text := range map[string]func(n int) string{
		"unknown fields": fields,
		"unknown parts":  func(n int) string { return "parts:\n" + strings.Repeat("- {paht: }\n", n) },
		"empty items":    func(n int) string { return "parts:\n" + strings.Repeat("-\n", n) },
		"tags":           func(n int) string { return "free: {a: [" + strings.Repeat("!x y,", n) + "]}" },
		"merged lists":   func(n int) string { return "<<: [" + strings.Repeat("[],", n) + "[]]" },
		"merged maps":    func(n int) string { return "<<: [" + strings.Repeat("{name: a},", n) + "{}]" },
	} {
		t.Run(name, func(t *testing.T) {
			const few, many = 1000, 10_000
			cost := func(n int) float64 {
				input := []byte(text(n))
				return testing.AllocsPerRun(1, func() { Tolerant{FoldCase: true}.Unmarshal(input, new(tolerated)) })
			}
			if small, large := cost(few), cost(many); large > 12*small || large > 40*many {
				t.Errorf("%v allocations for %d and %v for %d", small, few, large, many)
			}
		})
	}
	var got tolerated
	if problems, _ := (Tolerant{}).Unmarshal([]byte("name: a\n<<: [[{count: 1}]]"), &got); problems.Error() != "line 2: a YAML merge key takes a map, or a list of maps" {
		t.Error(problems)
	}
}

package jmespath

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/render"
	"github.com/lanyardhq/lanyard/provider/render/rendertest"
)

func apply(expr, value string) (string, error) {
	p, err := Compile(expr)
	if err != nil {
		return "", fmt.Errorf("compile: %w", err)
	}
	got, err := p.Apply([]byte(value), render.Hooks{})
	return string(got), err
}

func TestPropertySelects(t *testing.T) {
	const doc = `{
		"user": "app", "port": 5432, "big": 12345678901234567890, "precise": 1.50, "exponent": 1E400, "zero": -0,
		"on": true, "off": false, "nothing": null, "empty": "", "text": "a<b>&\"\n\u2028é",
		"tls.crt": "dotted", "my-key": "dashed", "list": [3, 1, 2], "words": ["b", "a", "c"],
		"nested": {"z": 1, "a": {"b": [{"c": "deep"}]}},
		"people": [{"name": "ann", "age": 30, "tags": ["x"]}, {"name": "bob", "age": 20, "tags": ["y", "z"]}, {"name": "cid", "age": 25}]
	}`
	for expr, want := range map[string]string{
		"user":    "app",
		"port":    "5432",
		"big":     "12345678901234567890",
		"precise": "1.50", "exponent": "1E400", "zero": "-0",
		"on": "true", "off": "false", "empty": "",
		"text":                     "a<b>&\"\n\u2028é",
		"[text]":                   `["a<b>&\"\n` + "\u2028" + `é"]`,
		`"tls.crt"`:                "dotted",
		`"my-key"`:                 "dashed",
		"nested":                   `{"a":{"b":[{"c":"deep"}]},"z":1}`,
		"nested.a.b[0].c":          "deep",
		"list[0]":                  "3",
		"list[-1]":                 "2",
		"list[1:]":                 "[1,2]",
		"list[::-1]":               "[2,1,3]",
		"list[5:9]":                "[]",
		"list[:2]":                 "[3,1]",
		"list[-2:]":                "[1,2]",
		"people[*].name":           `["ann","bob","cid"]`,
		"people[].tags[]":          `["x","y","z"]`,
		"people[?age > `21`].name": `["ann","cid"]`,
		"people[?age >= `20` && age <= `25`].name | [0]": "bob",
		"people[?name == 'bob'].age | [0]":               "20",
		"people[?!tags].name":                            `["cid"]`,
		"people[?tags && contains(tags, 'z')].name":      `["bob"]`,
		"nested.*":                    `[{"b":[{"c":"deep"}]},1]`,
		"people[0].[name, age]":       `["ann",30]`,
		"people[0].{n: name, a: age}": `{"a":30,"n":"ann"}`,
		"nothing || user":             "app",
		"user && port":                "5432",
		"!nothing":                    "true",
		"port == `5432`":              "true",
		"port == `5432.0`":            "true",
		"big == `1`":                  "false",
		"nested == nested":            "true",
		"list != words":               "true",
		"@.user":                      "app",
		"'literal'":                   "literal",
		"`{\"a\": [1, null]}`":        `{"a":[1,null]}`,
		"(user)":                      "app",

		"abs(`-1.5`)":                       "1.5",
		"avg(list)":                         "2",
		"ceil(precise)":                     "2",
		"ceil(big)":                         "12345678901234567890",
		"floor(precise)":                    "1",
		"contains(user, 'pp')":              "true",
		"contains(list, `2`)":               "true",
		"ends_with(user, 'p')":              "true",
		"starts_with(user, 'x')":            "false",
		"join('-', sort(words))":            "a-b-c",
		"keys(nested)":                      `["a","z"]`,
		"values(nested)":                    `[{"b":[{"c":"deep"}]},1]`,
		"length(text)":                      "9",
		"length(list)":                      "3",
		"length(nested)":                    "2",
		"map(&age, people)":                 "[30,20,25]",
		"max(list)":                         "3",
		"min(words)":                        "a",
		"max_by(people, &age).name":         "ann",
		"min_by(people, &name).age":         "30",
		"merge(nested, {z: `2`, y: `3`}).z": "2",
		"not_null(nothing, user)":           "app",
		"reverse(list)":                     "[2,1,3]",
		"reverse('aé')":                     "éa",
		"sort(list)":                        "[1,2,3]",
		"sort_by(people, &age)[*].name":     `["bob","cid","ann"]`,
		"sum(list)":                         "6",
		"to_array(user)":                    `["app"]`,
		"to_array(list)":                    "[3,1,2]",
		"to_number('12345678901234567890')": "12345678901234567890",
		"to_string(nested)":                 `{"a":{"b":[{"c":"deep"}]},"z":1}`,
		"to_string(user)":                   "app",
		"type(port)":                        "number",
		"type(nothing)":                     "null",
		"type(nested)":                      "object",
	} {
		if got, err := apply(expr, doc); err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", expr, got, err, want)
		}
	}
}

// Numbers are digits: nothing that a float would round may make two of them one.
func TestPropertyIsExact(t *testing.T) {
	const doc = `{
		"users": [{"id": 9007199254740992, "n": "two"}, {"id": 9007199254740993, "n": "three"}, {"id": 9007199254740991, "n": "one"}],
		"long": [123456789012345678901234567891, 123456789012345678901234567890],
		"close": [0.30000000000000004, 0.3, 0.30000000000000001],
		"forms": [1.10, 1e5, 1E+2, -0, -0.0, 0e7], "tenths": [0.1, 0.2], "far": [1e999999999, 1e-999999999, -1e999999999],
		"one": 1, "oneFloat": 1.0, "oneExponent": 10e-1, "hundred": 100, "money": 19.90
	}`
	for expr, want := range map[string]string{
		"users[?id==`9007199254740993`].n | [0]":           "three",
		"users[?id!=`9007199254740993`].n":                 `["two","one"]`,
		"users[?id>`9007199254740992`].n":                  `["three"]`,
		"users[?id>=`9007199254740993.0`].n":               `["three"]`,
		"users[?id<`9007199254740991.5`].n":                `["one"]`,
		"users[?id=='9007199254740993']":                   "[]",
		"users[?id==to_number('9007199254740993')].n|[0]":  "three",
		"users[?contains(`[9007199254740993]`, id)].n|[0]": "three",
		"users[?`{\"a\":9007199254740993}`.a==id].n|[0]":   "three",
		"sort_by(users, &id)[*].n":                         `["one","two","three"]`,
		"max_by(users, &id).n":                             "three",
		"min_by(users, &id).n":                             "one",
		"max(users[*].id)":                                 "9007199254740993",
		"contains(users[*].id, `9007199254740994`)":        "false",
		"sum(users[*].id)":                                 "27021597764222976",
		"avg(users[*].id)":                                 "9007199254740992",
		"sort(long)[0]":                                    "123456789012345678901234567890",
		"long[0]==long[1]":                                 "false",
		"sum(long)":                                        "2.46913578024691357802469135781e+29",
		"sort(close)":                                      "[0.3,0.30000000000000001,0.30000000000000004]",
		"close[1]==close[2]":                               "false",
		"forms":                                            "[1.10,1e5,1E+2,-0,-0.0,0e7]",
		"to_string(forms)":                                 "[1.10,1e5,1E+2,-0,-0.0,0e7]",
		"forms[0]":                                         "1.10",
		"to_number('1.10')":                                "1.10",
		"to_string(forms[1])":                              "1e5",
		"forms[3]==forms[5] && forms[4]==`0`":              "true",
		"`[1, 1.0]`":                                       "[1,1.0]",
		"one==oneFloat && oneFloat==oneExponent":           "true",
		"hundred==`1e2`":                                   "true",
		"hundred==`1.0e+02`":                               "true",
		"hundred<`1e400`":                                  "true",
		"hundred<`-1e400`":                                 "false",
		"sum(tenths)":                                      "0.3",
		"sum(tenths)==`0.3`":                               "true",
		"avg(`[1,2]`)":                                     "1.5",
		"avg(`[1e400]`)":                                   "1e+400",
		"avg(`[-3,2]`)":                                    "-0.5",
		"sum(`[]`)":                                        "0",
		"sum(`[1e308,1e308]`)":                             "2e+308",
		"sum(`[1e999999999,1e999999999]`)":                 "2e+999999999",
		"sum(`[5e-7,-5e-7]`)":                              "0",
		"sum(`[0.0000001]`)":                               "1e-07",
		"far[0]==`1e999999999`":                            "true",
		"sort(far)":                                        "[-1e999999999,1e-999999999,1e999999999]",
		"floor(far[1])":                                    "0",
		"ceil(far[1])":                                     "1",
		"floor(far[0])":                                    "1e999999999",
		"abs(far[2])":                                      "1e999999999",
		"abs(`-9007199254740993.10`)":                      "9007199254740993.10",
		"floor(`9007199254740993.5`)":                      "9007199254740993",
		"ceil(`9007199254740992.5`)":                       "9007199254740993",
		"floor(`-0.5`)":                                    "-1",
		"ceil(`-0.5`)":                                     "0",
		"ceil(`-1.5`)":                                     "-1",
		"floor(`100.0`)":                                   "100",
		"floor(money)":                                     "19",
		"ceil(`999.5`)":                                    "1000",
		"length(forms)==`6.0`":                             "true",
		"'`1`' || one":                                     "`1`",
		"'it\\'s `1`' || one":                              "it's `1`",
		"`\"a\\`b\"`":                                      "a`b",
		"`1e99999999999999999999`":                         "1e99999999999999999999",
	} {
		if got, err := apply(expr, doc); err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", expr, got, err, want)
		}
	}
}

func TestPropertyThatSelectsNothing(t *testing.T) {
	for _, c := range []struct{ expr, value, says string }{
		{"missing", `{}`, "the value has no key missing"},
		{"a", `{"a":null}`, "the key a is null"}, {"a.b", `{"a":null,"planted":1}`, "the key a is null"},
		{"a.b.c", `{"a":{}}`, "a has no key b"}, {"a.b.c", `{"a":{"b":{"planted":1}}}`, "b has no key c"},
		{"a", `[]`, "the value is a list"}, {"a", `"text"`, "the value is text and has no keys"}, {"a", `7`, "the value is a number"},
		{"a", `"{\"a\":\"planted\"}"`, "the value is text that holds JSON"}, {"cfg.a", `{"cfg":" {\"a\":\"planted\"}"}`, "cfg is text that holds JSON"},
		{"cfg.a", `{"cfg":"planted"}`, "cfg is text and has no keys"}, {"cfg.a", `{"cfg":[{"a":1}]}`, "cfg is a list"}, {"cfg.a", `{"cfg":true}`, "cfg is a number or a truth"},
		{"cfg[0].a", `{"cfg":[{"b":1}]}`, ""}, {"[3]", `[1]`, ""}, {"a.*", `{"a":[1]}`, ""},
		{"@", `null`, ""}, {"to_number('x')", `{}`, ""}, {"to_number(' 1')", `{}`, ""}, {"max(@)", `[]`, ""}, {"avg(@)", `[]`, ""},
		{"tls.crt", `{"tls.crt":"planted"}`, `quote it: '"tls.crt"'`},
	} {
		got, err := apply(c.expr, c.value)
		if !errors.Is(err, render.ErrNothing) || got != "" || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s of %s = %q, %v; want render.ErrNothing", c.expr, c.value, got, err)
		}
	}
}

func TestPropertyOfAValueThatDoesNotFit(t *testing.T) {
	for name, c := range map[string]struct{ expr, value, says string }{
		"not JSON":               {"a", "planted", "not JSON"},
		"empty":                  {"a", "", "not JSON"},
		"cut off":                {"a", `{"a":"planted`, "not JSON"},
		"something behind":       {"a", `{"a":1} planted`, "something follows"},
		"two documents":          {"a", `{"a":1}{"planted":1}`, "something follows"},
		"not UTF-8":              {"a", "{\"a\":\"planted\xff\"}", "not UTF-8"},
		"half a pair":            {"a", `{"a":"planted\ud800"}`, "surrogate"},
		"other half":             {"a", `{"a":"planted\udc00"}`, "surrogate"},
		"pair the wrong way":     {"a", `{"a":"\udc00\ud800"}`, "surrogate"},
		"a pair cut off":         {"a", `{"a":"\ud83d\u`, "surrogate"},
		"text to sum":            {"sum(@)", `["planted"]`, "sum: wants a list of numbers"},
		"text and numbers":       {"sort(@)", `["planted",1]`, "sort: wants only"},
		"object to join":         {"join(',', @)", `[{"planted":1}]`, "join: wants"},
		"number to begin":        {"starts_with(@, 'a')", `7`, "starts_with: wants two strings"},
		"key of no fixed type":   {"max_by(@, &a)", `[{"a":"planted"},{"a":1}]`, "max_by: wants only"},
		"length of a number":     {"length(@)", `7`, "length: wants"},
		"sum of too many digits": {"sum(@)", `[1e500,1e-500]`, "more than 700 digits"},
		"average without an end": {"avg(@)", `[1,1,2]`, "no end as a decimal number"},
		"exponent out of bounds": {"sort(@)", `[1e99999999999999999999,2]`, "exponent of a number is too large"},
		"digits out of bounds":   {"floor(@)", "1" + strings.Repeat("0", 800) + ".5", "more than 700 digits"},
		"number that is no map":  {"keys(@)", `7`, "keys: wants an object"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := apply(c.expr, c.value)
			if err == nil || got != "" || errors.Is(err, render.ErrNothing) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s = %q, %v; want an error that says %q", c.expr, got, err, c.says)
			}
			if err != nil && strings.Contains(err.Error(), "planted") {
				t.Errorf("error %q shows the value", err)
			}
		})
	}
	// A whole pair, and an escaped backslash before a u, are good.
	if got, err := apply("a", `{"a":"\ud83d\ude00 \\ud800 \u00e9"}`); err != nil || got != "😀 \\ud800 é" {
		t.Errorf("a = %q, %v", got, err)
	}
}

func TestPropertyThatDoesNotCompile(t *testing.T) {
	for expr, says := range map[string]string{
		"":                        "empty",
		"my-key":                  `quote it: '"my-key"'`,
		"some/path":               `quote it: '"some/path"'`,
		"1password":               `quote it: '"1password"'`,
		"a@b":                     `quote it: '"a@b"'`,
		"über":                    `quote it: '"über"'`,
		"a\u0080":                 "must be quoted",
		"a b":                     "column 3",
		"a[":                      "ends too early",
		"a.":                      "ends too early",
		"people[?name":            "ends too early",
		"{a: b":                   "ends too early",
		"a[99999999999999999999]": "number is too large",
		"`{`":                     "literal",
		"'abc":                    "ends too early",
		"a == `1":                 "ends too early",
		"`\"\\ud800\"`":           "literal",
		`"a`:                      "not a JMESPath expression",
		"pad_left(a, `9`)":        `no function "pad_left"`,
		"replace(a, b, c)":        `no function "replace"`,
		"env('HOME')":             `no function "env"`,
		"sort()":                  "sort takes 1 argument, not 0",
		"sort(a, b)":              "sort takes 1 argument, not 2",
		"merge()":                 "merge takes at least 1",
		"sort_by(a, b)":           "argument 2 of sort_by must be an expression with &",
		"map(a, b)":               "argument 1 of map",
		"length(&a)":              "& may only stand",
		"&a":                      "& may only stand",
		"map(&(&a), b)":           "& may only stand",
		"a + b":                   "arithmetic",
		"-a":                      "arithmetic",
		"$.a":                     "not supported",
		"let $x = a in $x":        "not supported",
		"a[::0]":                  "step",
		strings.Repeat("a", 4097): "4097 bytes",
	} {
		_, err := Compile(expr)
		if err == nil || !strings.Contains(err.Error(), says) || len(err.Error()) > 400 {
			t.Errorf("Compile(%.40q) = %v; want an error that says %q", expr, err, says)
		}
	}
}

// deep is a JSON list nested n times.
func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func numbersTo(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ",%d", i)
	}
	return "[" + b.String()[1:] + "]"
}

// Expressions that make much of little, on values chosen to help them.
func TestPropertyAttacksEndAtABound(t *testing.T) {
	doubling := strings.Repeat("[@,@]|", 60)
	for name, c := range map[string]struct{ expr, value string }{
		"doubles a tree by sharing":     {doubling + "@", `"x"`},
		"doubles and writes":            {"to_string(" + doubling + "@)", `"x"`},
		"doubles and flattens":          {strings.Repeat("[@,@][]|", 60) + "@", `["x"]`},
		"doubles and compares":          {doubling + "[0]==[1]|@", `"x"`},
		"doubles objects":               {strings.Repeat("{a:@,b:@}|", 60) + "@", `"x"`},
		"doubles and merges":            {strings.Repeat("{a:@,b:@}|", 60) + "values(@)|to_string(@)", `"x"`},
		"joins ever longer text":        {strings.Repeat("join('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',[@,@,@,@,@,@,@,@])|", 20) + "@", `"x"`},
		"joins with a long separator":   {"join(@[0], @)", `["` + strings.Repeat("x", 1<<20) + `"` + strings.Repeat(`,"y"`, 1000) + `]`},
		"maps a list over a list":       {"{l:@}|map(&@, l[*].[@,@,@,@,@,@,@,@])|[][][*].[@,@,@,@]|[][]", numbersTo(90_000)},
		"sorts long equal text":         {"[*].[@,@,@,@,@,@,@,@,@,@]|[]|sort(@)", `["` + strings.Repeat("x", 500_000) + `a"` + strings.Repeat(`,"`+strings.Repeat("x", 500_000)+`b"`, 5) + `]`},
		"compares long text often":      {"[*].[@,@,@,@,@,@,@,@,@,@]|[]|[*].[@,@,@,@,@,@,@,@,@,@]|[]|sort(@)|to_string(@)", `["` + strings.Repeat("x", 500_000) + `a","` + strings.Repeat("x", 500_000) + `b"]`},
		"too many values":               {"@", "[" + strings.Repeat("0,", 200_000) + "0]"},
		"too many objects":              {"@", "[" + strings.Repeat("{},", 200_000) + "{}]"},
		"result larger than a message":  {"[@,@,@,@,@]", `"` + strings.Repeat("x", 1<<20) + `"`},
		"a string larger than messages": {"@", `"` + strings.Repeat("x", render.MaxBytes+1) + `"`},
		"reverses long text often":      {strings.Repeat("reverse(@)|", 100) + "@", `"` + strings.Repeat("é", 1<<20) + `"`},
		"strings of strings":            {strings.Repeat("to_string([@])|", 40) + "@", `"\"\""`},
	} {
		t.Run(name, func(t *testing.T) {
			bytes := rendertest.Allocated(func() {
				if got, err := apply(c.expr, c.value); !errors.Is(err, render.ErrTooLarge) || got != "" {
					t.Errorf("%.40s...: %d bytes, %v; want render.ErrTooLarge", c.expr, len(got), err)
				}
			})
			if limit := uint64(160 << 20); bytes > limit {
				t.Errorf("%d MiB were allocated on the way", bytes>>20)
			}
		})
	}
}

func TestPropertyTakesWhatIsLargeButWithinBounds(t *testing.T) {
	for name, c := range map[string]struct{ expr, value string }{
		"deep":             {"@", deep(5000)},
		"long text":        {"a", `{"a":"` + strings.Repeat("x", render.MaxBytes-100) + `"}`},
		"many values":      {"@", numbersTo(99_000)},
		"sorts many":       {"sort(@)|[0]", numbersTo(20_000)},
		"far slice":        {"[9223372036854775807:-9223372036854775808:-9223372036854775808]", "[1,2]"},
		"long expression":  {strings.Repeat("(", 1000) + "@" + strings.Repeat(")", 1000), "1"},
		"many projections": {strings.Repeat("[*]", 500), "[[[1]]]"},
	} {
		if _, err := apply(c.expr, c.value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPropertyGivesTheSameBytesEachTime(t *testing.T) {
	value := `{"m":{"d":1,"b":2,"a":3,"c":4,"f":5,"e":6}}`
	for _, expr := range []string{"m", "m.*", "keys(m)", "values(m)", "to_string(m)"} {
		want, err := apply(expr, value)
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			if got, _ := apply(expr, value); got != want {
				t.Fatalf("%s = %s and %s", expr, got, want)
			}
		}
	}
}

func FuzzProperty(f *testing.F) {
	for _, expr := range []string{"a", "a.b[0]", "[*].{a: b}", "sort_by(@, &a)", "a[?b == `1`] | [0]", "[@,@]|[]", "to_string(@)", "*.a", "[::-1]", "a\u0080", "my-key"} {
		f.Add(expr, `{"a":{"b":[1,"x",null]},"planted":"planted"}`)
	}
	f.Fuzz(func(t *testing.T, expr, value string) {
		p, err := Compile(expr)
		if err != nil {
			return
		}
		const secret = "planted-7d1c3"
		planted, err := json.Marshal(map[string]any{"a": []any{value, secret}, "b": secret})
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range []string{value, string(planted)} {
			var got []byte
			if used := rendertest.Allocated(func() { got, err = p.Apply([]byte(value), render.Hooks{}) }); used > 256<<20 {
				t.Errorf("%d MiB were allocated", used>>20)
			}
			if err != nil && (got != nil || strings.Contains(err.Error(), secret) && !strings.Contains(expr, secret)) {
				t.Errorf("%q, %v", got, err)
			}
			if len(got) > render.MaxBytes {
				t.Errorf("%d bytes", len(got))
			}
			again, _ := p.Apply([]byte(value), render.Hooks{})
			if string(again) != string(got) {
				t.Errorf("%q and then %q", got, again)
			}
		}
	})
}

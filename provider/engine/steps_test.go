package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/dialect/lanyard"
	"github.com/lanyardhq/lanyard/provider/render"
	"github.com/lanyardhq/lanyard/provider/render/jmespath"
	"github.com/lanyardhq/lanyard/provider/render/rendertest"
	"github.com/lanyardhq/lanyard/provider/render/template"
)

// fill repeats text up to a size.
func fill(text string, size int) string { return strings.Repeat(text, size/len(text)) }

// These steps are not done in slices. What they allocate stands for their time: 30 MiB
// take about a tenth of a second.
func TestTheStepsThatGiveNoWayAreBounded(t *testing.T) {
	const (
		expression, text, structure = 4 << 10, 64 << 10, 128 << 10 // the bounds
		class                       = 3 << 19                      // what etcd takes
	)
	// list has as many of an item as there may be, of which each counts so much.
	list := func(item string, counts int) string { return strings.Repeat(item, structure/counts) }
	for name, test := range map[string]struct {
		most int // MiB
		do   func(input string)
		of   []string
	}{
		"compile a property": {4, func(s string) { _, _ = jmespath.Compile(s) }, []string{
			"a" + fill(".a", expression-8), fill("!", expression-8) + "a", "[" + fill("`1`,", expression-8) + "`1`]", "a" + fill("[*]", expression-8),
			fill("(", expression/2-8) + "a" + fill(")", expression/2-8), fill("[", expression-8), "a" + fill(".a", expression-8) + "[", "`" + fill("[", expression-8) + "`", fill("a", expression),
		}},
		"parse a template": {8, func(s string) { _, _ = template.Parse(s) }, []string{
			fill("{{.a}}", text), "{{" + fill(".a", text-8) + "}}", fill("{{if .a}}{{end}}", text), "{{.a" + fill("|b64enc", text-16) + "}}", fill("{{(((.a)))}}", text),
			fill("{{x}}", text), fill("x", text), fill("{{/**/}}", text), "{{list" + fill(" 1", text-16) + "}}", fill("{{", text),
		}},
		"parse a class": {48, func(s string) { _, _ = lanyard.Parse(map[string]string{"objects": s}) }, []string{
			list("- {path: a, key: k}\n", 6), list("- {a: }\n", 4), list("- a: b\n", 3), list("- &a x\n", 2), list("- {}\n", 3), list("- ", 1), list("[", 1),
			list("- path: "+fill("a", 26)+"\n", 3), `- "` + fill(`\u0041`, class) + `"`, fill("a", class), list("#\n", 1), list("#\n", 1) + "#\n",
		}},
		"parse a value": {32, func(s string) { _, _ = render.ParseJSON([]byte(s)) }, []string{
			"[" + strings.TrimSuffix(fill(`{"a":1},`, 392_000), ",") + "]", `{"a":"` + fill("x", 4<<20-16) + `"}`, `{"a":"` + fill(`\u0041`, 4<<20-16) + `"}`,
			"[" + strings.TrimSuffix(fill(`"`+fill("a", 36)+`",`, 3_800_000), ",") + "]", fill("[", 9000) + fill("]", 9000), fill("[", 4<<20),
		}},
	} {
		for i, input := range test.of {
			t.Run(fmt.Sprint(name, i), func(t *testing.T) {
				most := uint64(test.most) << 20
				if rendertest.Race {
					most *= 32
				}
				used := rendertest.Allocated(func() { test.do(input) })
				for range 5 { // what tests before this one left running allocates too
					if used > most {
						used = min(used, rendertest.Allocated(func() { test.do(input) }))
					}
				}
				if used > most {
					t.Errorf("%.30q..., %d bytes: %d MiB were allocated, want at most %d", input, len(input), used>>20, test.most)
				}
			})
		}
	}
}

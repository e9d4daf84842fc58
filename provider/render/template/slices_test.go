package template_test

import (
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/render"
	"github.com/lanyardhq/lanyard/provider/render/template"
)

func TestLongWorkPausesAndReservesItsMemory(t *testing.T) {
	values := map[string]string{"list": "[" + strings.TrimSuffix(strings.Repeat("1,", 60_000), ",") + "]"}
	for _, test := range []struct {
		text     string
		pauses   int
		reserved int64
	}{
		{"x", 0, 1},
		{"{{range fromJson .list}}{{end}}", 3, 1 << 20},
		{"{{range fromJson .list}}{{range fromJson $.list}}{{end}}{{end}}", 0, 1 << 20}, // memory is used up first
		{"{{range fromJson .list}}" + strings.Repeat("x", 64) + "{{end}}", 3, 60_000 * 64},
	} {
		t.Run(test.text, func(t *testing.T) {
			parsed, err := template.Parse(test.text)
			if err != nil {
				t.Fatal(err)
			}
			pauses, reserved := 0, int64(0)
			got, err := parsed.Execute(values, render.Hooks{
				Reserve: func(bytes int64) error { reserved += bytes; return nil },
				Pause:   func() error { pauses++; return nil },
			})
			if pauses < test.pauses || reserved < test.reserved {
				t.Errorf("%d pauses, %d bytes reserved; want %d, %d and more", pauses, reserved, test.pauses, test.reserved)
			}
			plain, plainErr := parsed.Execute(values, render.Hooks{})
			if string(plain) != string(got) || (plainErr == nil) != (err == nil) {
				t.Errorf("without hooks it is another text or error: %v, %v", plainErr, err)
			}
		})
	}
}

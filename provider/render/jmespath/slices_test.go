package jmespath_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/render"
	"github.com/lanyardhq/lanyard/provider/render/jmespath"
)

// Expressions that use up the work that one may do, and what they may make.
func TestLongWorkPausesAndReservesItsMemory(t *testing.T) {
	list := []byte("[" + strings.TrimSuffix(strings.Repeat(`{"a":1},`, 49_000), ",") + "]")
	for _, test := range []struct {
		text     string
		pauses   int
		reserved int64
	}{
		{"length(@)", 0, 0},
		{"[*].a", 2, 1 << 20},
		{"[?a<`2` && a<`2` && a<`2` && a<`2` && a<`2` && a<`2` && a<`2`]", 40, 0},
		{"[*].[a,a,a,a,a,a,a,a]", 4, 8 << 20},
	} {
		t.Run(test.text, func(t *testing.T) {
			expression, err := jmespath.Compile(test.text)
			if err != nil {
				t.Fatal(err)
			}
			pauses, reserved, stop := 0, int64(0), errors.New("stop")
			hooks := render.Hooks{
				Reserve: func(bytes int64) error { reserved += bytes; return nil },
				Pause:   func() error { pauses++; return nil },
			}
			got, err := expression.Apply(list, hooks)
			if pauses < test.pauses || reserved < test.reserved || reserved > 16<<20+16<<10 {
				t.Errorf("%d pauses, %d bytes reserved; want %d, %d and more", pauses, reserved, test.pauses, test.reserved)
			}
			plain, plainErr := expression.Apply(list, render.Hooks{})
			if string(plain) != string(got) || (plainErr == nil) != (err == nil) {
				t.Errorf("without hooks it is another value or error: %v, %v", plainErr, err)
			}
			if pauses > 0 {
				hooks.Pause = func() error { return stop }
				if _, err := expression.Apply(list, hooks); !errors.Is(err, stop) {
					t.Errorf("error %v, want the hook's", err)
				}
			}
			if reserved > 0 {
				if _, err := expression.Apply(list, render.Hooks{Reserve: func(int64) error { return stop }}); !errors.Is(err, stop) {
					t.Errorf("error %v, want the hook's", err)
				}
			}
		})
	}
}

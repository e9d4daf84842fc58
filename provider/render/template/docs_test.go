package template

import (
	"maps"
	"slices"
	"testing"

	"github.com/lanyardhq/lanyard/provider/render/rendertest"
)

// The page lists what there is, neither more nor less.
func TestThePageListsTheFunctions(t *testing.T) {
	if got, want := rendertest.Listed(t, "template"), slices.Sorted(maps.Keys(functions())); !slices.Equal(got, want) {
		t.Errorf("the page lists\n%v, there are\n%v", got, want)
	}
}

// Every function is there to be called: Sprig may drop one.
func TestEveryFunctionIsKnown(t *testing.T) {
	for name, f := range functions() {
		if f.call == nil || f.cost == nil {
			t.Errorf("%s has no code or no cost", name)
		}
	}
}

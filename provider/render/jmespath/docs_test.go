package jmespath

import (
	"maps"
	"slices"
	"testing"

	"github.com/lanyardhq/lanyard/provider/render/rendertest"
)

// The page lists what there is, neither more nor less.
func TestThePageListsTheFunctions(t *testing.T) {
	if got, want := rendertest.Listed(t, "property"), slices.Sorted(maps.Keys(functions)); !slices.Equal(got, want) {
		t.Errorf("the page lists\n%v, there are\n%v", got, want)
	}
}

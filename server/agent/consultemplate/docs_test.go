package consultemplate

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// The page lists every function, and says of some more than their names.
func TestThePageListsTheFunctions(t *testing.T) {
	page, err := os.ReadFile("../../../docs/agent.md")
	if err != nil {
		t.Fatal(err)
	}
	apart := []string{secretName, pkiCertName, writeName}
	for _, name := range apart {
		if !strings.Contains(string(page), "\n- `"+name+" ") {
			t.Errorf("the page does not say what %s does", name)
		}
	}
	_, list, _ := strings.Cut(string(page), "- `base64Decode`")
	list, _, _ = strings.Cut("- `base64Decode`"+list, "\n\n")
	for _, name := range functionNames() {
		if !slices.Contains(apart, name) && !strings.Contains(list, "`"+name+"`") {
			t.Errorf("the page does not list %s", name)
		}
	}
	if got := strings.Count(list, "`") / 2; got != len(functionNames())-len(apart) {
		t.Errorf("the page lists %d functions, known are %d", got, len(functionNames())-len(apart))
	}
}

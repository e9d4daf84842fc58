package consultemplate

import (
	"os"
	"strings"
	"testing"
)

// The page lists every function.
func TestThePageListsTheFunctions(t *testing.T) {
	page, err := os.ReadFile("../../../docs/agent.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(page), "- `base64Decode`")
	list, _, _ = strings.Cut("- `base64Decode`"+list, "\n\n")
	for _, name := range functionNames() {
		if name != "secret" && !strings.Contains(list, "`"+name+"`") {
			t.Errorf("the page does not list %s", name)
		}
	}
	if got := strings.Count(list, "`") / 2; got != len(functionNames())-1 {
		t.Errorf("the page lists %d functions, known are %d", got, len(functionNames())-1)
	}
}

package vault

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestThePageHasEveryParameterAndField(t *testing.T) {
	page, err := os.ReadFile("../../../docs/migrate-from-vault.md")
	if err != nil {
		t.Fatal(err)
	}
	names := product.Known()
	for _, field := range reflect.VisibleFields(reflect.TypeFor[entry]()) {
		names = append(names[:len(names):len(names)], field.Tag.Get("yaml"))
	}
	for _, name := range names {
		if !strings.Contains(string(page), "\n| `"+name+"` |") {
			t.Errorf("the page has no row for %s", name)
		}
	}
}

package status

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// fields are the names in JSON of a type's fields, and of those below it, by the path that
// the page has for them.
func fields(of reflect.Type, path string, into map[string][]string) {
	for i := range of.NumField() {
		field := of.Field(i)
		inner := field.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if field.Anonymous {
			fields(inner, path, into)
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		into[path] = append(into[path], name)
		below := strings.TrimPrefix(path+"[]."+name, "all[].")
		below = strings.NewReplacer("cache[].", "cache.", "ring[].", "ring.").Replace(below)
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[time.Time]() {
			fields(inner, below, into)
		}
	}
}

func TestThePageListsEveryField(t *testing.T) {
	content, err := os.ReadFile("../../docs/status-page.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(content), "\n## As JSON\n")
	section, _, _ = strings.Cut(section, "\n## ")
	quoted := regexp.MustCompile("`([^`]+)`")
	page := map[string][]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\S+) \| (.*) \|$`).FindAllStringSubmatch(section, -1) {
		for _, name := range quoted.FindAllStringSubmatch(row[2], -1) {
			path := strings.Trim(row[1], "`")
			page[path] = append(page[path], name[1])
		}
	}
	want := map[string][]string{}
	fields(reflect.TypeFor[Facts](), "all", want)
	for path, names := range want {
		slices.Sort(names)
		slices.Sort(page[path])
		if !slices.Equal(names, page[path]) {
			t.Errorf("docs/status-page.md lists for %s the fields %q, and there are %q", path, page[path], names)
		}
	}
	for path := range page {
		if want[path] == nil && path != "object" {
			t.Errorf("docs/status-page.md lists %s, which there is not", path)
		}
	}
}

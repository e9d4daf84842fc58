package cmd

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// The page shows what the command prints, and explains each state and field.
func TestThePageOfStatusIsTrue(t *testing.T) {
	const path = "../docs/status.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, output, _ := runStatus(t.Context(), "-n", "prod", "--class", "web", "--kubeconfig", newStatusAPI(t).kubeconfig)
	const begin, end = "<!-- example -->\n", "<!-- end of example -->"
	before, rest, begun := strings.Cut(string(text), begin)
	have, after, ended := strings.Cut(rest, end)
	want := "```text\n$ lanyard status -n prod --class web\n" + output + "```\n"
	switch {
	case !begun || !ended:
		t.Fatalf("%s has no example", path)
	case have == want:
	case os.Getenv("LANYARD_UPDATE_GOLDEN") == "":
		t.Errorf("%s: the example is not what is printed; run make golden", path)
	default:
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, state := range holdingStates {
		if !strings.Contains(string(text), "| `"+string(state)+"` |") {
			t.Errorf("%s does not explain the state %s", path, state)
		}
	}
	_, table, _ := strings.Cut(string(text), "<!-- fields -->")
	table, _, _ = strings.Cut(table, "<!-- end of fields -->")
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|").FindAllStringSubmatch(table, -1) {
		above := ""
		for i, name := range strings.Split(row[1], ", ") {
			name = strings.Trim(name, "`")
			if i == 0 {
				above = name[:strings.LastIndex(name, ".")+1]
			} else {
				name = above + name
			}
			documented = append(documented, name)
		}
	}
	fields := fieldsOf(reflect.TypeFor[statusReport](), "")
	slices.Sort(fields)
	slices.Sort(documented)
	if !slices.Equal(fields, documented) {
		t.Errorf("%s explains the fields\n%q\nof\n%q", path, documented, fields)
	}
}

// fieldsOf are the names of a struct's fields in JSON.
func fieldsOf(of reflect.Type, above string) (names []string) {
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			continue
		}
		names = append(names, above+name)
		if inner := field.Type; inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct {
			names = append(names, fieldsOf(inner.Elem(), above+name+"[].")...)
		}
	}
	return names
}

// The roles on the page are what the command needs, and no more.
func TestTheRolesOfStatusAreWhatItNeeds(t *testing.T) {
	granted := map[string]bool{}
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(pages(t)["docs/status.md"], -1) {
		for document := range strings.SplitSeq(block[1], "\n---\n") {
			var role struct {
				Rules []struct{ APIGroups, Resources, Verbs []string }
			}
			if err := yaml.Unmarshal([]byte(document), &role); err != nil {
				t.Fatal(err)
			}
			for _, rule := range role.Rules {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						granted[verb+" "+rule.APIGroups[0]+"/"+resource] = true
					}
				}
			}
		}
	}
	api := newStatusAPI(t)
	runStatus(t.Context(), "-A", "--kubeconfig", api.kubeconfig)
	needed := map[string]bool{}
	for _, call := range api.calls {
		method, path, _ := strings.Cut(call, " ")
		parts := strings.Split(strings.Trim(path, "/"), "/")
		group, resource := "", parts[len(parts)-1]
		if parts[0] == "apis" {
			group = parts[1]
		}
		if resource == "portforward" {
			resource = "pods/portforward"
		}
		needed[map[string]string{"GET": "list", "POST": "create"}[method]+" "+group+"/"+resource] = true
	}
	if !reflect.DeepEqual(granted, needed) {
		t.Errorf("the page grants %v, and needed is %v", granted, needed)
	}
}

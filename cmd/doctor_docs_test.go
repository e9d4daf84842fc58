package cmd

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	jsonyaml "sigs.k8s.io/yaml"
)

// pagePart holds a part of a page, between comments of its name, to what it is made from.
// LANYARD_UPDATE_GOLDEN=1 writes it anew.
func pagePart(t *testing.T, path, name, want string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
	before, rest, begun := strings.Cut(string(text), begin)
	have, after, ended := strings.Cut(rest, end)
	if !begun || !ended {
		t.Fatalf("%s has no part between %s and %s", path, begin, end)
	}
	want = "\n" + want + "\n"
	switch {
	case have == want:
	case os.Getenv("LANYARD_UPDATE_GOLDEN") == "":
		t.Errorf("%s: the part %s is not what it is made from; run make golden. It should be%s", path, name, want)
	default:
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// The page explains each check under its own heading, in the order of the tables.
func TestThePageOfDoctorExplainsEveryCheck(t *testing.T) {
	page := pages(t)["docs/doctor.md"]
	var explained, checks []string
	for _, title := range regexp.MustCompile(`(?m)^### (.*)$`).FindAllStringSubmatch(page, -1) {
		explained = append(explained, title[1])
	}
	for _, check := range clusterChecks {
		checks = append(checks, check.name)
	}
	for _, check := range nodeChecks {
		checks = append(checks, check.name)
	}
	if !slices.Equal(explained, checks) {
		t.Errorf("the page explains\n%q\nand the checks are\n%q", explained, checks)
	}
	for _, check := range checks {
		if anchor(check) != check {
			t.Errorf("%s is no anchor", check)
		}
	}
}

func TestThePageOfDoctorShowsWhatItPrints(t *testing.T) {
	a := newDoctorAPI(t)
	brokenClusters["no-token-requests"](a)
	brokenClusters["node-without-provider"](a)
	code, stdout, stderr := runLanyard("doctor", "--kubeconfig", a.start())
	if code != exitFailed {
		t.Fatal(stderr)
	}
	text := stdout + stderr
	text = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(text, "10.0.0.1:6443")
	text = regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:]+Z`).ReplaceAllString(text, "2027-01-01T00:00:00Z")
	pagePart(t, "../docs/doctor.md", "doctor output", "```text\n"+text+"```\n")
}

func TestThePageOfDoctorHasTheSupportMatrix(t *testing.T) {
	var tested []string
	for _, minor := range support.KubernetesTested {
		tested = append(tested, fmt.Sprintf("1.%d", minor))
	}
	pagePart(t, "../docs/doctor.md", "support matrix", fmt.Sprintf(`| | oldest | tested |
|---|---|---|
| Kubernetes | 1.%d | %s |
| Secrets Store CSI driver | %s | %s |
`, support.Kubernetes, strings.Join(tested, ", "), versionName(support.Driver), versionName(support.DriverTested)))
	// The tested versions are those of the tests.
	versions, err := os.ReadFile("../versions.env")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"DRIVER_VERSION=v" + versionName(support.DriverTested), "KUBERNETES_VERSION=v" + tested[0] + ".", "NEWEST_KUBERNETES=v" + tested[1] + "."} {
		if !strings.Contains(string(versions), want) {
			t.Errorf("versions.env does not say %s", want)
		}
	}
	if install := pages(t)["docs/install.md"]; !strings.Contains(install, fmt.Sprintf("| Kubernetes | 1.%d or later", support.Kubernetes)) {
		t.Errorf("docs/install.md names another oldest Kubernetes than 1.%d", support.Kubernetes)
	}
}

// The role on the page is what doctor asks the API server for, and no more.
func TestTheRoleOfDoctorIsWhatItNeeds(t *testing.T) {
	a := newDoctorAPI(t)
	brokenClusters["ring-missing"](a)
	diagnose(t, exitFailed, "--kubeconfig", a.start(), "--bundle", t.TempDir()+"/support.tar.gz")
	allowed := map[string]bool{}
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(pages(t)["docs/doctor.md"], -1) {
		var role struct {
			Rules []struct{ APIGroups, Resources, Verbs []string }
		}
		if err := jsonyaml.Unmarshal([]byte(block[1]), &role); err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					allowed[verb+" "+rule.APIGroups[0]+"/"+resource] = false
				}
			}
		}
	}
	path := regexp.MustCompile(`^(GET|POST) /(?:api|apis/([^/]+))/[^/]+/(?:namespaces/[^/]+/)?([a-z]+)(?:/([^/]+))?(?:/([a-z]+))?`)
	for _, asked := range a.asked {
		if asked == "GET /version" {
			continue
		}
		parts := path.FindStringSubmatch(asked)
		verb, resource := "list", parts[2]+"/"+parts[3]
		switch {
		case parts[1] == "POST":
			verb = "create"
		case parts[5] != "":
			verb, resource = "get", resource+"/"+parts[5]
		case parts[4] != "":
			verb = "get"
		}
		if _, ok := allowed[verb+" "+resource]; !ok {
			t.Errorf("doctor asks for %s (%s), which the role does not allow", verb+" "+resource, asked)
		}
		allowed[verb+" "+resource] = true
	}
	for right, used := range allowed {
		// Pods are looked at one by one where one waits.
		if !used && right != "get /pods" {
			t.Errorf("the role allows %s, which doctor does not ask for", right)
		}
	}
}

// The table of broken set-ups names alerts and lines of logs that there are.
func TestTheTableOfBrokenSetups(t *testing.T) {
	alerts, err := os.ReadFile("../deployment/charts/lanyard/monitoring/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	source := sourceText(t, "../provider", "../server", "../internal")
	table := "| set-up | doctor | the log | the alert | status | the page |\n|---|---|---|---|---|---|\n"
	for _, setup := range brokenSetups(t) {
		if setup.Alert != "-" && !strings.Contains(string(alerts), "alert: "+setup.Alert+"\n") {
			t.Errorf("%s: there is no alert %s", setup.Name, setup.Alert)
		}
		if setup.Log != "-" && !strings.Contains(source, setup.Log) {
			t.Errorf("%s: nothing logs %q", setup.Name, setup.Log)
		}
		quoted := func(words string) string {
			if words == "-" {
				return "–"
			}
			return "“" + words + "”"
		}
		alert := "–"
		if setup.Alert != "-" {
			alert = "[" + setup.Alert + "](monitoring.md#" + strings.ToLower(setup.Alert) + ")"
		}
		table += fmt.Sprintf("| %s | [%s](doctor.md#%s) | %s | %s | %s | %s |\n", setup.Setup, setup.Check, setup.Check, quoted(setup.Log), alert, quoted(setup.Status), quoted(setup.Page))
	}
	pagePart(t, "../docs/testing.md", "broken set-ups", table)
}

// sourceText is all Go code below the folders, but for tests.
func sourceText(t *testing.T, folders ...string) string {
	t.Helper()
	var all strings.Builder
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			all.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

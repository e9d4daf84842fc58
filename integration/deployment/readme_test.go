package deployment

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v3/pkg/chart"

	"github.com/lanyardhq/lanyard/integration/checkout"
)

// aboutTheChart is what the chart's README says before its values.
const aboutTheChart = `# Lanyard

%s.

~~~sh
kubectl create namespace lanyard
kubectl label namespace lanyard pod-security.kubernetes.io/enforce=privileged
helm upgrade --install lanyard deployment/charts/lanyard --namespace lanyard --values values.yaml
~~~

It takes Kubernetes %s. [Installing](https://github.com/lanyardhq/lanyard/blob/main/docs/install.md) says what most installations need,
[OpenShift](https://github.com/lanyardhq/lanyard/blob/main/docs/openshift.md) and [air-gapped clusters](https://github.com/lanyardhq/lanyard/blob/main/docs/air-gapped.md) what those need, and
[the configuration file](https://github.com/lanyardhq/lanyard/blob/main/docs/configuration.md) has every field of ` + "`config`" + `. The packaged chart, which
` + "`make chart`" + ` makes, also holds the Secrets Store CSI driver's chart, off by default.

Values with which nothing can run are refused before anything is installed, all at once.

## Values

This list is made from the comments of values.yaml by make golden.

| value | default | |
|---|---|---|
`

// TestTheREADMEHasEveryValue makes the chart's README from values.yaml: the golden
// file is deployment/charts/lanyard/README.md.
func TestTheREADMEHasEveryValue(t *testing.T) {
	var about chart.Metadata
	decode(t, string(source(t, "deployment/charts/lanyard/Chart.yaml")), &about)
	var values yaml.Node
	if err := yaml.Unmarshal(source(t, "deployment/charts/lanyard/values.yaml"), &values); err != nil {
		t.Fatal(err)
	}
	want := bytes.NewBufferString(strings.ReplaceAll(fmt.Sprintf(aboutTheChart, about.Description, strings.TrimSuffix(strings.TrimPrefix(about.KubeVersion, ">="), ".0-0")+" or later"), "~~~", "```"))
	rows(t, want, values.Content[0], "", false, map[string]bool{})
	path, err := checkout.Path("deployment", "charts", "lanyard", "README.md")
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("LANYARD_UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("deployment/charts/lanyard/README.md is not what values.yaml says; run make golden (%v)", err)
	}
}

// rows writes a line of the table for each value below a node. A value without a comment must lie below one that
// explains it, or be called as one of the provider's.
func rows(t *testing.T, out *bytes.Buffer, node *yaml.Node, prefix string, explained bool, above map[string]bool) {
	t.Helper()
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		name := prefix + key.Value
		comment := meaning(key)
		// What is a map of fields that the chart knows has a row for each.
		inside := value.Kind == yaml.MappingNode && value.Style&yaml.FlowStyle == 0 && name != "config.policy" && key.Value != "nodeSelector"
		if as := strings.TrimPrefix(strings.TrimPrefix(name, "sync."), "inject."); comment == "" && !inside && as != name && above[as] {
			comment = "as `" + as + "`, for these pods"
		}
		above[name] = true
		if comment == "" && !explained && !inside {
			t.Errorf("values.yaml does not say what %s is", name)
		}
		if inside {
			if comment != "" {
				fmt.Fprintf(out, "| `%s` | | %s |\n", name, comment)
			}
			rows(t, out, value, name+".", comment != "" || explained, above)
			continue
		}
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", name, defaultOf(t, value), comment)
	}
}

// meaning is a key's comment as one line of a table.
func meaning(key *yaml.Node) string {
	var words []string
	for line := range strings.Lines(key.HeadComment) {
		words = append(words, strings.TrimSpace(strings.TrimLeft(line, "#")))
	}
	// The first comment of the file is about all of it.
	text := strings.Join(words, " ")
	if _, rest, found := strings.Cut(text, "refuses what is not here. "); found {
		text = rest
	}
	return strings.ReplaceAll(strings.TrimSpace(text), "|", `\|`)
}

// defaultOf is a value as JSON.
func defaultOf(t *testing.T, node *yaml.Node) string {
	t.Helper()
	var value any
	if err := node.Decode(&value); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return "`" + strings.ReplaceAll(string(text), "|", `\|`) + "`"
}

// TestArtifactHubIsToldWhatTheChartHolds holds the annotations of Chart.yaml
// against the chart and the repository.
func TestArtifactHubIsToldWhatTheChartHolds(t *testing.T) {
	var about chart.Metadata
	decode(t, string(source(t, "deployment/charts/lanyard/Chart.yaml")), &about)
	var images []struct{ Name, Image string }
	decode(t, about.Annotations["artifacthub.io/images"], &images)
	if len(images) != 1 || images[0].Image != container(t, "").Image {
		t.Errorf("the images are %v, and the pods run %s", images, container(t, "").Image)
	}
	var links []struct{ Name, URL string }
	decode(t, about.Annotations["artifacthub.io/links"], &links)
	files := []string{about.Icon}
	for _, link := range links {
		files = append(files, link.URL)
	}
	for _, url := range files {
		_, path, found := strings.Cut(url, "/main/")
		path, _, _ = strings.Cut(path, "#")
		if !found || !strings.HasPrefix(url, "https://github.com/lanyardhq/lanyard/blob/") && url != about.Icon {
			t.Errorf("%s is no file of the repository", url)
			continue
		}
		source(t, path)
	}
	if got, want := about.Annotations["artifacthub.io/prerelease"], strings.HasPrefix(about.Version, "0."); got != strconv.FormatBool(want) {
		t.Errorf("version %s is told as a prerelease: %s", about.Version, got)
	}
}

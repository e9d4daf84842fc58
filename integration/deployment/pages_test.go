package deployment

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/cmd"
	"github.com/lanyardhq/lanyard/provider/config"
)

// TestThePagesExamplesWork renders the values of the pages, checks their
// classes as a node would with the values before them, and reads their pods.
func TestThePagesExamplesWork(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	count := map[string]int{}
	for _, page := range []string{"docs/install.md", "docs/quickstart.md", "docs/openshift.md"} {
		var with string // the configuration in the values before
		for _, block := range blocks.FindAllStringSubmatch(string(source(t, page)), -1) {
			var about struct{ Kind string }
			decode(t, block[1], &about)
			count[about.Kind]++
			switch about.Kind {
			case "":
				if strings.Contains(block[1], "secrets-store-csi-driver:") {
					if _, err := packaged(t, block[1]); err != nil {
						t.Errorf("%s: %v", page, err)
					}
					continue
				}
				with = configFile(t, block[1])
				if _, err := config.Load(with); err != nil {
					t.Errorf("%s: %v", page, err)
				}
			case "SecretProviderClass":
				checkClass(t, page, with, block[1])
			case "Pod":
				if err := yaml.UnmarshalStrict([]byte(block[1]), &core.Pod{}); err != nil {
					t.Errorf("%s: %v", page, err)
				}
			}
		}
	}
	if count[""] != 6 || count["SecretProviderClass"] != 2 || count["Pod"] != 1 {
		t.Errorf("the pages have these examples: %v", count)
	}
}

// checkClass runs the real check. What a page leaves to be sealed is no mistake
// but in the sealed value.
func checkClass(t *testing.T, page, configuration, class string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "class.yaml")
	if err := os.WriteFile(path, []byte(class), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"check", path}
	if !strings.Contains(class, "to be filled in") {
		args = append(args, "--config", configuration)
	}
	var out strings.Builder
	code := cmd.Execute(args, strings.NewReader(""), &out, io.Discard)
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, "class.yaml:") && !strings.Contains(line, "sealed: malformed sealed value") {
			t.Errorf("%s: check ends with %d: %s", page, code, line)
		}
	}
	if code > 1 {
		t.Errorf("%s: check ends with %d", page, code)
	}
}

// TestThePageListsTheExceptions holds docs/install.md against the checks that
// the pod does not pass.
func TestThePageListsTheExceptions(t *testing.T) {
	page := string(source(t, "docs/install.md"))
	for check := range exceptions {
		if !strings.Contains(page, "`"+string(check)+"`") {
			t.Errorf("docs/install.md does not name the check %s", check)
		}
	}
}

// TestThePagesNameValuesThatThereAre follows the first column of the tables.
func TestThePagesNameValuesThatThereAre(t *testing.T) {
	for page, fewest := range map[string]int{"docs/install.md": 15, "docs/sync.md": 15, "docs/inject.md": 15, "docs/impersonation.md": 6} {
		namesValues(t, page, string(source(t, page)), fewest)
	}
}

func namesValues(t *testing.T, name, page string, fewest int) {
	t.Helper()
	known := map[string]bool{}
	for _, name := range properties(schema(t), "") {
		known[name] = true
	}
	_, page, _ = strings.Cut(page, "| value | |")
	page, _, _ = strings.Cut(page, "\n\n")
	names := regexp.MustCompile("`([A-Za-z.]+)`")
	found := 0
	for line := range strings.Lines(page) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for _, value := range names.FindAllStringSubmatch(cells[1], -1) {
			found++
			if !known[value[1]] {
				t.Errorf("%s names the value %s, which the schema does not have", name, value[1])
			}
		}
	}
	if found < fewest {
		t.Errorf("%s names only %d values", name, found)
	}
}

// TestTheSCCOfThePageAdmitsTheProvider holds the SecurityContextConstraints of
// docs/openshift.md against the pod with the values that the page has.
func TestTheSCCOfThePageAdmitsTheProvider(t *testing.T) {
	page := string(source(t, "docs/openshift.md"))
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1)
	if len(blocks) != 2 {
		t.Fatalf("the page has %d examples", len(blocks))
	}
	var scc struct {
		Metadata                  struct{ Name string }
		ReadOnlyRootFilesystem    bool
		AllowHostDirVolumePlugin  bool
		RequiredDropCapabilities  []core.Capability
		SeccompProfiles           []string
		Volumes                   []string
		RunAsUser, SELinuxContext struct{ Type string }
	}
	decode(t, blocks[0][1], &scc)
	spec := pod(t, blocks[1][1]+"\nsecrets: [a]\nconfigMaps: [b]\nhostDirectories: [/srv]")
	own := spec.Containers[0].SecurityContext
	if *own.ReadOnlyRootFilesystem != scc.ReadOnlyRootFilesystem || !slices.Equal(own.Capabilities.Drop, scc.RequiredDropCapabilities) || *own.AllowPrivilegeEscalation {
		t.Errorf("the container is %v, and the SCC %v", own, scc)
	}
	if spec.SecurityContext.SELinuxOptions.Type != "spc_t" || scc.SELinuxContext.Type != "RunAsAny" || scc.RunAsUser.Type != "RunAsAny" || !scc.AllowHostDirVolumePlugin {
		t.Errorf("the pod is %v, and the SCC %v", spec.SecurityContext, scc)
	}
	if want := strings.ToLower(strings.Replace(string(spec.SecurityContext.SeccompProfile.Type), "RuntimeDefault", "runtime/default", 1)); !slices.Contains(scc.SeccompProfiles, want) {
		t.Errorf("the profile is %s", want)
	}
	// The API server adds the token's projected volume.
	kinds := map[string]bool{"projected": true}
	for _, volume := range spec.Volumes {
		switch {
		case volume.HostPath != nil:
			kinds["hostPath"] = true
		case volume.Secret != nil:
			kinds["secret"] = true
		case volume.ConfigMap != nil:
			kinds["configMap"] = true
		default:
			t.Errorf("the volume is %v", volume)
		}
	}
	if got := slices.Sorted(maps.Keys(kinds)); !slices.Equal(got, scc.Volumes) {
		t.Errorf("the pods have volumes of the kinds %v, and the SCC allows %v", got, scc.Volumes)
	}
	for _, name := range []string{"lanyard-sync", "lanyard-inject"} {
		if !strings.Contains(page, "--serviceaccount=lanyard:"+name) {
			t.Errorf("the page does not speak of %s", name)
		}
	}
}

// TestThePageOfAirGappedClustersListsTheImages holds docs/air-gapped.md against
// everything that the packaged chart runs.
func TestThePageOfAirGappedClustersListsTheImages(t *testing.T) {
	page := string(source(t, "docs/air-gapped.md"))
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+:v[^`]+)` \\|").FindAllStringSubmatch(page, -1) {
		listed = append(listed, row[1])
	}
	chart, err := withDriver()
	if err != nil {
		t.Fatal(err)
	}
	run := map[string]bool{container(t, "").Image: true}
	linux, _ := chart.Dependencies()[0].Values["linux"].(map[string]any)
	var images func(values map[string]any)
	images = func(values map[string]any) {
		for _, below := range values {
			if below, ok := below.(map[string]any); ok {
				if repository, found := below["repository"]; found {
					run[fmt.Sprintf("%v:%v", repository, below["tag"])] = true
				}
				images(below)
			}
		}
	}
	images(linux)
	slices.Sort(listed)
	if want := slices.Sorted(maps.Keys(run)); !slices.Equal(listed, want) {
		t.Errorf("the page lists\n%v, and what runs is\n%v", listed, want)
	}
	for _, image := range listed[1:] {
		if name, _ := strings.CutPrefix(image, "registry.k8s.io/"); strings.Count(page, name) != 3 {
			t.Errorf("the page's commands do not copy %s out and in", image)
		}
	}
	values := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(page)
	rendered, err := packaged(t, values[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range rendered.Objects {
		for _, image := range regexp.MustCompile(`image: *"?([^"\s]+)`).FindAllStringSubmatch(object.Content, -1) {
			if !strings.HasPrefix(image[1], "registry.example.com/") {
				t.Errorf("%s runs %s", object.Head.Metadata.Name, image[1])
			}
		}
	}
}

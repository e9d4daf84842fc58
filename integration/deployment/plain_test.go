package deployment

import (
	"os"
	"testing"

	"github.com/lanyardhq/lanyard/integration/checkout"
)

func TestPlainManifestsAreWhatTheChartRenders(t *testing.T) {
	want, err := Plain()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range want {
		if got := source(t, "deployment/manifests/"+name); string(got) != string(content) {
			t.Errorf("deployment/manifests/%s is not what the chart renders; run make manifests", name)
		}
	}
	dir, err := checkout.Path("deployment", "manifests")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if _, known := want[entry.Name()]; !known {
			t.Errorf("deployment/manifests/%s is made by nothing", entry.Name())
		}
	}
}

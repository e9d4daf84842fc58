package deployment

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"

	"github.com/lanyardhq/lanyard/cmd"
	"github.com/lanyardhq/lanyard/provider/config"
)

// TestTheChartTakesTheValuesOfMigratePlan renders the chart with the values that lanyard
// migrate plan makes of each installation in its test data. Those of a plan that is settled
// hold a configuration that the provider takes.
func TestTheChartTakesTheValuesOfMigratePlan(t *testing.T) {
	files, err := filepath.Glob("../../cmd/testdata/migrate/*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	settled := 0
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			var out, errors bytes.Buffer
			code := cmd.Execute([]string{"migrate", "plan", "--file", file, "--values-only"}, strings.NewReader(""), &out, &errors)
			if out.Len() == 0 {
				return // none of the providers is in it
			}
			rendered := render(t, out.String())
			object[apps.DaemonSet](t, rendered, "DaemonSet")
			if code != 0 {
				return
			}
			settled++
			if _, err := config.Load(configFile(t, out.String())); err != nil {
				t.Error(err)
			}
		})
	}
	if settled < 15 {
		t.Errorf("only %d plans are settled", settled)
	}
}

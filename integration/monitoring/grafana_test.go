package monitoring

import (
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	schema "github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// The dashboards hold to Grafana's own schema: there is no field that it does not know, and
// no value that it does not take, also in what belongs to the panels' kinds and to
// Prometheus' queries.
func TestDashboardsHoldToTheSchemaOfGrafana(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	files, err := Dashboards()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("there are no dashboards")
	}
	for name, content := range files {
		if err := fitsGrafana(content); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		// The schema is asked, and answers.
		for what, wrong := range map[string][2]string{
			"an unknown field of a query":   {`"expr":`, `"expression": "up", "expr":`},
			"an unknown field of a panel":   {`"gridPos":`, `"gridPosition": {}, "gridPos":`},
			"an unknown field of an option": {`"showLegend":`, `"showsLegend": true, "showLegend":`},
			"a number as a title":           {`"title": "`, `"title": 7, "description": "`},
		} {
			changed := strings.Replace(string(content), wrong[0], wrong[1], 1)
			if changed == string(content) || fitsGrafana([]byte(changed)) == nil {
				t.Errorf("%s: %s passes", name, what)
			}
		}
	}
}

// fitsGrafana is what is wrong with a dashboard by Grafana's schema.
func fitsGrafana(content []byte) error {
	var d schema.Dashboard //nolint:staticcheck // the form that every Grafana reads; the next one is for the newest alone
	// What it returns for a dashboard without mistakes is an empty list of them, and not nil.
	if err := d.UnmarshalJSONStrict(content); err != nil && err.Error() != "" {
		return err
	}
	return d.Validate()
}

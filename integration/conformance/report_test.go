package conformance

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func exampleReport() *Report {
	points := Points()
	r := newReport("TestConformance/a store", Provider{Name: "mine"})
	passed, failed := resultOf(points[0]), resultOf(points[1])
	passed.Result, failed.Result, failed.Detail = Passed, Failed, "it is <wrong>"
	r.add(passed)
	r.add(failed)
	r.add(notApplicable(points[2], "there is none"))
	r.finish("v1.2.3")
	return r
}

func TestReportIsWrittenWhereTheEnvironmentSays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "reports")
	t.Setenv(reportEnv, dir)
	if err := exampleReport().write(""); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "TestConformance-a-store.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got Report
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Passed != 1 || got.Failed != 1 || got.NotApplicable != 1 || got.Provider != "mine" || got.Version != "v1.2.3" || got.Driver != Driver || len(got.Results) != 3 {
		t.Errorf("the report is %s", text)
	}
	if got.Results[1].Detail != "it is <wrong>" || got.Results[2].Result != NotApplicable || got.Results[0].Source == "" {
		t.Errorf("the results are %v", got.Results)
	}

	text, err = os.ReadFile(filepath.Join(dir, "TestConformance-a-store.junit.xml"))
	if err != nil {
		t.Fatal(err)
	}
	var suite junit
	if err := xml.Unmarshal(text, &suite); err != nil {
		t.Fatal(err)
	}
	if suite.Tests != 3 || suite.Failures != 1 || suite.Skipped != 1 || suite.Cases[1].Failure.Text != "it is <wrong>" || suite.Cases[2].Skipped.Message != "there is none" {
		t.Errorf("the report is %s", text)
	}
}

func TestNoReportIsWrittenUnlessAskedFor(t *testing.T) {
	t.Setenv(reportEnv, "")
	t.Chdir(t.TempDir())
	if err := exampleReport().write(""); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("%v was written (%v)", left, err)
	}
}

func TestSummaryTellsWhatDoesNotApply(t *testing.T) {
	got := exampleReport().summary()
	for _, part := range []string{"1 passed, 1 failed, 1 not applicable", "V-03 not applicable: there is none"} {
		if !strings.Contains(got, part) {
			t.Errorf("%q does not say %q", got, part)
		}
	}
}

func TestShowsFindsASecretInTheEncodingsOfTexts(t *testing.T) {
	const secret = "pl/nted +secret"
	for _, text := range []string{
		"a " + secret + " b", "?q=pl%2Fnted+%2Bsecret", "706c2f6e746564202b736563726574",
		"eyJhIjoicGwvbnRlZCArc2VjcmV0In0", // {"a":"…"}
	} {
		if !shows(text, secret) {
			t.Errorf("not found in %s", text)
		}
	}
	if shows("nothing", secret) || shows("anything", "") {
		t.Error("found where it is not")
	}
}

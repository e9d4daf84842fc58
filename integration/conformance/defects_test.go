package conformance

import (
	"context"
	"flag"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// The driver tries some calls again for half a minute, while others go on.
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func TestProviderThatKeepsEveryPromisePassesEveryPoint(t *testing.T) {
	t.Parallel()
	Run(t, newFake(t, "").provider())
}

// defects are planted faults, by the points that must tell of each, and no
// other may.
var defects = map[string][]string{
	"no name":                        {"V-01"},
	"version that is none":           {"V-02"},
	"no time for Version":            {"V-03"},
	"world-writable socket":          {"S-02"},
	"leaves a dead socket":           {"S-03"},
	"blanks trimmed":                 {"M-01"},
	"text alone":                     {"M-02"},
	"no versions":                    {"A-05", "M-03", "R-02"},
	"ids that are not unique":        {"M-04"},
	"removed objects stay":           {"M-05"},
	"only what changed":              {"M-06", "R-03", "R-04"},
	"permission ignored":             {"M-07"},
	"modes ignored":                  {"M-08"},
	"writes files itself":            {"A-01"},
	"wants secrets":                  {"A-02"},
	"known keys alone":               {"A-03"},
	"tokens in attributes alone":     {"A-04"},
	"no sync controller":             {"A-05"},
	"absolute path":                  {"P-01"},
	"path twice":                     {"P-01"},
	"any path":                       {"P-02"},
	"paths in ASCII":                 {"P-03"},
	"directories flattened":          {"P-04"},
	"at most 100 objects":            {"L-01"},
	"padded answers":                 {"L-02"},
	"no bound on answers":            {"L-03"},
	"too large is ResourceExhausted": {"L-03"},
	"missing is empty":               {"E-01", "R-04"},
	"error.code":                     {"E-02"},
	"error without the object":       {"E-03"},
	"missing is Unavailable":         {"E-04"},
	"value in the error":             {"E-05"},
	"token in the error":             {"E-05"},
	"a failure is remembered":        {"E-06"},
	"stumbles over garbage":          {"G-01", "G-02", "G-03", "G-04"},
	"garbage is an empty class":      {"G-01", "G-04"},
	"any permission":                 {"G-02"},
	"no rotation":                    {"R-01", "R-02"},
	"one version for ever":           {"R-02"},
	"a version for each mount":       {"R-03"},
	"hash as version":                {"R-05"},
	"no cache":                       {"R-06"},
	"cache without identity":         {"I-01", "I-02"},
	"refusals are remembered":        {"I-03"},
	"a broken mount breaks the next": {"C-01", "C-02"},
	"reads belong to the first":      {"C-03"},
	"an outage is Unavailable":       {"O-01"},
	"an outage is empty":             {"O-01", "O-02"},
	"outage without end":             {"O-03"},
	"not ready after the start":      {"K-01", "K-02"},
}

func TestEachDefectIsToldByItsPointsAndNoOthers(t *testing.T) {
	for defect, want := range defects {
		t.Run(defect, func(t *testing.T) {
			t.Parallel()
			report, err := Check(t.Context(), newFake(t, defect).provider())
			if err != nil {
				t.Fatal(err)
			}
			got := report.Fails()
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("the points that fail are %v, want %v", got, want)
				for _, result := range report.Results {
					if result.Result == Failed {
						t.Logf("%s: %s", result.Point, result.Detail)
					}
				}
			}
		})
	}
}

// A point that no defect can fail tells nothing.
func TestEachPointIsFailedBySomeDefect(t *testing.T) {
	// The name is what the socket is found by: without a right one nothing
	// else can be asked. G-05's defect would end this process.
	apart := []string{"S-01", "G-05"}
	for _, point := range Points() {
		told := slices.Contains(apart, point.ID)
		for _, ids := range defects {
			told = told || slices.Contains(ids, point.ID)
		}
		if !told {
			t.Errorf("no defect fails %s", point.ID)
		}
	}
}

func TestNameThatTheDriverRefusesFailsS01(t *testing.T) {
	f := newFake(t, "")
	p := f.provider()
	p.Name = "fake.v2"
	s, err := newSession(p)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for _, point := range Points() {
		if point.ID != "S-01" {
			continue
		}
		result := s.check(t.Context(), point)
		if result.Result != Failed || !strings.Contains(result.Detail, `"fake.v2"`) {
			t.Errorf("%s: %s", result.Result, result.Detail)
		}
	}
}

func TestWhatAProviderLacksIsToldWithTheReason(t *testing.T) {
	p := newFake(t, "modes ignored").provider()
	p.Accounts = p.Accounts[:1]
	p.Lacks = map[string]string{"M-08": "classes have no modes"}
	p.Kill, p.Start, p.Fail, p.Recover = nil, nil, nil, nil
	report, err := Check(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if fails := report.Fails(); len(fails) > 0 {
		t.Errorf("%v fail", fails)
	}
	got := map[string]string{}
	for _, result := range report.Results {
		if result.Result == NotApplicable {
			got[result.Point] = result.Detail
		}
	}
	for id, reason := range map[string]string{
		"M-08": "classes have no modes", "I-02": "only one service account is given",
		"K-01": "the process cannot be killed and started here", "O-01": "the store cannot be made unreachable here",
	} {
		if got[id] != reason {
			t.Errorf("%s: %q, want %q", id, got[id], reason)
		}
	}
}

func TestDescriptionThatCannotBeUsedIsRefused(t *testing.T) {
	_, err := Check(context.Background(), Provider{
		Kill: func(context.Context) error { return nil }, Fail: func(context.Context) error { return nil },
		Lacks: map[string]string{"E-05": "never mind", "X-99": "what"}, LargestVolume: 5 << 20, LargestValue: 1,
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{"Name and SocketDir", "Accounts", "Put, Delete and Class", "Kill and Start", "Fail and Recover", "point E-05 is not optional", "no point X-99", "LargestVolume", "LargestValue"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

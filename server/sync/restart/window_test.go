package restart

import (
	"strings"
	"testing"
	"time"
)

func TestAWindowIsOpenByTheClockOnTheWall(t *testing.T) {
	for _, test := range []struct {
		window string
		open   []string
		closed []string
	}{
		{"02:00-04:00", []string{"2026-11-28T02:00:00Z", "2026-11-28T03:59:59Z"}, []string{"2026-11-28T01:59:59Z", "2026-11-28T04:00:00Z"}},
		{"00:00-24:00", []string{"2026-11-28T00:00:00Z", "2026-11-28T23:59:59Z"}, nil},
		{"Mon-Fri 02:00-04:00", []string{"2026-11-27T02:30:00Z"}, []string{"2026-11-28T02:30:00Z", "2026-11-29T02:30:00Z"}},
		{"Sat,Sun 02:00-04:00", []string{"2026-11-28T02:30:00Z", "2026-11-29T02:30:00Z"}, []string{"2026-11-27T02:30:00Z"}},
		{"Fri-Mon 02:00-04:00", []string{"2026-11-27T02:30:00Z", "2026-11-30T02:30:00Z"}, []string{"2026-12-01T02:30:00Z"}},
		// The night belongs to the day on which it begins.
		{"Fri 22:00-04:00", []string{"2026-11-27T22:00:00Z", "2026-11-28T03:59:00Z"}, []string{"2026-11-27T03:00:00Z", "2026-11-28T22:30:00Z", "2026-11-28T04:00:00Z"}},
		{"Sat 23:00-01:00", []string{"2026-11-29T00:30:00Z"}, []string{"2026-11-28T00:30:00Z"}},
		{"02:00-03:00; 14:00-15:00", []string{"2026-11-28T02:00:00Z", "2026-11-28T14:59:00Z"}, []string{"2026-11-28T03:00:00Z"}},
		// Berlin is one hour ahead of UTC in winter, two in summer.
		{"Mon-Fri 02:00-04:00 Europe/Berlin", []string{"2026-01-15T01:00:00Z", "2026-07-15T00:00:00Z"}, []string{"2026-01-15T00:30:00Z", "2026-07-15T02:00:00Z"}},
		// On 29 March 2026 clocks in Berlin go from 02:00 to 03:00, at 01:00 UTC.
		{"02:00-04:00 Europe/Berlin", []string{"2026-03-29T01:00:00Z", "2026-03-29T01:59:59Z"}, []string{"2026-03-29T00:59:59Z", "2026-03-29T02:00:00Z"}},
		{"02:00-03:00 Europe/Berlin", []string{"2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z"}, []string{"2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"}},
		// On 25 October 2026 they go from 03:00 to 02:00, at 01:00 UTC.
		{"02:00-03:00 Europe/Berlin", []string{"2026-10-25T00:00:00Z", "2026-10-25T00:59:59Z", "2026-10-25T01:00:00Z", "2026-10-25T01:59:59Z"}, []string{"2026-10-24T23:59:59Z", "2026-10-25T02:00:00Z"}},
		{"22:00-04:00 Europe/Berlin", []string{"2026-10-24T20:00:00Z", "2026-10-25T02:59:00Z"}, []string{"2026-10-25T03:00:00Z"}},
		{"09:00-17:00 Asia/Kathmandu", []string{"2026-11-28T03:15:00Z"}, []string{"2026-11-28T03:14:00Z"}},
	} {
		w, err := parseWindow(test.window)
		if err != nil {
			t.Errorf("%s: %v", test.window, err)
			continue
		}
		for want, times := range map[bool][]string{true: test.open, false: test.closed} {
			for _, text := range times {
				at, err := time.Parse(time.RFC3339, text)
				if err != nil {
					t.Fatal(err)
				}
				if w.open(at) != want {
					t.Errorf("%s is open at %s: %t", test.window, text, !want)
				}
			}
		}
	}
	if !(window{}).open(time.Time{}) {
		t.Error("no window is not always open")
	}
}

func TestAWindowIsRefusedWithTheReason(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "want \"[DAYS ]",
		"Mon-Fri":                   "want \"[DAYS ]",
		"2:00-4:00":                 "are no days",
		"02:00 - 04:00":             "are no days",
		"02:00-04:60":               "are no days",
		"24:00-04:00":               "are no days",
		"02:00-24:30":               "no day is longer",
		"02:00-02:00":               "same time",
		"mon 02:00-04:00":           "are no days",
		"Monday 02:00-04:00":        "are no days",
		"Mon,,Tue 02:00-04:00":      "are no days",
		"Mon- 02:00-04:00":          "are no days",
		"Mon 02:00-04:00 Berlin":    "no time zone",
		"02:00-04:00 Local":         "no time zone",
		"02:00-04:00 ../etc/passwd": "no time zone",
		"02:00-04:00 UTC daily":     "want \"[DAYS ]",
		"02:00-04:00;":              "want \"[DAYS ]",
		"Mon Tue 02:00-04:00":       "are no times",
		strings.Repeat("x", 1025):   "longer than 1024",
	} {
		if _, err := parseWindow(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", text, err, want)
		}
	}
}

package engine

import "testing"

// A class's own server answers with whatever status it likes.
func TestStatusesAreCountedByClass(t *testing.T) {
	classes := map[string]bool{}
	for status := -1; status < 1000; status++ {
		classes[statusClass(status)] = true
	}
	if len(classes) != 6 {
		t.Errorf("%d labels: %v", len(classes), classes)
	}
	for status, want := range map[int]string{0: "none", 200: "2xx", 204: "2xx", 302: "3xx", 429: "4xx", 503: "5xx", 600: "other", 199: "other", 999: "other"} {
		if got := statusClass(status); got != want {
			t.Errorf("%d is %s, want %s", status, got, want)
		}
	}
}

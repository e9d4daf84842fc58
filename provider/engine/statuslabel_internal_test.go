package engine

import "testing"

// A server that a class chose must not make a series for each number it thinks of.
func TestStatusesOfCallsAreFew(t *testing.T) {
	seen := map[string]bool{}
	for status := -10; status < 10000; status++ {
		seen[statusLabel(status)] = true
	}
	if len(seen) > 75 {
		t.Errorf("there are %d labels", len(seen))
	}
	for status, want := range map[int]string{0: "0", 200: "200", 404: "404", 429: "429", 472: "472", 473: "473", 503: "503", 499: "4xx", 299: "2xx", 599: "5xx", 600: "other", 999: "other", -1: "other"} {
		if got := statusLabel(status); got != want {
			t.Errorf("%d is %s, want %s", status, got, want)
		}
	}
}

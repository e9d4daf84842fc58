package mount

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// page is what the provider's admin listener answers.
func (n *node) page(t *testing.T, path string) string {
	t.Helper()
	resp, err := http.Get(n.provider.Admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// metric is the sum of the samples whose name, with its labels, begins with
// the prefix.
func (n *node) metric(t *testing.T, prefix string) float64 {
	t.Helper()
	sum := 0.0
	for line := range strings.Lines(n.page(t, "/metrics")) {
		if !strings.HasPrefix(line, prefix) {
			continue
		}
		_, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		sample, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += sample
	}
	return sum
}

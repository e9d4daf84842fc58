package backendtest

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// atOnce is how many tests that are parallel run at once: they mostly wait.
const atOnce = "32"

// Main runs a package's tests, many at once, and fails if they leave goroutines behind.
func Main(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

package cmd

import (
	"os"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/internal/reload"
)

// Programs that follow a file look at it often, so that no test waits for the
// next look. The memory that a command allows itself is for its own process, and
// not for that of all tests, which would collect garbage half of the time.
func TestMain(m *testing.M) {
	_ = os.Setenv("GOMEMLIMIT", "off")
	_ = os.Setenv("GOGC", "100")
	reload.Interval = 20 * time.Millisecond
	doctorDirectories = nil // there may be a node on the machine
	m.Run()
}

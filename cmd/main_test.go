package cmd

import (
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/internal/reload"
)

// Programs that follow a file look at it often, so that no test waits for the
// next look.
func TestMain(m *testing.M) {
	reload.Interval = 20 * time.Millisecond
	doctorDirectories = nil // there may be a node on the machine
	m.Run()
}

//go:build !linux

package engine

import "time"

var start = time.Now()

// processorTime is the time that has passed, which is no less: no door runs on these
// systems, only the command line.
func processorTime() time.Duration { return time.Since(start) }

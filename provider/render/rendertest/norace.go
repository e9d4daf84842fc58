//go:build !race

package rendertest

// Race says that the race detector is on.
const Race = false

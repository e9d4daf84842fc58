//go:build race

package rendertest

// Race says that the race detector is on, which makes a sync.Pool forget at random: each
// match of a regular expression then allocates anew.
const Race = true

package lanyardserver

import (
	"bytes"
	"sync"
)

// Output is everything that a process printed, over all of its starts.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write adds what was printed.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// String is all of it.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

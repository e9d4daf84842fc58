package render

import "fmt"

// Budget is what one call may still cost. A step is about a hundred
// nanoseconds of work; bytes are of memory that the call makes. It belongs to
// one call, and so to one goroutine.
type Budget struct {
	Steps int
	Bytes int
	Hooks

	unpaused int // steps since the last pause
	reserved int // bytes that Reserve gave and nobody has taken
}

// Hooks let long work give way, and its memory count for whom it is done. Each may be nil.
// An error of theirs ends the work.
type Hooks struct {
	// Reserve is called with the bytes of memory that are made next, beside those of
	// the calls before.
	Reserve func(bytes int64) error
	// Pause is called once in a while, and may wait.
	Pause func() error
}

const (
	// pauseSteps is how much work is done between two pauses: some milliseconds.
	pauseSteps = 20_000
	// reserveBytes is how much is reserved at a time, since most calls need little.
	reserveBytes = 16 << 10
)

// BytesPerStep is how much text one step pays to look at.
const BytesPerStep = 512

// Work takes steps, and fails once they are used up.
func (b *Budget) Work(steps int) error {
	if steps > b.Steps {
		b.Steps = 0
		return fmt.Errorf("%w: it takes too many steps on these values", ErrTooLarge)
	}
	b.Steps -= steps
	if b.unpaused += steps; b.Pause != nil && b.unpaused >= pauseSteps {
		b.unpaused = 0
		return b.Pause()
	}
	return nil
}

// Read takes the steps for looking at n bytes of text.
func (b *Budget) Read(n int) error { return b.Work(1 + n/BytesPerStep) }

// Grow takes n bytes of memory, and fails once they are used up. It is called
// before the memory is made.
func (b *Budget) Grow(n int) error {
	if n > b.Bytes {
		b.Bytes = 0
		return fmt.Errorf("%w: it makes too much text or too many lists on these values", ErrTooLarge)
	}
	b.Bytes -= n
	if b.reserved -= n; b.Reserve != nil && b.reserved < 0 {
		more := max(-b.reserved, reserveBytes)
		b.reserved += more
		return b.Reserve(int64(more))
	}
	return nil
}

package render

import "fmt"

// Budget is what one call may still cost. A step is about a hundred
// nanoseconds of work; bytes are of memory that the call makes. It belongs to
// one call, and so to one goroutine.
type Budget struct {
	Steps int
	Bytes int
}

// BytesPerStep is how much text one step pays to look at.
const BytesPerStep = 512

// Work takes steps, and fails once they are used up.
func (b *Budget) Work(steps int) error {
	if steps > b.Steps {
		b.Steps = 0
		return fmt.Errorf("%w: it takes too many steps on these values", ErrTooLarge)
	}
	b.Steps -= steps
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
	return nil
}

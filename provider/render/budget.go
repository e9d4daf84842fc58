package render

import "fmt"

// budget is what one call may still cost. A step is about a hundred
// nanoseconds of work; bytes are of memory that the call makes. It belongs to
// one call, and so to one goroutine.
type budget struct {
	steps int
	bytes int
}

// The cost of looking at text: this many bytes are one step.
const bytesPerStep = 512

// work takes steps, and fails once they are used up.
func (b *budget) work(steps int) error {
	if steps > b.steps {
		b.steps = 0
		return fmt.Errorf("%w: it takes too many steps on these values", ErrTooLarge)
	}
	b.steps -= steps
	return nil
}

// read takes the steps for looking at n bytes of text.
func (b *budget) read(n int) error { return b.work(1 + n/bytesPerStep) }

// grow takes n bytes of memory, and fails once they are used up. It is called
// before the memory is made.
func (b *budget) grow(n int) error {
	if n > b.bytes {
		b.bytes = 0
		return fmt.Errorf("%w: it makes too much text or too many lists on these values", ErrTooLarge)
	}
	b.bytes -= n
	return nil
}

package engine

import (
	"context"
	"time"
)

// MeasureWaiting has work measured in the time that passes, which a test can fake.
func (e *Engine) MeasureWaiting() {
	began := time.Now()
	e.shares.clock = func() time.Duration { return time.Since(began) }
}

// Work works for a namespace until ctx ends, as classes that cost much do, in steps of a
// time that is bounded by what one object may cost.
func (e *Engine) Work(ctx context.Context, namespace string, step time.Duration) {
	w, err := e.shares.begin(ctx, namespace)
	for err == nil && ctx.Err() == nil {
		time.Sleep(step)
		_, err = w.pause(ctx)
	}
	w.end()
}

// HoldMemory takes for a namespace all the memory that it can have.
func (e *Engine) HoldMemory(namespace string) {
	for step := int64(4 << 20); step >= 64<<10; {
		if _, ok := e.shares.memory.pool.TryAcquire(namespace, step); !ok {
			step /= 2
		}
	}
}

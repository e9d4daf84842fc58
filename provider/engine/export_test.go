package engine

import (
	"context"
	"time"
)

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

package engine

import (
	"context"
	"runtime"
	"time"

	"github.com/lanyardhq/lanyard/provider/share"
)

// sliceTime is how much processor time work takes at a stretch while others wait for a
// turn.
const sliceTime = 20 * time.Millisecond

// work is the making of one plan or one volume, which costs processor time and memory.
// It is done in slices, between which it gives way to other namespaces. What it costs is
// measured in processor time, so that a class is not refused because its node is busy.
// Begin, pause and end are called by one goroutine.
type work struct {
	turn  *share.Held
	clock func() time.Duration
	began time.Duration // the thread's processor time at the beginning
	slice time.Duration // the same, of the slice
}

// begin waits for a turn to work for a namespace.
func (s *shares) begin(ctx context.Context, namespace string) (*work, error) {
	turn, err := s.work.Acquire(ctx, namespace, 1)
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread() // whose processor time is measured
	now := s.clock()
	return &work{turn: turn, clock: s.clock, began: now, slice: now}, nil
}

// pause gives way if the slice is over. It returns the processor time spent so far.
// After an error, which is ctx's, the turn is lost. A nil work, which has no turn, does
// not pause.
func (w *work) pause(ctx context.Context) (time.Duration, error) {
	if w == nil {
		return 0, nil
	}
	now := w.clock()
	spent := now - w.began
	if now-w.slice < sliceTime {
		return spent, nil
	}
	err := w.turn.Yield(ctx)
	w.slice = w.clock()
	return spent, err
}

// end gives the turn back.
func (w *work) end() {
	if w != nil {
		w.turn.Release()
		runtime.UnlockOSThread()
	}
}

package engine

import (
	"context"
	"time"

	"github.com/lanyardhq/lanyard/provider/share"
)

// sliceTime is how long work goes on while others wait for a processor.
const sliceTime = 20 * time.Millisecond

// work is the making of one plan or one volume, which costs processor time and memory.
// It is done in slices, between which it gives way to other namespaces.
type work struct {
	turn  *share.Held
	began time.Time     // of the slice
	spent time.Duration // in slices before
}

// begin waits for a turn to work for a namespace.
func (s *shares) begin(ctx context.Context, namespace string) (*work, error) {
	turn, err := s.work.Acquire(ctx, namespace, 1)
	if err != nil {
		return nil, err
	}
	return &work{turn: turn, began: time.Now()}, nil
}

// pause gives way if the slice is over. It returns the time worked so far, without that
// of waiting. After an error, which is ctx's, the turn is lost. A nil work, which has no
// turn, does not pause.
func (w *work) pause(ctx context.Context) (time.Duration, error) {
	if w == nil {
		return 0, nil
	}
	worked := time.Since(w.began)
	if worked < sliceTime {
		return w.spent + worked, nil
	}
	w.spent += worked
	err := w.turn.Yield(ctx)
	w.began = time.Now()
	return w.spent, err
}

// end gives the turn back.
func (w *work) end() {
	if w != nil {
		w.turn.Release()
	}
}

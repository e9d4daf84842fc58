package conformance

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"
)

func callPoints() []Point {
	return []Point{
		{
			ID: "C-01", Promise: "a cancelled mount does not disturb the next one of the same object",
			Source: nodePublish, Why: "the kubelet gives up and comes again, and so does every driver that is restarted",
			check: func(ctx context.Context, s *session) error {
				return s.afterBroken(ctx, func(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
					ctx, cancel := context.WithCancel(ctx)
					timer := time.AfterFunc(after, cancel)
					return ctx, func() { timer.Stop(); cancel() }
				})
			},
		},
		{
			ID: "C-02", Promise: "a mount whose deadline passed does not disturb the next one of the same object",
			Source: nodePublish, Why: "the kubelet's deadline is two minutes; what was learned of a slow store until then must not be an error for the next mount",
			check: func(ctx context.Context, s *session) error { return s.afterBroken(ctx, context.WithTimeout) },
		},
		{
			ID: "C-03", Promise: "of several mounts of one object in flight, one that is cancelled does not fail the others",
			Source: nodePublish, Why: "a read that mounts share must not belong to the one that began it",
			check: othersInFlight,
		},
	}
}

// longestBreak is after how long a call is broken off at the latest. It has
// reached the provider by then on the slowest machine.
const longestBreak = 500 * time.Millisecond

// afterBroken breaks off first reads after different times, and mounts the same
// objects again.
func (s *session) afterBroken(ctx context.Context, breakOff func(context.Context, time.Duration) (context.Context, context.CancelFunc)) error {
	owner := s.Accounts[0]
	var w wrongs
	for i, after := range []time.Duration{0, 100 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, longestBreak} {
		object, value, err := s.putNew(ctx, owner, "broken-"+strconv.Itoa(i))
		if err != nil {
			return err
		}
		pod := s.newPod(owner)
		c, err := s.newCall(ctx, pod, owner, object)
		if err != nil {
			return err
		}
		broken, cancel := breakOff(ctx, after)
		_ = s.mount(broken, c.message()) // whether it succeeds is a matter of time
		cancel()
		// At once, when the provider may still be at work for the broken one, and
		// when it has ended that.
		for _, later := range []time.Duration{0, 20 * time.Millisecond} {
			if err := pause(ctx, later); err != nil {
				return err
			}
			if err := s.mount(ctx, c.message()).holds(map[string][]byte{object.Path: value}); err != nil {
				w.add("after a mount was broken off after %s: %w", after, err)
			}
		}
	}
	return w.err()
}

func othersInFlight(ctx context.Context, s *session) error {
	const others = 6
	owner := s.Accounts[0]
	var w wrongs
	for i, after := range []time.Duration{time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, longestBreak} {
		object, value, err := s.putNew(ctx, owner, "shared-"+strconv.Itoa(i))
		if err != nil {
			return err
		}
		c, err := s.newCall(ctx, s.newPod(owner), owner, object)
		if err != nil {
			return err
		}
		var mounts sync.WaitGroup
		failed := make([]error, others)
		mounts.Go(func() {
			broken, cancel := context.WithTimeout(ctx, after)
			defer cancel()
			_ = s.mount(broken, c.message())
		})
		// It is to be the one that begins the read.
		if err := pause(ctx, after/2); err != nil {
			return err
		}
		for j := range others {
			mounts.Go(func() {
				a, err := s.mountNew(ctx, owner, object)
				failed[j] = expect(a, err, map[string][]byte{object.Path: value})
			})
		}
		mounts.Wait()
		for _, err := range failed {
			if err != nil {
				w.addErr(fmt.Errorf("beside a mount that was broken off after %s: %w", after, err))
			}
		}
	}
	return w.err()
}

package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// latencies are how long each of n mounts took, one after another, in ms.
func (s *server) latencies(ctx context.Context, request *v1alpha1.MountRequest, files, n int) ([]float64, error) {
	took := make([]float64, n)
	for i := range took {
		start := time.Now()
		if _, err := s.mount(ctx, request, files); err != nil {
			return nil, err
		}
		took[i] = ms(time.Since(start))
	}
	return took, nil
}

// pollInFlight is how many mounts of one poll are in flight.
const pollInFlight = 50

// poll mounts each request once and returns how long all of it took.
func (s *server) poll(ctx context.Context, requests []*v1alpha1.MountRequest, files int) (time.Duration, error) {
	start := time.Now()
	_, err := s.load(ctx, requests, files, pollInFlight, func(n int64) bool { return n <= int64(len(requests)) })
	return time.Since(start), err
}

// rate mounts the requests again and again, so many in flight, and returns how
// many it did in a second.
func (s *server) rate(ctx context.Context, requests []*v1alpha1.MountRequest, files, inFlight int, length time.Duration) (float64, error) {
	start := time.Now()
	n, err := s.load(ctx, requests, files, inFlight, func(int64) bool { return time.Since(start) < length })
	return float64(n) / time.Since(start).Seconds(), err
}

// load mounts until more is false for the mount that would be next, counted
// from one, and returns how many it did.
func (s *server) load(ctx context.Context, requests []*v1alpha1.MountRequest, files, inFlight int, more func(int64) bool) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, done atomic.Int64
	var workers sync.WaitGroup
	for range inFlight {
		workers.Go(func() {
			for ctx.Err() == nil {
				n := next.Add(1)
				if !more(n) {
					return
				}
				if _, err := s.mount(ctx, requests[int(n-1)%len(requests)], files); err != nil {
					cancel(err)
					return
				}
				done.Add(1)
			}
		})
	}
	workers.Wait()
	return done.Load(), context.Cause(ctx)
}

// alternate runs both n times, each first every other time, so that whatever
// else happens on the machine happens to both.
func alternate(n int, a, b func() error) error {
	for i := range n {
		first, second := a, b
		if i%2 == 1 {
			first, second = b, a
		}
		if err := first(); err != nil {
			return err
		}
		if err := second(); err != nil {
			return err
		}
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

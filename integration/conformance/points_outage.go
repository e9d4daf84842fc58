package conformance

import (
	"context"
	"errors"
	"fmt"
)

func outagePoints() []Point {
	needs := []func(*Provider) string{outage}
	return []Point{
		{
			ID: "O-01", Promise: "while the store is unreachable, what was never read fails before the kubelet gives up, with a code that the kubelet takes as final",
			Source: nodePublish, Why: whyFinal,
			needs: needs, Optional: true,
			check: func(ctx context.Context, s *session) error {
				object, _, err := s.putNew(ctx, s.Accounts[0], "unread")
				if err != nil {
					return err
				}
				return s.during(ctx, func() error {
					a, err := s.mountNew(ctx, s.Accounts[0], object)
					if err != nil {
						return err
					}
					f, err := a.refused("a class whose store is unreachable")
					if err == nil && f.open() {
						err = fmt.Errorf("the code is %s: %q", f.code, f.text)
					}
					return err
				})
			},
		},
		{
			ID: "O-02", Promise: "while the store is unreachable, a mounted pod is answered with what it has or with an error",
			Source: nodePublish, Why: "on an error the driver leaves the volume as it is; any other answer replaces what works",
			needs: needs,
			check: func(ctx context.Context, s *session) error {
				owner := s.Accounts[0]
				pod := s.newPod(owner)
				object, value, err := s.putNew(ctx, owner, "kept")
				if err != nil {
					return err
				}
				want := map[string][]byte{object.Path: value}
				a, err := s.mountPod(ctx, pod, owner, object)
				if err := expect(a, err, want); err != nil {
					return err
				}
				return s.during(ctx, func() error {
					if err := s.clock.pause(ctx, min(s.Refresh*3/2, s.RotatesWithin)); err != nil {
						return err
					}
					a, err := s.mountPod(ctx, pod, owner, object)
					if _, failed := a.failure(); err != nil || failed {
						return err
					}
					return a.holds(want)
				})
			},
		},
		{
			ID: "O-03", Promise: "when the store is back, the same pod mounts without any restart",
			Source: nodePublish, Why: "the kubelet tries again until it succeeds",
			needs: needs,
			check: func(ctx context.Context, s *session) error {
				owner := s.Accounts[0]
				pod := s.newPod(owner)
				object, value, err := s.putNew(ctx, owner, "back")
				if err != nil {
					return err
				}
				err = s.during(ctx, func() error {
					_, err := s.mountPod(ctx, pod, owner, object)
					return err
				})
				if err != nil {
					return err
				}
				var last error
				err = s.eventually(ctx, "the value", func() (bool, error) {
					a, err := s.mountPod(ctx, pod, owner, object)
					if err != nil {
						return false, err
					}
					last = a.holds(map[string][]byte{object.Path: value})
					return last == nil, nil
				})
				if err != nil {
					return errors.Join(err, last)
				}
				return nil
			},
		},
	}
}

// during does something while the store is unreachable.
func (s *session) during(ctx context.Context, do func() error) error {
	if err := s.Fail(ctx); err != nil {
		return fmt.Errorf("the store could not be made unreachable: %w", err)
	}
	err := do()
	if recovered := s.Recover(ctx); recovered != nil {
		return errors.Join(err, fmt.Errorf("the store could not be made reachable again: %w", recovered))
	}
	return err
}

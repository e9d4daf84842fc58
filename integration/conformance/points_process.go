package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

func processPoints() []Point {
	needs := []func(*Provider) string{process}
	return []Point{
		{
			ID: "K-01", Promise: "after the provider was killed and started, the driver's connection works again",
			Source: clientGet, Why: "the driver keeps its client for as long as it runs and never looks for another socket",
			needs: needs,
			check: func(ctx context.Context, s *session) error { return s.acrossRestart(ctx, false) },
		},
		{
			ID: "K-02", Promise: "mounts that began while the provider was away are answered when it is back",
			Source: serviceConfig, Why: "the driver waits for the connection, so that pods start through an upgrade of the provider",
			needs: needs,
			check: func(ctx context.Context, s *session) error { return s.acrossRestart(ctx, true) },
		},
		{
			ID: "S-03", Promise: "a provider that starts replaces the socket that a killed one left behind",
			Source: clientGet, Why: "the driver takes any file of that name for a provider, so a dead socket lets every mount hang until the kubelet gives up",
			needs: needs,
			check: startBesideDeadSocket,
		},
	}
}

// acrossRestart mounts, kills and starts the provider, and mounts again: after
// the start, or begun between the two.
func (s *session) acrossRestart(ctx context.Context, whileAway bool) error {
	const pods = 5
	owner := s.Accounts[0]
	object, value, err := s.putNew(ctx, owner, "restart")
	if err != nil {
		return err
	}
	want := map[string][]byte{object.Path: value}
	a, err := s.mountNew(ctx, owner, object)
	if err := expect(a, err, want); err != nil {
		return err
	}
	if err := s.Kill(ctx); err != nil {
		return fmt.Errorf("the provider could not be killed: %w", err)
	}
	var mounts sync.WaitGroup
	failed := make([]error, pods)
	begin := func() {
		for i := range pods {
			mounts.Go(func() {
				a, err := s.mountNew(ctx, owner, object)
				failed[i] = expect(a, err, want)
			})
		}
	}
	if whileAway {
		begin()
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	if err := s.Start(ctx); err != nil {
		return fmt.Errorf("the provider could not be started: %w", err)
	}
	if !whileAway {
		begin()
	}
	mounts.Wait()
	return errors.Join(failed...)
}

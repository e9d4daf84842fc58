package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// Mount returns the files of the volume that req asks for: all of them, or an
// error that names everything that failed. The error is a *MountError. The
// Volume is shared and must not be changed.
func (e *Engine) Mount(ctx context.Context, req Request) (*Volume, error) {
	r := e.current.Load()
	ctx, cancel := context.WithTimeout(ctx, r.config.Bounds.MountTimeout)
	defer cancel()
	plan, release, err := e.plans.get(ctx, r.generation, req.Dialect, req.Parameters, func() (*plan, error) {
		return e.plan(r, req.Dialect, req.Parameters)
	})
	if err != nil {
		return nil, classError(err)
	}
	defer release()

	// The operator's configuration alone names the cluster.
	req.Identity.Cluster = r.config.Cluster
	a := scope{as: req.Identity, key: req.Identity.Key(), config: &r.config, keyed: r.keyed}
	answers, known := e.cache.fromMemory(a, plan.sources, false)
	if !known {
		// A mount that has to read from stores takes a turn. A tenth of its time
		// is left for making files of stale values if the stores do not answer.
		asking, cancel := context.WithTimeout(ctx, r.config.Bounds.MountTimeout/10*9)
		defer cancel()
		done, err := r.turn(asking, req.Identity.Namespace)
		if err == nil {
			defer done()
			answers = e.cache.get(asking, a, plan.sources)
		} else if answers, known = e.cache.fromMemory(a, plan.sources, true); !known {
			return nil, err
		}
	}
	volume, failures := e.cache.volume(ctx, a, plan, req.Mode, answers)
	if len(failures) > 0 {
		return nil, mountError(len(plan.objects), failures)
	}
	e.metrics.age.Observe(e.cache.oldest(answers).Seconds())
	return volume, nil
}

// turn acquires the semaphores of mounts that read from stores: bounds.mounts in
// total, half of them for one namespace, so that a namespace whose store does not
// answer leaves room for the others.
func (r *rules) turn(ctx context.Context, namespace string) (done func(), err error) {
	leave, err := r.namespaces.Acquire(ctx, namespace)
	if err == nil {
		if err = r.mounts.Acquire(ctx, 1); err == nil {
			return func() { r.mounts.Release(1); leave() }, nil
		}
		leave()
	}
	return nil, &MountError{Kind: fault.ErrUnavailable, Text: fmt.Sprintf("the mount timed out in the queue for reading from stores: at most %d mounts read at once (bounds.mounts), half of them of one namespace", r.config.Bounds.Mounts)}
}

// classError is the error of a class that has to be changed.
func classError(err error) *MountError {
	var problems spec.Problems
	if !errors.As(err, &problems) {
		return &MountError{Kind: kindOf(err), Text: err.Error()}
	}
	return &MountError{Kind: fault.ErrInvalid, Text: shortened("the SecretProviderClass cannot be used: " + problems.Error())}
}

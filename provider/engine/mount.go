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

	// The cluster's name is the operator's to say.
	req.Identity.Cluster = r.config.Cluster
	a := scope{as: req.Identity, key: req.Identity.Key(), config: &r.config, keyed: r.keyed}
	answers, known := e.cache.fromMemory(a, plan.sources, false)
	if !known {
		// What memory cannot answer waits for stores, and takes a turn. A part of
		// the time is kept for making the files of what stands in then.
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

// turn waits until one more mount may read from stores: no more than
// bounds.mounts at once, and half of those for one namespace, so that a
// namespace whose store does not answer leaves room for the others.
func (r *rules) turn(ctx context.Context, namespace string) (done func(), err error) {
	leave, err := r.namespaces.Acquire(ctx, namespace)
	if err == nil {
		if err = r.mounts.Acquire(ctx, 1); err == nil {
			return func() { r.mounts.Release(1); leave() }, nil
		}
		leave()
	}
	return nil, &MountError{Kind: fault.ErrUnavailable, Text: fmt.Sprintf("the mount's time was over before it had its turn to read from stores; so many mounts have one at once: %d by bounds.mounts in the provider's configuration, half of them for one namespace", r.config.Bounds.Mounts)}
}

// classError is a class that cannot be served until it is changed.
func classError(err error) *MountError {
	var problems spec.Problems
	if !errors.As(err, &problems) {
		return &MountError{Kind: kindOf(err), Text: err.Error()}
	}
	return &MountError{Kind: fault.ErrInvalid, Text: shortened("the SecretProviderClass cannot be used: " + problems.Error())}
}

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

	keyed, err := e.versionKey(ctx, r)
	if err != nil {
		return nil, err
	}
	// The operator's configuration alone names the cluster.
	req.Identity.Cluster = r.config.Cluster
	a := scope{as: req.Identity, key: req.Identity.Key(), config: &r.config, keyed: keyed, mount: e.mounts.Add(1)}
	begun := e.started.has(req.Identity, plan.key.class)
	if !begun {
		a.notBefore = e.now().Add(-r.config.Cache.StartAge)
	}
	var asking context.Context
	answers, known := e.cache.fromMemory(a, plan.sources, false)
	if !known {
		turn, done, err := r.turn(ctx, req.Identity.Namespace)
		if err == nil {
			defer done()
			asking, answers = turn, e.cache.get(turn, a, plan.sources)
		} else if answers, known = e.cache.fromMemory(a, plan.sources, true); !known {
			return nil, err
		}
	}
	volume, failures := e.cache.volume(ctx, a, plan, req.Mode, answers)
	if doubted := e.cache.doubted(a, plan, answers, failures); len(doubted) > 0 {
		// What failed because of a value from memory may have been corrected since.
		if asking == nil {
			turn, done, err := r.turn(ctx, req.Identity.Namespace)
			if err == nil {
				defer done()
				asking = turn
			}
		}
		if asking != nil && e.cache.readAgain(asking, a, plan, doubted, answers) {
			volume, failures = e.cache.volume(ctx, a, plan, req.Mode, answers)
		}
	}
	if len(failures) > 0 {
		return nil, mountError(len(plan.objects), failures)
	}
	if !begun {
		e.started.add(req.Identity, plan.key.class)
	}
	e.metrics.age.Observe(e.cache.oldest(answers).Seconds())
	return volume, nil
}

// turn acquires the semaphores of mounts that read from stores: bounds.mounts in
// total, half of them for one namespace, so that a namespace whose store does not
// answer leaves room for the others. asking is the time to read in: a tenth of the
// mount's is left for making files of stale values if the stores do not answer.
func (r *rules) turn(ctx context.Context, namespace string) (asking context.Context, done func(), err error) {
	asking, cancel := context.WithTimeout(ctx, r.config.Bounds.MountTimeout/10*9)
	leave, err := r.namespaces.Acquire(asking, namespace)
	if err == nil {
		if err = r.mounts.Acquire(asking, 1); err == nil {
			return asking, func() { r.mounts.Release(1); leave(); cancel() }, nil
		}
		leave()
	}
	cancel()
	return nil, nil, &MountError{Kind: fault.ErrUnavailable, Text: fmt.Sprintf("the mount timed out in the queue for reading from stores: at most %d mounts read at once (bounds.mounts), half of them of one namespace", r.config.Bounds.Mounts)}
}

// classError is the error of a class that has to be changed.
func classError(err error) *MountError {
	var problems spec.Problems
	if !errors.As(err, &problems) {
		return &MountError{Kind: kindOf(err), Text: err.Error()}
	}
	return &MountError{Kind: fault.ErrInvalid, Text: shortened("the SecretProviderClass cannot be used: " + problems.Error())}
}

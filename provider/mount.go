package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/lanyardhq/lanyard/provider/store"
)

// Mount returns the files of the volume that req asks for: all of them, or an
// error that names everything that failed. The error is a *MountError. The
// Volume is shared and must not be changed.
func (e *Engine) Mount(ctx context.Context, req Request) (*Volume, error) {
	r := e.current.Load()
	ctx, cancel := context.WithTimeout(ctx, r.config.Bounds.MountTimeout)
	defer cancel()
	if err := r.mounts.Acquire(ctx, 1); err != nil {
		return nil, &MountError{Kind: store.ErrUnavailable, Text: fmt.Sprintf("%d mounts are in progress on this node and none ended in time; bounds.mounts in the provider's configuration sets how many may be", r.config.Bounds.Mounts)}
	}
	defer r.mounts.Release(1)

	plan, release, err := e.plans.get(ctx, r.generation, req.Dialect, req.Parameters, func() (*plan, error) {
		return e.plan(r, req.Dialect, req.Parameters)
	})
	if err != nil {
		return nil, classError(err)
	}
	defer release()

	// The cluster's name is the operator's to say.
	req.Identity.Cluster = r.config.Cluster
	a := ask{as: req.Identity, key: req.Identity.Key(), config: &r.config, keyed: r.keyed}
	answers := e.cache.get(ctx, a, plan.sources)
	volume, failures := e.cache.volume(ctx, a, plan, req.Mode, answers)
	if len(failures) > 0 {
		return nil, mountError(len(plan.objects), failures)
	}
	e.metrics.age.Observe(e.cache.oldest(answers).Seconds())
	return volume, nil
}

// classError is a class that cannot be served until it is changed.
func classError(err error) *MountError {
	var problems Problems
	if !errors.As(err, &problems) {
		return &MountError{Kind: kindOf(err), Text: err.Error()}
	}
	text := problems.Error()
	if len(text) > textMost {
		text = text[:textMost]
	}
	return &MountError{Kind: store.ErrInvalid, Text: "the SecretProviderClass cannot be used: " + text}
}

package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unique"

	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/span"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/share"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// Mount returns the files of the volume that req asks for: all of them, or an
// error that names everything that failed. The error is a *MountError. The
// Volume is shared and must not be changed.
func (e *Engine) Mount(ctx context.Context, req Request) (*Volume, error) {
	r := e.current.Load()
	// Only what may wait gets a context with this end: a timer costs as much as the cache.
	end := endOf(ctx, r.config.Bounds.MountTimeout)
	// The operator's configuration alone names the cluster.
	req.Identity.Cluster = r.config.Cluster
	of := &trace{}
	ctx, traced := e.tracer.Start(ctx, "mount")
	volume, err := e.answer(ctx, end, r, req, of)
	if e.audit.On() {
		volume, err = e.record(ctx, end, req, of, volume, err)
	}
	e.holdings.note(req, of, volume, err)
	endMount(traced, req, err)
	return volume, err
}

// endOf is when a mount must end: after the timeout, and a moment before its caller's
// time is over, so that the caller still receives the cause.
func endOf(ctx context.Context, timeout time.Duration) time.Time {
	const moment = 500 * time.Millisecond
	now := time.Now()
	end := now.Add(timeout)
	if callers, ok := ctx.Deadline(); ok {
		if callers = callers.Add(-min(moment, callers.Sub(now)/10)); callers.Before(end) {
			return callers
		}
	}
	return end
}

// answer is Mount without the record of the delivery and what is remembered of it, for
// which it fills of.
func (e *Engine) answer(ctx context.Context, end time.Time, r *rules, req Request, of *trace) (*Volume, error) {
	req.Prepared = req.prepared()
	planning, planned := span.Start(ctx, "plan")
	plan, release, err := e.planOf(planning, end, r, req, planned)
	endSpan(planned, err)
	if err != nil {
		if strings.Contains(err.Error(), noSuchStore) {
			e.metrics.unknownStores.Inc()
		}
		return nil, err
	}
	defer release()

	keyed, err := e.versionKey(ctx, end, r)
	if err != nil {
		return nil, err
	}
	who := req.Prepared.identity
	who.Cluster = req.Identity.Cluster
	a := scope{as: req.Identity, key: unique.Make(who), config: &r.config, keyed: keyed, mount: e.mounts.Add(1), trace: of}
	a.notBefore = req.NotBefore
	starts := !req.Repeated && !e.started.has(req.Identity, plan.key.class)
	if started := e.now().Add(-r.config.Cache.StartAge); starts && started.After(a.notBefore) {
		a.notBefore = started
	}
	volume := e.small(ctx, a, plan, req, false)
	if volume == nil {
		if volume, err = e.mountWithin(ctx, end, r, a, plan, req); err != nil {
			return nil, err
		}
	}
	if starts {
		e.started.add(req.Identity, plan.key.class)
	}
	if req.Outlook != nil {
		*req.Outlook = e.cache.outlook(a, plan.sources)
	}
	of.mount, of.identity, of.outline = a.mount, a.key, plan.outline
	if e.audit.On() {
		of.delivers(a, plan, volume)
	}
	return volume, nil
}

// planOf returns the plan of the request's class, and the function that gives it back.
func (e *Engine) planOf(ctx context.Context, end time.Time, r *rules, req Request, planned *span.Span) (*plan, func(), error) {
	key := planKey{req.Identity.Namespace, planParts{r.generation, req.Prepared.class}}
	if plan, release, err := e.plans.known(key); plan != nil || err != nil {
		return plan, release, err
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	return e.plans.build(ctx, key, sizeOf(req.Parameters), planMemory(&r.config, req.Parameters), func(w *work) (*plan, error) {
		planned.Flag("lanyard.plan.made", true)
		made, err := e.plan(r, req.Identity.Namespace, w, req.Dialect, req.Parameters)
		if err == nil && len(made.idle) > 0 {
			klog.InfoS("Parts of a class have no effect; lanyard check shows where they stand", "namespace", message.Printable(req.Identity.Namespace), "pod", message.Printable(req.Identity.Pod), "provider", req.Dialect, "parts", made.idle.Error())
			made.idle = nil // it was told
		}
		return made, err
	})
}

// small returns the volume if it is in memory, made of values that are as well, and needs
// no budget; else nil. staleOK is that of fromMemory.
func (e *Engine) small(ctx context.Context, a scope, plan *plan, req Request, staleOK bool) *Volume {
	answers, known := e.cache.fromMemory(a, plan.sources, staleOK)
	if !known {
		return nil
	}
	_, looked := span.Start(ctx, "cache")
	endCache(looked, a, answers)
	volume := e.cache.made(a, plan, req.Mode, answers)
	if volume == nil || volume.size() > smallMessage {
		return nil
	}
	e.metrics.age.Observe(e.cache.oldest(answers).Seconds())
	a.trace.uses(answers)
	return volume
}

// parsedFactor is about how many times its text a class takes while it is parsed.
const parsedFactor = 40

// planMemory is what parsing a class takes, but no more than a namespace can have.
func planMemory(config *config.Config, parameters map[string]string) int64 {
	return min(minReserve+parsedFactor*int64(sizeOf(parameters)), int64(config.Bounds.Memory)/2)
}

// sizeOf is the size of a class's texts in bytes.
func sizeOf(parameters map[string]string) (total int) {
	for _, text := range parameters {
		total += len(text)
	}
	return total
}

// mountWithin mounts within a budget of memory. One that turns out to be too small is
// given back, and the mount begins anew with what it needs: so no mount waits for
// memory while it holds some.
func (e *Engine) mountWithin(ctx context.Context, end time.Time, r *rules, a scope, plan *plan, req Request) (*Volume, error) {
	ctx, stop := context.WithDeadline(ctx, end)
	defer stop()
	ctx = share.With(ctx, req.Identity.Namespace)
	readCtx, cancel := context.WithTimeout(ctx, r.config.Bounds.MountTimeout/10*9)
	defer cancel()
	for reserve := max(plan.need.Load(), minReserve); ; {
		budget, err := e.shares.memory.reserve(readCtx, req.Identity.Namespace, reserve)
		if err != nil {
			if volume := e.small(ctx, a, plan, req, true); volume != nil {
				return volume, nil
			}
			return nil, err
		}
		a.budget = budget
		volume, enough, err := e.mountOnce(ctx, readCtx, r, a, plan, req)
		if enough {
			return volume, err
		}
		needed, _ := budget.need()
		reserve = max(reserve*2, needed)
	}
}

// mountOnce mounts within the budget of a. If that was enough, it is the delivery's
// then; else, and if the mount panics, it is given back.
func (e *Engine) mountOnce(ctx, readCtx context.Context, r *rules, a scope, plan *plan, req Request) (volume *Volume, enough bool, err error) {
	defer func() {
		if !enough {
			a.budget.release()
		}
	}()
	volume, err = e.mount(ctx, readCtx, r, a, plan, req)
	needed, short := a.budget.need()
	if enough = !short || ctx.Err() != nil; enough {
		plan.need.Store(needed)
		req.Delivery.hold(a.budget)
	}
	return volume, enough, err
}

// mount makes the volume of values in memory, or of what the stores answer. asking ends
// before ctx does, so that time is left for making files of stale values if the stores
// do not answer.
func (e *Engine) mount(ctx, readCtx context.Context, r *rules, a scope, plan *plan, req Request) (*Volume, error) {
	var turn *share.Held
	defer func() { turn.Release() }()
	looking, looked := span.Start(readCtx, "cache")
	answers, known := e.cache.fromMemory(a, plan.sources, false)
	if !known {
		var err error
		if turn, err = e.turn(looking, r); err == nil {
			answers = e.cache.get(looking, a, plan.sources)
		} else if answers, known = e.cache.fromMemory(a, plan.sources, true); !known {
			endSpan(looked, err)
			return nil, err
		}
	}
	endCache(looked, a, answers)
	volume, failures := e.cache.volume(ctx, a, plan, req.Mode, answers)
	if suspects := e.cache.markSuspect(a, plan, answers, failures); len(suspects) > 0 {
		// What failed because of a value from memory may have been corrected since.
		var err error
		if turn == nil {
			turn, err = e.turn(readCtx, r)
		}
		if err == nil && e.cache.readAgain(readCtx, a, plan, suspects, answers) {
			volume, failures = e.cache.volume(ctx, a, plan, req.Mode, answers)
		}
	}
	if len(failures) > 0 {
		return nil, mountError(plan, failures)
	}
	// The message is the files once more.
	if err := a.budget.take(volume.size()); err != nil {
		return nil, &MountError{Kind: fault.ErrUnavailable, Text: err.Error()}
	}
	e.metrics.age.Observe(e.cache.oldest(answers).Seconds())
	a.trace.uses(answers)
	return volume, nil
}

// turn acquires the right to read from stores.
func (e *Engine) turn(ctx context.Context, r *rules) (*share.Held, error) {
	turn, err := e.shares.turns.Acquire(ctx, share.Of(ctx), 1)
	if err != nil {
		return nil, &MountError{Kind: fault.ErrUnavailable, Text: fmt.Sprintf("the mount timed out in the queue for reading from stores: at most %d mounts read at once (bounds.mounts), shared by the namespaces", r.config.Bounds.Mounts)}
	}
	return turn, nil
}

// classError is the error of a class that has to be changed.
func classError(err error) *MountError {
	var problems spec.Problems
	if !errors.As(err, &problems) {
		return &MountError{Kind: kindOf(err), Text: message.Cut(err.Error(), maxText)}
	}
	return &MountError{Kind: fault.ErrInvalid, Text: message.Cut("the SecretProviderClass cannot be used: "+problems.Error(), maxText)}
}

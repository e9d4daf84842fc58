package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	v1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanyardhq/lanyard/internal/message"
)

const (
	// maxAttempts is how often an object is tried while the API server is busy
	// or away.
	maxAttempts = 5
	firstPause  = time.Second
	// attemptTime is how long one attempt may take.
	attemptTime = 30 * time.Second
	// maxRelists is how often a list may be begun anew because its pages have
	// expired. It goes on where it was.
	maxRelists = 1000
)

// resourceRun is a run over one resource.
type resourceRun struct {
	Options
	resource Resource
	limiter  *rate.Limiter
	// visit does with an object what the run is for.
	visit    func(context.Context, v1.ObjectMeta) (outcome, error)
	total    int
	relisted bool

	mu     sync.Mutex
	report ResourceReport
}

// all lists the resource page by page and visits each object.
func (r *resourceRun) all(ctx context.Context) {
	after, done := r.Checkpoint.at(r.resource)
	if done > 0 {
		r.count(func(report *ResourceReport) { report.Objects, report.Skipped = done, done })
		return
	}
	for range maxRelists {
		var err error
		after, err = r.pages(ctx, after)
		switch {
		case err == nil && r.report.Failed == 0 && !r.DryRun:
			if err := r.Checkpoint.finish(r.resource, r.report.Objects); err != nil {
				r.report.Problem = err.Error()
			}
			return
		case err == nil || ctx.Err() != nil:
			return
		case !apierrors.IsResourceExpired(err):
			r.report.Problem = listed(err)
			return
		}
		r.relisted = true
	}
	r.report.Problem = "cannot be listed: its pages expire faster than they can be rewritten; raise --rate"
}

// pages goes through one list, past the objects up to after, which are done.
// It returns the last object that is done.
func (r *resourceRun) pages(ctx context.Context, after string) (string, error) {
	next := ""
	for {
		page, err := r.page(ctx, next)
		if err != nil {
			return after, err
		}
		var todo []v1.PartialObjectMetadata
		for _, object := range page.Items {
			if name := objectName(object.ObjectMeta); after == "" || name > after {
				todo = append(todo, object)
			} else if !r.relisted { // done in the run before, not in this one
				r.count(func(report *ResourceReport) { report.Objects++; report.Skipped++ })
			}
		}
		r.total = r.report.Objects + len(todo)
		if page.RemainingItemCount != nil {
			r.total += int(*page.RemainingItemCount)
		}
		if err := r.visitAll(ctx, todo); err != nil {
			return after, err
		}
		if len(todo) > 0 {
			after = objectName(todo[len(todo)-1].ObjectMeta)
			// What failed is for the next run to try again.
			if !r.DryRun && r.report.Failed == 0 {
				if err := r.Checkpoint.reached(r.resource, after); err != nil {
					return after, err
				}
			}
		}
		if next = page.Continue; next == "" {
			return after, nil
		}
	}
}

func (r *resourceRun) page(ctx context.Context, next string) (*v1.PartialObjectMetadataList, error) {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	return r.Client.Resource(r.resource.GroupVersionResource).List(ctx, v1.ListOptions{Limit: r.PageSize, Continue: next})
}

// visitAll visits the objects of a page, several at a time. The error is ctx's.
func (r *resourceRun) visitAll(ctx context.Context, objects []v1.PartialObjectMetadata) error {
	var group errgroup.Group
	group.SetLimit(max(1, r.Workers))
	for _, object := range objects {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			r.tally(object.ObjectMeta, func() (outcome, error) { return r.visit(ctx, object.ObjectMeta) })
			return nil
		})
	}
	_ = group.Wait() //nolint:errcheck // nobody returns one
	return ctx.Err()
}

// outcome is what has become of an object.
type outcome int

const (
	rewritten outcome = iota
	current
	changed
	gone
	skipped
)

// rewrite asks the API server to write the object as it is.
func (r *resourceRun) rewrite(ctx context.Context, object v1.ObjectMeta) (outcome, error) {
	// With the UID and the resource version nothing is written over: not what
	// somebody changed since, nor another object of the same name.
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": object.UID, "resourceVersion": object.ResourceVersion}})
	if err != nil {
		return 0, err
	}
	return r.attempts(ctx, func(ctx context.Context) (outcome, error) {
		resourceVersion, err := r.patch(ctx, object, patch)
		if err == nil && resourceVersion != object.ResourceVersion {
			return rewritten, nil
		}
		return current, err
	})
}

// attempts makes one request of the API server, again while that is busy or
// away.
func (r *resourceRun) attempts(ctx context.Context, once func(context.Context) (outcome, error)) (outcome, error) {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		if err := r.limiter.Wait(ctx); err != nil {
			return 0, err
		}
		result, err := r.attempt(ctx, once)
		switch {
		case err == nil:
			return result, nil
		case apierrors.IsNotFound(err):
			return gone, nil
		case apierrors.IsConflict(err):
			return changed, nil
		case attempt == maxAttempts || ctx.Err() != nil || !mayPass(err):
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(pause):
		}
		pause *= 2
	}
}

func (r *resourceRun) attempt(ctx context.Context, once func(context.Context) (outcome, error)) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	return once(ctx)
}

func (r *resourceRun) patch(ctx context.Context, object v1.ObjectMeta, patch []byte) (resourceVersion string, err error) {
	// Of an object without a namespace the namespace is empty.
	result, err := r.Client.Resource(r.resource.GroupVersionResource).Namespace(object.Namespace).
		Patch(ctx, object.Name, types.MergePatchType, patch, v1.PatchOptions{FieldManager: "lanyard-kms-migrate"})
	if err != nil {
		return "", err
	}
	return result.ResourceVersion, nil
}

// mayPass says that a failure is not the object's.
func mayPass(err error) bool {
	var status apierrors.APIStatus
	return !errors.As(err, &status) || // no answer
		apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsServiceUnavailable(err)
}

// tally does something with an object and counts what came of it.
func (r *resourceRun) tally(object v1.ObjectMeta, do func() (outcome, error)) {
	result, err := do()
	r.count(func(report *ResourceReport) {
		if err != nil && errors.Is(err, context.Canceled) {
			return // interrupted; the next run has it again
		}
		report.Objects++
		switch {
		case err != nil:
			report.Failed++
			if len(report.Failures) < maxFailures {
				report.Failures = append(report.Failures, Failure{objectName(object), message.Excerpt(err.Error())})
			}
		case result == rewritten:
			report.Rewritten++
		case result == current:
			report.Current++
		case result == changed:
			report.Changed++
		case result == gone:
			report.Gone++
		default:
			report.Skipped++
		}
	})
}

// count changes the report and reports progress.
func (r *resourceRun) count(change func(*ResourceReport)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.report)
	if r.Progress != nil {
		r.Progress(Progress{Resource: r.resource.String(), Done: r.report.Objects, Total: max(r.total, r.report.Objects)})
	}
}

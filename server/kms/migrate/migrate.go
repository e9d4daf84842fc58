// Package migrate has the API server write again what it holds under an old
// key. It asks for nothing but metadata and changes nothing: each object gets a
// patch that says what is so already. The API server skips the write of an
// object that does not change, unless what lies in etcd is stale, which is when
// it is under another key than the one it writes with now. So the resource
// version that comes back shows which objects were stale, and no value ever
// leaves the API server.
//
// See GuaranteedUpdate in k8s.io/apiserver/pkg/storage/etcd3/store.go. Start
// with Resolve and Run; CountKeys counts what is under which key without writing.
package migrate

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"
	v1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
)

// maxFailures is how many failed objects of a resource are named; the rest are
// counted.
const maxFailures = 100

// Options are what a run is made of.
type Options struct {
	// Client reaches the API server; its own rate limit must not be below Rate.
	Client metadata.Interface
	// Rate is the maximum number of patches per second.
	Rate float64
	// Workers is the maximum number of patches in flight.
	Workers int
	// PageSize is how many objects are listed at a time.
	PageSize int64
	// DryRun only lists.
	DryRun bool
	// Checkpoint remembers what is done, for a run that goes on after one that
	// was interrupted; nil remembers nothing.
	Checkpoint *Checkpoint
	// Progress, if set, is called after each object, one call at a time.
	Progress func(Progress)
}

// Progress is how far a run is with one resource.
type Progress struct {
	// Resource is its name, such as secrets or deployments.apps.
	Resource string
	// Done of Total objects have been asked for. Total is what the API server
	// estimates and may grow.
	Done, Total int
}

// Report is what a run has found.
type Report struct {
	Resources []ResourceReport `json:"resources"`
	// Interrupted says that the run ended before its work did.
	Interrupted bool `json:"interrupted"`
}

// ResourceReport is what a run has found of one resource. The counts add up to
// Objects.
type ResourceReport struct {
	Resource string `json:"resource"`
	// Objects is how many were listed.
	Objects int `json:"objects"`
	// Rewritten were stale; Current were not.
	Rewritten int `json:"rewritten"`
	Current   int `json:"current"`
	// Changed were written by somebody else in between, or replaced, and Gone
	// were deleted: there is nothing left to do for either.
	Changed int `json:"changed"`
	Gone    int `json:"gone"`
	// Skipped were done in the run before, or only listed.
	Skipped int `json:"skipped"`
	// Failed were not rewritten; Failures names the first of them.
	Failed   int       `json:"failed"`
	Failures []Failure `json:"failures,omitempty"`
	// Problem is why not all objects could be listed; empty if they were.
	Problem string `json:"problem,omitempty"`
}

// Failure is an object that was not rewritten, and why.
type Failure struct {
	Object string `json:"object"`
	Reason string `json:"reason"`
}

// Complete says that nothing remains that the run knows of.
func (r Report) Complete() bool {
	for _, one := range r.Resources {
		if one.Failed > 0 || one.Problem != "" {
			return false
		}
	}
	return !r.Interrupted
}

// Rewritten is how many objects were stale, over all resources.
func (r Report) Rewritten() int {
	n := 0
	for _, one := range r.Resources {
		n += one.Rewritten
	}
	return n
}

// Skipped is how many objects were not looked at, over all resources, because
// the run before had done them. What key they are under now is not known.
func (r Report) Skipped() int {
	n := 0
	for _, one := range r.Resources {
		n += one.Skipped
	}
	return n
}

// Run goes over the resources one after the other. It ends early when ctx does;
// what was done until then is done, and is in the checkpoint.
func Run(ctx context.Context, opts Options, resources []Resource) Report {
	limiter := rate.NewLimiter(rate.Limit(opts.Rate), max(1, opts.Workers))
	report := Report{Resources: []ResourceReport{}}
	for _, resource := range resources {
		run := &resourceRun{Options: opts, resource: resource, limiter: limiter, report: ResourceReport{Resource: resource.String()}}
		run.visit = run.rewrite
		if opts.DryRun {
			run.visit = func(context.Context, v1.ObjectMeta) (outcome, error) { return skipped, nil }
		}
		run.all(ctx)
		report.Resources = append(report.Resources, run.report)
		if ctx.Err() != nil {
			report.Interrupted = true
			break
		}
	}
	return report
}

// objectName is how an object is named in reports and checkpoints, in the order
// in which the API server lists.
func objectName(object v1.ObjectMeta) string {
	if object.Namespace == "" {
		return object.Name
	}
	return object.Namespace + "/" + object.Name
}

// listTime is how long one page may take.
const listTime = time.Minute

// listed says what a list failed with, for the report.
func listed(err error) string { return fmt.Sprintf("cannot be listed: %v", err) }

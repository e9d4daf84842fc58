package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/time/rate"
	v1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Count is what the objects of one resource are under.
type Count struct {
	Resource string `json:"resource"`
	// Objects is how many were listed; Read of them were read out of etcd. Gone
	// were deleted in between.
	Objects int `json:"objects"`
	Read    int `json:"read"`
	Gone    int `json:"gone"`
	// Keys is how many were read with each key of a KMS v2 plugin, by the hash
	// of its key ID; see HashOf. Which name the plugin has in the
	// EncryptionConfiguration makes no difference: one may have several. What is
	// under a provider of another kind, or of another plugin, is in none.
	Keys map[string]int `json:"keys"`
	// Providers are the names of those that read with each key.
	Providers map[string][]string `json:"providers,omitempty"`
	// AtMost says that somebody else read at the same time, so that the numbers
	// in Keys may be too high. A key that is not there has read nothing.
	AtMost bool `json:"atMost"`
	// Failed could not be read; Failures names the first of them.
	Failed   int       `json:"failed"`
	Failures []Failure `json:"failures,omitempty"`
}

// Beside is how many objects were read with another key than that with the
// hash.
func (c Count) Beside(hash string) int {
	n := 0
	for key, objects := range c.Keys {
		if key != hash {
			n += objects
		}
	}
	return n
}

// CountKeys reads every object of the resources and counts which keys of KMS
// v2 plugins decrypted them. others are the providers of other plugins, whose
// keys are not counted. It writes nothing, and only metadata leaves the API
// server.
//
// No answer of the API says under which key an object lies. But a GET without a
// resource version is read out of etcd, past all caches, and the API server
// counts each use of a key in its metrics: what the counts have grown by is what
// the objects are under. It returns an error if the counts cannot be those of the
// reads.
func CountKeys(ctx context.Context, opts Options, metrics Metrics, others []string, resources []Resource) ([]Count, error) {
	limiter := rate.NewLimiter(rate.Limit(opts.Rate), max(1, opts.Workers))
	opts.Checkpoint, opts.DryRun = nil, false
	var counts []Count
	for _, resource := range resources {
		run := &resourceRun{Options: opts, resource: resource, limiter: limiter, report: ResourceReport{Resource: resource.String()}}
		count, err := run.countKeys(ctx, metrics, others)
		if err != nil {
			return counts, fmt.Errorf("%s: %w", resource, err)
		}
		counts = append(counts, count)
	}
	return counts, nil
}

func (r *resourceRun) countKeys(ctx context.Context, metrics Metrics, others []string) (Count, error) {
	objects, err := r.names(ctx)
	if err != nil {
		return Count{}, err
	}
	before, err := metrics.read(ctx)
	if err != nil {
		return Count{}, err
	}
	r.visit, r.total = r.read, len(objects)
	if err := r.visitAll(ctx, objects); err != nil {
		return Count{}, err
	}
	after, err := metrics.read(ctx)
	if err != nil {
		return Count{}, err
	}
	return countOf(r.report, before, after, others)
}

// names lists all objects first, because the pages of a list are read out of
// etcd too.
func (r *resourceRun) names(ctx context.Context) ([]v1.PartialObjectMetadata, error) {
	var mu sync.Mutex
	var objects []v1.PartialObjectMetadata
	opts := r.Options
	opts.Progress = nil
	lister := &resourceRun{Options: opts, resource: r.resource, limiter: r.limiter}
	lister.visit = func(_ context.Context, object v1.ObjectMeta) (outcome, error) {
		mu.Lock()
		defer mu.Unlock()
		kept := v1.ObjectMeta{Namespace: object.Namespace, Name: object.Name}
		objects = append(objects, v1.PartialObjectMetadata{ObjectMeta: kept})
		return skipped, nil
	}
	lister.all(ctx)
	if lister.report.Problem != "" {
		return nil, errors.New(lister.report.Problem)
	}
	return objects, ctx.Err()
}

// read has the API server read an object out of etcd.
func (r *resourceRun) read(ctx context.Context, object v1.ObjectMeta) (outcome, error) {
	return r.attempts(ctx, func(ctx context.Context) (outcome, error) {
		_, err := r.Client.Resource(r.resource.GroupVersionResource).Namespace(object.Namespace).Get(ctx, object.Name, v1.GetOptions{})
		return current, err
	})
}

// The errors of countOf.
var (
	errOtherServer = errors.New("the API server whose metrics were read did not count all reads: requests reach more than one API server, so name one of them alone, with --kubeconfig or --context; or the resource is not in its EncryptionConfiguration")
	errForgotten   = errors.New("the API server's metrics do not show the keys of all reads; they are kept for the last hundred key IDs. Rewrite everything first")
)

// countOf holds what the metrics have grown by against what was read.
func countOf(report ResourceReport, before, after usage, others []string) (Count, error) {
	count := Count{
		Resource: report.Resource, Objects: report.Objects, Read: report.Current, Gone: report.Gone,
		Failed: report.Failed, Failures: report.Failures, Keys: map[string]int{}, Providers: map[string][]string{},
	}
	reads := after.reads(report.Resource) - before.reads(report.Resource)
	if reads < count.Read {
		return count, errOtherServer
	}
	ours := after.readsOfPlugins(report.Resource, others) - before.readsOfPlugins(report.Resource, others)
	keyed := 0
	for use := range after.keys {
		if slices.Contains(others, use.provider) {
			continue
		}
		grown := after.keys[use] - before.keys[use]
		if grown < 0 {
			return count, errForgotten
		}
		if keyed += grown; grown > 0 {
			count.Keys[use.hash] = min(count.Keys[use.hash]+grown, count.Read)
			count.Providers[use.hash] = append(count.Providers[use.hash], use.provider)
			slices.Sort(count.Providers[use.hash])
		}
	}
	if keyed < ours {
		return count, errForgotten
	}
	count.AtMost = reads > count.Read || keyed > ours
	return count, nil
}

package engine

import (
	"github.com/lanyardhq/lanyard/internal/span"
	"github.com/lanyardhq/lanyard/provider/store"
)

// endSpan ends the span of what failed or not.
func endSpan(s *span.Span, err error) {
	if err != nil {
		s.Fail(resultLabel(err))
	}
	s.End()
}

// endMount ends the span of a mount.
// https://opentelemetry.io/docs/specs/semconv/registry/attributes/k8s/
func endMount(s *span.Span, req Request, err error) {
	if s == nil {
		return
	}
	s.Text("k8s.cluster.name", req.Identity.Cluster)
	s.Text("k8s.namespace.name", req.Identity.Namespace)
	s.Text("k8s.pod.name", req.Identity.Pod)
	s.Text("k8s.pod.uid", req.Identity.PodUID)
	s.Text("lanyard.service_account", req.Identity.ServiceAccount)
	s.Text("lanyard.class", req.Class)
	s.Text("lanyard.dialect", req.Dialect)
	s.Text("lanyard.result", resultOf(err))
	endSpan(s, err)
}

// endCache ends the span of looking for values in memory, and of reading those that are not there.
func endCache(s *span.Span, a scope, answers []answer) {
	if s == nil {
		return
	}
	hits, misses, stale, failed := 0, 0, 0, 0
	for _, ans := range answers {
		switch {
		case ans.err != nil:
			failed++
		case ans.stale:
			stale++
		case ans.reading.mount == a.mount:
			misses++
		default:
			hits++
		}
	}
	s.Number("lanyard.cache.hits", hits)
	s.Number("lanyard.cache.misses", misses)
	s.Number("lanyard.cache.stale", stale)
	s.Number("lanyard.cache.failed", failed)
	s.End()
}

// beginRead notes what a batch reads, of which names and keys are none of a span's business.
func beginRead(s *span.Span, label string, batch []fetch) {
	if s != nil {
		s.Text("lanyard.store", label)
		s.Text("lanyard.store.type", batch[0].source.connection.typeName)
		s.Number("lanyard.references", len(batch))
	}
}

// firstError is the first of the errors of a batch.
func firstError(results []store.Result) error {
	for _, result := range results {
		if result.Err != nil {
			return result.Err
		}
	}
	return nil
}

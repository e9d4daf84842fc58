package sync

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanyardhq/lanyard/internal/span"
)

// endSpan ends the span of a pass over an object.
func (r *Reconciler) endSpan(s *span.Span, object types.NamespacedName, outcome *Outcome) {
	if s == nil {
		return
	}
	s.Text("k8s.namespace.name", object.Namespace)
	s.Text("lanyard.object.kind", r.input.Kind())
	s.Text("lanyard.object.name", object.Name)
	s.Number("lanyard.secrets.changed", len(outcome.Created)+len(outcome.Changed))
	switch {
	case outcome.unanswered != nil:
		s.Fail("unanswered")
	case outcome.Problem != nil:
		s.Fail(string(outcome.Problem.Reason))
	}
	s.End()
}

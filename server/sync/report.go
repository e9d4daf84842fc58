package sync

import (
	"context"

	core "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/server/sync/event"
)

// maxText is how many bytes are kept of a Problem's text, for which an object's annotations
// or condition have room.
const maxText = 8 << 10

// reportSecrets says which Secrets were written and removed: in the log, and in an Event for
// each kind of change.
func (r *Reconciler) reportSecrets(ctx context.Context, want *Want, outcome *Outcome) {
	for _, what := range []struct {
		names             []string
		reason, log, note string
	}{
		{outcome.Created, "SecretCreated", "Secrets were made", "Made: "},
		{outcome.Changed, "SecretChanged", "Secrets were changed", "Changed: "},
		{outcome.removed, "SecretRemoved", "Secrets that are not asked for any more were removed", "Removed, because nothing asks for it any more: "},
	} {
		if len(what.names) > 0 {
			klog.InfoS(what.log, r.input.Kind(), want.ref(), "secrets", what.names)
			r.event(ctx, want, outcome, event.Event{Reason: what.reason, Note: what.note + message.Names(what.names, message.Printable)})
		}
	}
}

// reportState says once that the object is in another state than before.
func (r *Reconciler) reportState(ctx context.Context, want *Want, s *state, outcome *Outcome) {
	r.mu.Lock()
	before, failing := s.problem, outcome.Problem != nil
	recovered := s.failing && !failing
	if s.since.IsZero() || s.failing != failing {
		s.failing, s.since = failing, outcome.Now
	}
	s.problem, outcome.Since, s.published = outcome.Problem, s.since, secretsOf(s)
	if failing {
		s.failed++
	} else {
		s.failed, s.success = 0, outcome.Now
	}
	r.mu.Unlock()

	switch {
	case outcome.Problem != nil && (before == nil || *before != *outcome.Problem):
		klog.ErrorS(nil, "An object cannot be synced; Secrets that it has stay as they are", r.input.Kind(), want.ref(), "reason", outcome.Problem.Reason, "cause", outcome.Problem.Text)
		r.event(ctx, want, outcome, event.Event{Warning: true, Reason: string(outcome.Problem.Reason), Note: outcome.Problem.Text})
	case recovered:
		klog.InfoS("An object is synced again", r.input.Kind(), want.ref())
		r.event(ctx, want, outcome, event.Event{Reason: "Synced", Note: "All Secrets are as their stores have them"})
	}
}

// event writes an Event of the object.
func (r *Reconciler) event(ctx context.Context, want *Want, outcome *Outcome, what event.Event) {
	what.By, what.Action = FieldManager, "Sync"
	what.Of = core.ObjectReference{APIVersion: want.Owner.APIVersion, Kind: want.Owner.Kind, Namespace: want.Namespace, Name: want.Owner.Name, UID: want.Owner.UID}
	event.Write(ctx, r.shared.Events, outcome.Now, what)
}

// ref is the object for the log.
func (w *Want) ref() klog.ObjectRef { return klog.KRef(w.Namespace, w.Owner.Name) }

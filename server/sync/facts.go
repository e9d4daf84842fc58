package sync

import (
	"cmp"
	"maps"
	"slices"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/server/status"
)

// secretsOf are the Secrets of an object as its facts tell them.
func secretsOf(s *state) []status.SyncedSecret {
	all := make([]status.SyncedSecret, 0, len(s.secrets))
	for _, name := range slices.Sorted(maps.Keys(s.secrets)) {
		all = append(all, status.SyncedSecret{Name: message.Printable(name), Written: s.secrets[name].at})
	}
	return all
}

// Facts adds what the controller tells of itself: the objects of all inputs, and the lists
// that the API server refuses it.
func (s *Shared) Facts(facts *status.Facts) {
	facts.Synced, facts.Problems = s.Metrics.facts(), s.Refusals.problems(s.Now())
}

// facts are the objects of all inputs.
func (m *Metrics) facts() []status.Synced {
	m.mu.Lock()
	followed := slices.Clone(m.followed)
	m.mu.Unlock()
	all := []status.Synced{}
	for _, r := range followed {
		all = append(all, r.facts()...)
	}
	slices.SortFunc(all, func(a, b status.Synced) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return all
}

func (r *Reconciler) facts() []status.Synced {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]status.Synced, 0, len(r.states))
	for key, s := range r.states {
		one := status.Synced{
			Kind: r.input.Kind(), Namespace: message.Printable(key.Namespace), Name: message.Printable(key.Name),
			State: status.SyncedWaiting, Since: s.since, Worked: s.success, Secrets: s.published,
		}
		switch {
		case s.problem != nil:
			one.State, one.Reason, one.Error = status.SyncedFailed, string(s.problem.Reason), message.Passage(s.problem.Text)
		case s.unserved != "":
			one.State, one.Since, one.Reason, one.Error = status.SyncedFailed, s.unservedSince, "APIServer", s.unserved
		case !s.success.IsZero():
			one.State = status.SyncedOK
		}
		all = append(all, one)
	}
	return all
}

package kmsring

import (
	"fmt"
	"time"

	"github.com/lanyardhq/lanyard/internal/strict"
)

// follow holds the ring against the one before it: no change may make
// unreadable what was written, here or at another plugin of the cluster.
//
//   - The key that writes now must stay, at least to read.
//   - A key leaves the ring only after it was retired, which can be undone.
//   - A key that was not in the ring to read reads at once, and writes only
//     after Settle, when the other plugins have the file too. Reading never
//     waits: a file that is refused as a whole would leave this plugin unable
//     to read what another one, which was started afresh, writes already.
//
// The first ring of a process is taken as it stands, since nothing is known of
// what was before.
func (r *Ring) follow(before *Ring, now time.Time) strict.Problems {
	if before == nil {
		return nil
	}
	var problems strict.Problems
	writing := before.Write(now)
	for _, old := range before.entries {
		if text := r.loses(old, old == writing); text != "" {
			problems = append(problems, strict.Problem{Field: "keys", Text: text})
		}
	}
	if len(problems) > 0 {
		return problems
	}
	for _, entry := range r.entries {
		if old := before.Same(entry); old != nil && old.State != StateRetired {
			entry.readable = old.readable
		} else if entry.State != StateRetired {
			entry.readable = now
		}
	}
	if same := r.Same(writing); same != r.write {
		if at := r.write.readable.Add(r.Settle); !r.write.readable.IsZero() && now.Before(at) {
			r.previous, r.switchAt = same, at
		}
	}
	return nil
}

// loses says what must not happen to a key of the ring before; empty if it
// does not.
func (r *Ring) loses(old *Entry, writing bool) string {
	same := r.Same(old)
	switch {
	case writing && (same == nil || same.State == StateRetired):
		return fmt.Sprintf("key %s is what the API servers write with now, and the new ring cannot read with it; keep it with state read, with the epoch and cluster that it has, until nothing needs it", old.Name)
	case same == nil && old.State != StateRetired:
		return fmt.Sprintf("key %s (%s) is gone from the ring, or its service, epoch or cluster has changed, which makes another key of it; give it the state retired first, so that what still needs it is told, and add what is new as a key of its own", old.Name, old.State)
	}
	return ""
}

package kmsring

import (
	"fmt"
	"time"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/key"
)

// follow compares the ring with the previous one: no change may make stored data
// unreadable, here or at another plugin of the cluster.
//
//   - The key that writes now must stay, at least to read.
//   - What decides how a key's ciphertexts are made and is not in its key ID, such as
//     the binding of a key of Vault's, stays as it is.
//   - A key leaves the ring only after it was retired, which can be undone.
//   - A key that was not in the ring to read reads at once, and writes only
//     after Settle, when the other plugins have the file too. Reading never
//     waits: a file that is refused as a whole would leave this plugin unable
//     to read what another one, which was started afresh, writes already.
//
// The first ring of a process is accepted as it is.
func (r *Ring) follow(before *Ring, now time.Time) strict.Problems {
	if before == nil {
		return nil
	}
	var problems strict.Problems
	writing := before.Write(now)
	for _, old := range before.entries {
		if text := r.whyRefused(old, old == writing); text != "" {
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

// whyRefused returns why the new ring must not replace one with the key old, or "".
func (r *Ring) whyRefused(old *Entry, writing bool) string {
	same := r.Same(old)
	switch {
	case writing && (same == nil || same.State == StateRetired):
		return fmt.Sprintf("key %s is the current write key, and the new ring cannot decrypt with it; keep it with state read and its epoch and cluster (see troubleshooting: ring-loses-a-key)", old.Name)
	case same == nil && old.State != StateRetired:
		return fmt.Sprintf("key %s (%s) is missing, or its service, epoch or cluster changed; set it to state retired first, and add the changed key under its own name (see troubleshooting: ring-loses-a-key)", old.Name, old.State)
	case same != nil && key.FixedOf(same.opened.key) != key.FixedOf(old.opened.key):
		return fmt.Sprintf("key %s changes from %q to %q in how it encrypts, and could not decrypt what it encrypted before; leave it as it is with state read, and add the changed key with its own name and epoch (see troubleshooting: ring-loses-a-key)", old.Name, key.FixedOf(old.opened.key), key.FixedOf(same.opened.key))
	}
	return ""
}

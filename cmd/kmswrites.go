package cmd

import (
	"context"
	"fmt"

	"github.com/lanyardhq/lanyard/provider/kmsring"
	"github.com/lanyardhq/lanyard/server/kms"
)

// writesWithRing returns the key ID that the plugin at a socket writes with, if
// that is of the ring's write key. A ring that was changed names a new write key
// before the plugin writes with it, and what is done for the rotation before
// that is done for the wrong key.
func writesWithRing(ctx context.Context, socket, path string, ring *kmsring.Ring) (keyID string, err error) {
	keyID, entry, err := kms.WritesWith(ctx, socket, ring)
	switch {
	case err != nil:
		return "", fmt.Errorf("no healthy plugin at %s, so the key that it writes with is unknown: %w", socket, err)
	case entry == nil:
		return "", fmt.Errorf("the plugin at %s writes with a key that %s has not got; it runs with another ring, or has refused this one, which its log says", socket, path)
	case entry.State != kmsring.StateWrite:
		return "", fmt.Errorf("the plugin at %s writes with key %s, and not yet with %s, the write key of %s: that has not been in the ring for settle (%s), or does not work, which the plugin's log says; when API servers write with it, run lanyard kms migrate, and this after that", socket, entry.Name, writeKeyOf(ring), path, ring.Settle)
	}
	return keyID, nil
}

// writeKeyOf is the name of the key that a ring file gives the state write.
func writeKeyOf(ring *kmsring.Ring) string {
	for _, entry := range ring.Entries() {
		if entry.State == kmsring.StateWrite {
			return entry.Name
		}
	}
	return ""
}

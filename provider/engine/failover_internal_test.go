package engine

import (
	"encoding/binary"
	"testing"
	"time"
	"unique"

	"github.com/lanyardhq/lanyard/provider/identity"
)

// A namespace with more sources than are kept makes nobody else's be looked at again.
func TestANamespaceForgetsOnlyItsOwnFailovers(t *testing.T) {
	f, now := newFailovers(), time.Now()
	mine := cacheKey{identity: unique.Make(identity.Key{Namespace: "quiet"})}
	f.claim(mine, now)
	f.set(mine, failoverState{due: now.Add(failoverGoodFor)})
	for i := range uint32(failoversKept + 1) {
		key := cacheKey{identity: unique.Make(identity.Key{Namespace: "greedy"})}
		binary.BigEndian.PutUint32(key.source[:], i)
		f.claim(key, now)
	}
	if _, due := f.claim(mine, now.Add(time.Hour)); due {
		t.Error("what was looked at is due again")
	}
}

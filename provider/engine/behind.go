package engine

import (
	"time"

	"k8s.io/klog/v2"
)

// behindTime is how long a store must answer with an earlier version than the one
// held before it is believed: longer than a replica lags behind, and short enough
// for a secret that was made anew on purpose, whose versions start again at one,
// at a store that does not tell when it was made.
const behindTime = 5 * time.Minute

// behind is what an entry knows of a store that answers with an earlier version than
// the one held, as a replica does that lags behind.
type behind struct {
	since  time.Time // the first such answer since the last one that was up to date
	logged bool
}

// isBehind says that h is an earlier version than the one held and not believed yet.
func (e *entry) isBehind(h *held, s *source, now time.Time) bool {
	answered, has := h.value.Order, e.held.value.Order
	if answered == 0 || answered >= has || h.value.Made.After(e.held.value.Made) {
		e.behind.since = time.Time{}
		return false
	}
	if e.behind.since.IsZero() {
		e.behind.since = now
	}
	if now.Sub(e.behind.since) >= behindTime {
		klog.InfoS("A store has answered only with an earlier version of a value for a while, so that it is served now", "store", s.connection.typeName, "answered", answered, "before", has)
		e.behind = behind{}
		return false
	}
	if !e.behind.logged {
		klog.InfoS("A store answers with an earlier version of a value than before, as a replica does that lags behind; the later one is served on", "store", s.connection.typeName, "answered", answered, "served", has, "until", e.behind.since.Add(behindTime))
		e.behind.logged = true
	}
	return true
}

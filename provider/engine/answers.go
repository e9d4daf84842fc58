package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// scope is the identity that values are read for, with the operator's rules that
// apply to it.
type scope struct {
	as     identity.Identity
	key    identityHandle
	config *config.Config
	keyed  versionKey
	// notBefore is the time since which a value must have been read to be served
	// without a call; zero leaves it to the refresh interval.
	notBefore time.Time
	mount     uint64 // the number of the mount
	budget    *budget
	trace     *trace // nil for none
}

func (a scope) pod() string { return podKey(a.as.PodUID) }

// podKey is the pod of a cacheKey.
func podKey(uid string) string { return "pod " + uid }

// answer is the result for one source: a held value or an error, never both.
type answer struct {
	reading *reading
	err     error
	stale   bool // past its refresh, because its store is unavailable
}

// held is the held value, nil for an error.
func (ans answer) held() *held {
	if ans.reading == nil {
		return nil
	}
	return ans.reading.held
}

// get returns an answer for each source: from memory if the value is fresh, from
// the flight of another mount if there is one, else from a read of its own.
func (c *cache) get(ctx context.Context, a scope, sources []*source) []answer {
	answers := make([]answer, len(sources))
	pending := make([]int, 0, len(sources))
	for i, s := range sources {
		if !allowed(s.allow, a.as) {
			answers[i].err = notAllowed(a.as)
			continue
		}
		pending = append(pending, i)
	}
	// Another round reads what the flight of another pod could not answer.
	for len(pending) > 0 {
		pending = c.round(ctx, a, sources, pending, answers)
	}
	return answers
}

// notAllowed is the error of an identity that may not use the operator's store.
func notAllowed(as identity.Identity) error {
	return fmt.Errorf("%w: the operator's allow list for this store has no entry for %s/%s", fault.ErrDenied, message.Printable(as.Namespace), message.Printable(as.ServiceAccount))
}

// fromMemory returns the answers if the cache has all of them: fresh values, and
// stale ones whose store failed a moment ago. staleOK also returns values past
// their refresh, for a caller whose time is over.
func (c *cache) fromMemory(a scope, sources []*source, staleOK bool) ([]answer, bool) {
	answers := make([]answer, len(sources))
	c.mu.Lock()
	defer c.mu.Unlock()
	now, stale := c.now(), 0
	for i, s := range sources {
		if !allowed(s.allow, a.as) {
			return nil, false
		}
		e := c.entry(a, s, now)
		switch {
		case c.fresh(a, e, s, now):
		case (staleOK || now.Before(e.retry)) && e.standsIn(s, a.config, now):
			stale++
			answers[i].stale = true
		default:
			return nil, false
		}
		answers[i].reading = e.reading
	}
	c.metrics.cacheRequests.hit.Add(float64(len(sources) - stale))
	c.metrics.cacheRequests.stale.Add(float64(stale))
	return answers, true
}

// waiting is a source that waits for a flight.
type waiting struct {
	index  int
	entry  *entry
	flight *flight
	mine   bool // this mount started the flight
}

func (c *cache) round(ctx context.Context, a scope, sources []*source, pending []int, answers []answer) (again []int) {
	var waits []waiting
	var fetches []fetch

	c.mu.Lock()
	now := c.now()
	for _, i := range pending {
		s := sources[i]
		e := c.entry(a, s, now)
		switch {
		case c.fresh(a, e, s, now):
			c.metrics.cacheRequests.hit.Inc()
			answers[i] = answer{reading: e.reading}
		case now.Before(e.retry) && e.standsIn(s, a.config, now):
			c.metrics.cacheRequests.stale.Inc()
			answers[i] = answer{reading: e.reading, stale: true}
		default:
			requests, own := c.metrics.cacheRequests.shared, e.flight == nil
			if own {
				requests = c.metrics.cacheRequests.miss
				e.flight = &flight{done: make(chan struct{}), pod: a.pod()}
				c.conns.retain(s.connection)
				fetches = append(fetches, fetch{e, e.flight, s})
			}
			requests.Inc()
			e.flight.waiters++
			waits = append(waits, waiting{i, e, e.flight, own})
		}
	}
	c.mu.Unlock()

	c.read(ctx, a, fetches, bytesOf(answers))
	for _, w := range waits {
		select {
		case <-w.flight.done:
		case <-ctx.Done():
		}
		c.mu.Lock()
		w.flight.waiters--
		c.mu.Unlock()
		select {
		case <-w.flight.done:
		default:
			answers[w.index] = c.afterFailure(w.entry, sources[w.index], a.config, fmt.Errorf("%w: no answer before the mount's time was over (%w)", fault.ErrUnavailable, ctx.Err()))
			continue
		}
		anothers := w.flight.pod != a.pod()
		switch {
		case w.flight.full && !w.mine:
			again = append(again, w.index)
		case anothers && (w.flight.perPod || errors.Is(w.flight.err, identity.ErrNoToken)):
			// The value belongs to the other pod alone, or the other pod lacked a
			// token that this one may have.
			again = append(again, w.index)
		case !w.mine && w.flight.reading.tooOld(a, sources[w.index]):
			// The read began too long ago for a pod that starts.
			again = append(again, w.index)
		case w.flight.err == nil:
			answers[w.index] = a.holding(w.flight.reading)
		default:
			answers[w.index] = c.afterFailure(w.entry, sources[w.index], a.config, w.flight.err)
		}
	}
	return again
}

// maxGathered bounds the bytes of all values that one mount reads, of which its
// files may hold only a part.
func maxGathered(config *config.Config) int64 {
	return madeFactor * int64(config.Bounds.ResponseBytes)
}

// holding is the answer of a value that was read, which takes memory whether or not
// the cache keeps it.
func (a scope) holding(r *reading) answer {
	if err := a.budget.take(int64(r.held.value.Data.Len())); err != nil {
		return answer{err: err}
	}
	return answer{reading: r}
}

func bytesOf(answers []answer) (total int64) {
	for _, ans := range answers {
		if h := ans.held(); h != nil {
			total += int64(h.value.Data.Len())
		}
	}
	return total
}

// afterFailure is the answer after a read that failed or timed out: the last good
// value while cache.staleOnError allows it (stale-if-error), else the error.
func (c *cache) afterFailure(e *entry, s *source, config *config.Config, err error) answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if fault.Of(err).StaleOK && e.standsIn(s, config, c.now()) {
		c.metrics.cacheRequests.stale.Inc()
		return answer{reading: e.reading, stale: true}
	}
	return answer{err: err}
}

// oldest is the age of the oldest value among the answers.
func (c *cache) oldest(answers []answer) time.Duration {
	now, oldest := c.now(), time.Duration(0)
	for _, ans := range answers {
		oldest = max(oldest, now.Sub(ans.reading.at))
	}
	return oldest
}

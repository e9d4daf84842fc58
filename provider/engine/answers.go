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

// ask is on whose behalf, and under which of the operator's rules, values are
// asked for.
type scope struct {
	as     identity.Identity
	key    identity.Key
	config *config.Config
	keyed  versionKey
}

func (a scope) pod() string { return "pod " + a.as.PodUID }

// answer is what became of one source: a held value or an error, never both.
type answer struct {
	held *held
	err  error
}

// get returns an answer for each of the sources. What is young enough comes
// from memory; what another mount is already reading is waited for; the rest is
// read together.
func (c *cache) get(ctx context.Context, a scope, sources []*source) []answer {
	answers := make([]answer, len(sources))
	pending := make([]int, 0, len(sources))
	for i, s := range sources {
		if !allowed(s.allow, a.as) {
			answers[i].err = fmt.Errorf("%w: the operator's allow list for this store has no entry for %s/%s", fault.ErrDenied, message.Printable(a.as.Namespace), message.Printable(a.as.ServiceAccount))
			continue
		}
		pending = append(pending, i)
	}
	// A further round is for what another pod's read could not answer.
	for len(pending) > 0 {
		pending = c.round(ctx, a, sources, pending, answers)
	}
	return answers
}

// known returns the answers if memory has them all: those that are young enough,
// and those that stand in for a store that just failed. late takes all that may
// stand in, for who has no time left to ask.
func (c *cache) fromMemory(a scope, sources []*source, late bool) ([]answer, bool) {
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
		case e.fresh(s, now):
		case (late || now.Before(e.retry)) && e.standsIn(s, a.config, now):
			stale++
		default:
			return nil, false
		}
		answers[i] = e.answer()
	}
	c.metrics.cacheRequests.hit.Add(float64(len(sources) - stale))
	c.metrics.cacheRequests.stale.Add(float64(stale))
	return answers, true
}

// waiting is a source whose answer comes from a flight.
type waiting struct {
	index  int
	entry  *entry
	flight *flight
	mine   bool // begun by this mount
}

func (c *cache) round(ctx context.Context, a scope, sources []*source, pending []int, answers []answer) (again []int) {
	var waits []waiting
	var claimed []claim

	c.mu.Lock()
	now := c.now()
	for _, i := range pending {
		s := sources[i]
		e := c.entry(a, s, now)
		switch {
		case e.fresh(s, now):
			c.metrics.cacheRequests.hit.Inc()
			answers[i] = e.answer()
		case now.Before(e.retry) && e.standsIn(s, a.config, now):
			c.metrics.cacheRequests.stale.Inc()
			answers[i] = e.answer()
		default:
			requests, own := c.metrics.cacheRequests.shared, e.flight == nil
			if own {
				requests = c.metrics.cacheRequests.miss
				e.flight = &flight{done: make(chan struct{}), pod: a.pod()}
				c.conns.retain(s.connection)
				claimed = append(claimed, claim{e, e.flight, s})
			}
			requests.Inc()
			e.flight.waiters++
			waits = append(waits, waiting{i, e, e.flight, own})
		}
	}
	c.mu.Unlock()

	c.read(ctx, a, claimed, bytesOf(answers))
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
			// The value is another pod's own, or that pod lacked a token that
			// this one may have.
			again = append(again, w.index)
		case w.flight.err == nil:
			answers[w.index] = answer{held: w.flight.held}
		default:
			answers[w.index] = c.afterFailure(w.entry, sources[w.index], a.config, w.flight.err)
		}
	}
	return again
}

// mostGathered is the most bytes of values that one mount may bring together,
// of which its files may show a small part.
func mostGathered(config *config.Config) int64 {
	return max(int64(config.Cache.Bytes), madeFactor*int64(config.Bounds.ResponseBytes))
}

func bytesOf(answers []answer) (total int64) {
	for _, ans := range answers {
		if ans.held != nil {
			total += int64(ans.held.value.Data.Len())
		}
	}
	return total
}

// afterFailure is the answer to who waited for a read that failed, or did not end
// in time: the last good value while that is allowed, else the error.
func (c *cache) afterFailure(e *entry, s *source, config *config.Config, err error) answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if fault.Of(err).StaleOK && e.standsIn(s, config, c.now()) {
		c.metrics.cacheRequests.stale.Inc()
		return e.answer()
	}
	return answer{err: err}
}

// oldest is the age of the oldest value among the answers.
func (c *cache) oldest(answers []answer) time.Duration {
	now, oldest := c.now(), time.Duration(0)
	for _, ans := range answers {
		if age := now.Sub(ans.held.read); age > oldest {
			oldest = age
		}
	}
	return oldest
}

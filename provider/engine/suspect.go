package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
)

// markSuspect returns the indexes of the sources whose answers kept a volume from being made
// and were not read by this mount: they may have been corrected at the store since.
// It is called before the mount fails. For one value, readers are sent to the store
// at most every minRefresh, so that a class that always fails does not multiply
// reads; who fails meanwhile joins them. A value that the read has issued is not
// doubted, since a new one would be a new credential.
func (c *cache) markSuspect(a scope, p *plan, answers []answer, failures []failure) (indexes []int) {
	if len(failures) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for i, s := range p.sources {
		ans := answers[i]
		h := ans.held()
		if h == nil || ans.reading.mount == a.mount || s.steady || h.issued() || !slices.ContainsFunc(failures, func(f failure) bool { return f.implicates(s) }) {
			continue
		}
		e := c.entry(a, s, now)
		if e.flight == nil && e.held == h {
			if since := now.Sub(e.suspected); since >= 0 && since < minRefresh {
				continue
			}
			e.suspected = now
		}
		indexes = append(indexes, i)
	}
	return indexes
}

// implicates says that the failure may be due to what the source held. A failure without
// a source may be due to any.
func (f failure) implicates(s *source) bool {
	if f.of != nil && !slices.Contains(f.of, s.id) {
		return false
	}
	return (f.source == nil || f.source == s) && !errors.Is(f.err, fault.ErrUnavailable)
}

// readAgain replaces the answers at these indexes by what the stores hold now and
// says whether one is another.
func (c *cache) readAgain(ctx context.Context, a scope, p *plan, indexes []int, answers []answer) (changed bool) {
	a.notBefore = time.Time{}
	sources := make([]*source, len(indexes))
	for j, i := range indexes {
		sources[j] = p.sources[i]
		if after := answers[i].reading.at.Add(1); after.After(a.notBefore) {
			a.notBefore = after
		}
	}
	for j, again := range c.get(ctx, a, sources) {
		i := indexes[j]
		changed = changed || again.held() != answers[i].held()
		answers[i] = again
	}
	return changed
}

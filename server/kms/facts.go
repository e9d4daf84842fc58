package kms

import (
	"errors"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/kmsring"
	"github.com/lanyardhq/lanyard/server/status"
)

// keyUse is what Facts tell of the calls of a key's service.
type keyUse struct {
	calls, failures      uint64
	encrypted, decrypted time.Time
	text                 string
	failed               time.Time
}

// count counts a call. The caller holds mu.
func (m *Metrics) count(name, operation string, err error, now time.Time) {
	use := m.uses[name]
	if use == nil {
		use = &keyUse{}
		m.uses[name] = use
	}
	use.calls++
	switch {
	case err != nil && !errors.Is(err, fault.ErrNotFound):
		use.failures++
		use.text, use.failed = message.Passage(err.Error()), now
	case operation == "encrypt":
		use.encrypted = now
	default:
		use.decrypted = now
	}
}

// Facts are what the plugin tells of its ring.
func (s *Server) Facts() *status.Ring {
	now := time.Now()
	facts, ring := s.service.current.facts(now, s.service.interval)
	m := s.service.metrics
	states := m.services.States()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, entry := range ring.Entries() {
		one := status.Key{Name: message.Printable(entry.Name), Service: message.Printable(entry.Service()), Use: string(entry.State), State: status.KeyUnasked}
		if state, known := states[entry.Name]; known {
			one.State, one.Since = status.KeyUp, state.Since
			if state.Down {
				one.State = status.KeyDown
			}
		}
		if use := m.uses[entry.Name]; use != nil {
			one.Calls, one.Failures, one.Encrypted, one.Decrypted = use.calls, use.failures, use.encrypted, use.decrypted
			one.Error, one.LastFailure = use.text, use.failed
		}
		facts.Keys = append(facts.Keys, one)
	}
	return facts
}

// facts are those of the key that is named, and the ring for those of all.
func (c *current) facts(now time.Time, interval time.Duration) (*status.Ring, *kmsring.Ring) {
	keyID, problem := c.status(now, interval)
	c.mu.Lock()
	defer c.mu.Unlock()
	facts := &status.Ring{Healthy: problem == nil, Stale: problem != nil && keyID != "", Worked: c.good, Keys: []status.Key{}}
	if problem != nil {
		facts.Problem = message.Passage(problem.Error())
	}
	if facts.Stale {
		facts.Until = c.good.Add(c.ring.Outage)
	}
	if c.entry != nil {
		facts.Named, facts.KeyID = message.Printable(c.entry.Name), c.keyID
	}
	if next, at := c.ring.Pending(now); next != nil {
		facts.Next, facts.NextAt = message.Printable(next.Name), at
	}
	return facts, c.ring
}

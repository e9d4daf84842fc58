package main

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// What a poll is: the driver mounts every pod's volume again.
const (
	pollPods    = 110
	pollSecrets = 20
	pollRefresh = 3 * time.Second
	// A value is read again at 1.0 to 1.1 of its interval.
	pollDue = pollRefresh + pollRefresh/10 + 100*time.Millisecond
	// Polls that must read nothing stop well before the interval is over.
	pollQuiet = pollRefresh - 500*time.Millisecond
)

// measurePolls measures polls of 110 pods of one service account: the first,
// those before the refresh interval is over, and those after it.
func measurePolls(ctx context.Context, l *lab) ([]figure, error) {
	p, err := l.startPair(ctx, pollRefresh, func() ([]*v1alpha1.MountRequest, error) {
		return l.requests("poll", pollPods, class(small, pollSecrets))
	}, pollSecrets)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	p.proxy.SetDelay(vaultDelay)
	m := &polls{pair: p, rates: map[*server][]float64{}}
	if err := m.first(ctx, l); err != nil {
		return nil, err
	}
	for range l.samples(3) {
		if err := m.cycle(ctx); err != nil {
			return nil, err
		}
	}
	return m.figures(), nil
}

// polls is what the polls of a pair have come to.
type polls struct {
	*pair
	begun    time.Time // when the last poll that read began
	firstly  calls     // of the first poll
	inside   calls     // of all polls before an interval was over
	quiet    int       // how many those were
	after    []calls   // of each poll after one
	rates    map[*server][]float64
	readings []float64 // mounts/s of the polls that read
}

// first polls another provider, which has not seen the service account yet;
// the pair's own goes on with the cache that the pair's start has left.
func (m *polls) first(ctx context.Context, l *lab) error {
	fresh, err := l.startProvider(ctx, config(m.proxy.Address, pollRefresh))
	if err != nil {
		return err
	}
	m.provider.stop()
	m.provider = fresh
	forget(m.proxy)
	m.firstly, err = m.reading(ctx)
	return err
}

// reading is a poll that reads.
func (m *polls) reading(ctx context.Context) (calls, error) {
	forget(m.proxy)
	m.begun = time.Now()
	took, err := m.provider.poll(ctx, m.requests, m.files)
	m.readings = append(m.readings, pollPods/took.Seconds())
	return callsAt(m.proxy), err
}

// cycle polls the provider and the floor in turn for as long as the values are
// young, waits until they are not, and polls the provider once more.
func (m *polls) cycle(ctx context.Context) error {
	forget(m.proxy)
	run := func(s *server) func() error {
		return func() error {
			took, err := s.poll(ctx, m.requests, m.files)
			m.rates[s] = append(m.rates[s], pollPods/took.Seconds())
			return err
		}
	}
	for time.Since(m.begun) < pollQuiet {
		if err := alternate(2, run(m.provider), run(m.floor)); err != nil {
			return err
		}
		m.quiet += 2
	}
	seen := callsAt(m.proxy)
	m.inside.Logins += seen.Logins
	m.inside.Reads += seen.Reads
	select {
	case <-time.After(time.Until(m.begun.Add(pollDue))):
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := m.reading(ctx)
	m.after = append(m.after, after)
	return err
}

func (m *polls) figures() []figure {
	worst := m.after[0]
	for _, c := range m.after {
		if c.Logins+c.Reads > worst.Logins+worst.Reads {
			worst = c
		}
	}
	figures := []figure{
		heldToCalls("110 pods of one service account × 20 secrets: first poll", m.firstly, calls{Logins: 1, Reads: pollSecrets}, ""),
		heldToCalls("the same: polls before the interval is over", m.inside, calls{}, fmt.Sprintf("%d polls", m.quiet)),
		heldToCalls("the same: a poll after it", worst, calls{Reads: pollSecrets}, fmt.Sprintf("the most of %d", len(m.after))),
	}
	figures[1].Headline = "calls to Vault while 110 pods × 20 secrets are polled within the refresh interval"
	provider, floor := summarize("mounts/s", m.rates[m.provider]), summarize("mounts/s", m.rates[m.floor])
	rate := figure{
		What: "the same, 50 in flight: from memory", Unit: "mounts/s", Value: provider.P50, Floor: floor.P50, Calls: &m.inside,
		Samples: map[string]summary{"provider": provider, "floor": floor}, Chart: "110 pods polled, 50 in flight",
	}
	readings := summarize("mounts/s", m.readings)
	return append(figures, rate.held(atLeast, floor.P50/2, "floor / 2"), figure{
		What: "the same: a poll that reads, Vault + 10 ms", Unit: "mounts/s", Value: readings.P50, Calls: &worst,
		Samples: map[string]summary{"provider": readings},
	})
}

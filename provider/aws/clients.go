package aws

import (
	"sync"

	"golang.org/x/sync/errgroup"
)

// Clients are a service's clients, one for each region, made when they are
// first needed. It is safe for concurrent use.
type Clients[C any] struct {
	// New makes the client of a region.
	New func(region string) C

	mu   sync.Mutex
	made map[string]C
}

// In is the client of a region.
func (c *Clients[C]) In(region string) C {
	c.mu.Lock()
	defer c.mu.Unlock()
	client, ok := c.made[region]
	if !ok {
		client = c.New(region)
		if c.made == nil {
			c.made = map[string]C{}
		}
		c.made[region] = client
	}
	return client
}

// aloneAtOnce bounds what Each does at a time.
const aloneAtOnce = 8

// Each calls do for each of the indexes, a few at a time: what a store does with
// a batch that it may not read as one.
func Each(indexes []int, do func(i int)) {
	var group errgroup.Group
	group.SetLimit(aloneAtOnce)
	for _, i := range indexes {
		group.Go(func() error { do(i); return nil })
	}
	_ = group.Wait() //nolint:errcheck // there is no error
}

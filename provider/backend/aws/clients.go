package aws

import "sync"

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

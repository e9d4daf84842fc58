package aws

import (
	"fmt"
	"runtime/debug"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
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

// aloneAtOnce bounds what Each does at a time: a whole batch of the largest kind,
// so that secrets which may not be read as one are read in one wave.
const aloneAtOnce = 20

// Each reads each of the indexes by itself, all of a batch at once, and puts what became
// of it into results: what a store does with a batch that it may not read as one.
// A panic fails its read alone; its own text may hold a value, its type and place
// do not.
func Each(indexes []int, results []store.Result, read func(i int) (store.Value, error)) {
	var group errgroup.Group
	group.SetLimit(aloneAtOnce)
	for _, i := range indexes {
		group.Go(func() error {
			defer func() {
				if r := recover(); r != nil {
					klog.ErrorS(nil, "A read at AWS panicked", "panic", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
					results[i] = store.Result{Err: Failf(fault.ErrUnavailable, "the read failed by a fault in the provider; its log tells more")}
				}
			}()
			results[i].Value, results[i].Err = read(i)
			return nil
		})
	}
	_ = group.Wait() //nolint:errcheck // there is no error
}

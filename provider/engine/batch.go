package engine

import (
	"context"
	"fmt"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

// batchesOf divides claimed reads into those that go out together: of one
// connection, as many as its store takes at once. Reads of stores that take one
// at a time are batches of one.
func (c *cache) batchesOf(a scope, claimed []claim) [][]claim {
	type kind struct {
		connection *connection
		size       int
	}
	batches := make([][]claim, 0, len(claimed))
	open := map[kind]int{} // the batch that has room, as an index
	for _, cl := range claimed {
		size := c.batchSize(a, cl)
		if size <= 1 {
			batches = append(batches, []claim{cl})
			continue
		}
		k := kind{cl.source.connection, size}
		i, ok := open[k]
		if !ok || len(batches[i]) >= size {
			i = len(batches)
			open[k] = i
			batches = append(batches, make([]claim, 0, size))
		}
		batches[i] = append(batches[i], cl)
	}
	return batches
}

// batchSize is how many references like the claim's its store reads at once. Of a
// store that panics each is read alone: others may wait for the flights already.
func (c *cache) batchSize(a scope, cl claim) (size int) {
	batching, ok := cl.source.connection.store.(store.BatchReader)
	if !ok {
		return 1
	}
	defer func() {
		if r := recover(); r != nil {
			_ = c.panicked(cl.source.connection, r) //nolint:errcheck // nothing has failed yet
			size = 1
		}
	}()
	return batching.BatchSize(a.as, cl.source.ref)
}

// readTogether reads a batch of several, whose store is a store.BatchReader.
func readTogether(ctx context.Context, a scope, batch []claim) []store.Result {
	batching, ok := batch[0].source.connection.store.(store.BatchReader)
	if !ok {
		return failed(len(batch), fmt.Errorf("%w: a store that reads one at a time was asked for several", fault.ErrInternal))
	}
	refs := make([]store.Reference, len(batch))
	for i, cl := range batch {
		refs[i] = cl.source.ref
	}
	results := batching.ReadBatch(ctx, a.as, refs)
	if len(results) != len(batch) {
		return failed(len(batch), fmt.Errorf("%w: the store was asked for %d values and answered with %d", fault.ErrInternal, len(batch), len(results)))
	}
	return results
}

// failed are n results with one error.
func failed(n int, err error) []store.Result {
	results := make([]store.Result, n)
	for i := range results {
		results[i].Err = err
	}
	return results
}

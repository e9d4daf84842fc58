package engine

import (
	"context"
	"fmt"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

// batchesOf groups the fetches of one connection into batches of the size that its
// store accepts. A store without batch calls gets batches of one.
func (c *cache) batchesOf(a scope, fetches []fetch) [][]fetch {
	type kind struct {
		connection *connection
		size       int
	}
	batches := make([][]fetch, 0, len(fetches))
	open := map[kind]int{} // the batch that has room, as an index
	for _, ft := range fetches {
		size := c.batchSize(a, ft)
		if size <= 1 {
			batches = append(batches, []fetch{ft})
			continue
		}
		k := kind{ft.source.connection, size}
		i, ok := open[k]
		if !ok || len(batches[i]) >= size {
			i = len(batches)
			open[k] = i
			batches = append(batches, make([]fetch, 0, size))
		}
		batches[i] = append(batches[i], ft)
	}
	return batches
}

// batchSize is how many references like the fetch's its store reads in one call. It
// is 1 if the store panics: other mounts may already wait for the flights.
func (c *cache) batchSize(a scope, ft fetch) (size int) {
	batching, ok := ft.source.connection.store.(store.BatchReader)
	if !ok {
		return 1
	}
	defer func() {
		if r := recover(); r != nil {
			_ = c.panicked(ft.source.connection, r) //nolint:errcheck // nothing has failed yet
			size = 1
		}
	}()
	return batching.BatchSize(a.as, ft.source.ref)
}

// readTogether reads a batch of several from a store.BatchReader.
func readTogether(ctx context.Context, a scope, batch []fetch) []store.Result {
	batching, ok := batch[0].source.connection.store.(store.BatchReader)
	if !ok {
		return failed(len(batch), fmt.Errorf("%w: a store without batch calls got a batch", fault.ErrInternal))
	}
	refs := make([]store.Reference, len(batch))
	for i, ft := range batch {
		refs[i] = ft.source.ref
	}
	results := batching.ReadBatch(ctx, a.as, refs)
	if len(results) != len(batch) {
		return failed(len(batch), fmt.Errorf("%w: a batch of %d references got %d results", fault.ErrInternal, len(batch), len(results)))
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

package store

import (
	"errors"
	"fmt"
	"runtime/debug"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/fault"
)

// maxTogether is how many reads Each makes at a time: a whole batch of the largest
// kind, so that secrets which may not be read with one call are read in one wave.
const maxTogether = 20

// Each reads the references at these indexes one by one, in parallel, and stores the
// outcomes in results: what a BatchReader does with a batch that the store refuses
// to read with one call. A panic fails only its own read, and its error holds the
// panic's type, never its text, which may hold a value.
func Each(indexes []int, results []Result, read func(i int) (Value, error)) {
	var group errgroup.Group
	group.SetLimit(maxTogether)
	for _, i := range indexes {
		group.Go(func() error {
			defer func() {
				if r := recover(); r != nil {
					klog.ErrorS(nil, "A read of a store panicked", "panic", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
					results[i] = Result{Err: fault.Fail(fault.ErrUnavailable, errors.New("the read failed by a fault in the provider; its log says more"))}
				}
			}()
			results[i].Value, results[i].Err = read(i)
			return nil
		})
	}
	_ = group.Wait() //nolint:errcheck // there is no error
}

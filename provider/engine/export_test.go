package engine

import "github.com/lanyardhq/lanyard/provider/share"

// HoldWork takes for a namespace what it gets for making plans and volumes, as classes
// that cost much do.
func (e *Engine) HoldWork(namespace string) (release func()) {
	var releases []func()
	for _, pool := range []*share.Pool{e.shares.plans, e.shares.builds} {
		for {
			held, ok := pool.TryAcquire(namespace, 1)
			if !ok {
				break
			}
			releases = append(releases, held.Release)
		}
	}
	return func() {
		for _, release := range releases {
			release()
		}
	}
}

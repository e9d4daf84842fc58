package engine

import (
	"crypto/sha256"
	"slices"
	"time"
	"weak"
)

// What failed and would fail again is not tried again at once: a class whose plan or
// whose files cannot be made would cost the same work at each try. The pause doubles
// with each failure, up to the driver's interval between two polls.
const (
	rememberMin = 5 * time.Second
	rememberMax = 75 * time.Second
	// The failures that are kept, each with a text of at most maxText.
	failedPlansKept  = 256
	failedBuildsKept = 256
)

// remembered is an error that holds until a time.
type remembered struct {
	err   *MountError
	until time.Time
	pause time.Duration
}

// again is the remembered error after one more failure; before may be the zero
// remembered.
func (before remembered) again(err *MountError, now time.Time) remembered {
	pause := min(max(2*before.pause, rememberMin), rememberMax)
	return remembered{err: err, until: now.Add(pause), pause: pause}
}

// failedBuild is a volume that could not be made of some values.
type failedBuild struct {
	remembered
	made []weak.Pointer[held] // the values, which are not kept for it
	of   [][sha256.Size]byte  // the sources whose values may be the cause
}

func weakly(answers []answer) []weak.Pointer[held] {
	made := make([]weak.Pointer[held], len(answers))
	for i, ans := range answers {
		made[i] = weak.Make(ans.held())
	}
	return made
}

// knownFailure is why the volume could not be made of these very answers a moment ago,
// or nil. It is called with mu held.
func (c *cache) knownFailure(key volumeKey, answers []answer) *failure {
	known, ok := c.failed.Get(key)
	if ok && c.now().Before(known.until) && slices.Equal(known.made, weakly(answers)) {
		c.metrics.remembered.volume.Inc()
		return &failure{err: known.err, of: known.of}
	}
	return nil
}

// rememberFailure remembers that the volume could not be made of the answers. Where a
// value could not be read, there is nothing to remember: the next mount reads it.
func (c *cache) rememberFailure(key volumeKey, p *plan, answers []answer, failures []failure) {
	if slices.ContainsFunc(answers, func(ans answer) bool { return ans.held() == nil }) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	failed := &failedBuild{made: weakly(answers), of: [][sha256.Size]byte{}}
	for _, s := range p.sources {
		if slices.ContainsFunc(failures, func(f failure) bool { return f.implicates(s) }) {
			failed.of = append(failed.of, s.id)
		}
	}
	if before, ok := c.failed.Get(key); ok && slices.Equal(before.made, failed.made) {
		failed.remembered = before.remembered
	}
	failed.remembered = failed.again(mountError(p, failures), c.now())
	c.failed.Add(key, failed)
}

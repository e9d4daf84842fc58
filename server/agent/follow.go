package agent

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/lanyardhq/lanyard/provider/engine"
)

// Follower reads a volume again and again and writes what has changed. A read that fails
// leaves what was written.
type Follower struct {
	// Read reads the volume, with the tokens as they are now, and fills in the outlook.
	Read func(context.Context, *engine.Outlook) (*engine.Volume, error)
	// Write puts the files where they belong. It is called at each round, so that files
	// which others took away come back.
	Write func([]engine.File) error
	// Before are the files that are there at the start; nil means none.
	Before []engine.File
	// Report is called after each round; an error ends Run.
	Report func(Round) error
	// Next is how long to wait after a round.
	Next func(Round) time.Duration
	// Now has the next round begin at once; nil never does.
	Now <-chan struct{}
}

// Round is one read and what became of it.
type Round struct {
	// Volume is what was read; nil if that failed.
	Volume  *engine.Volume
	Outlook engine.Outlook
	// Changes are those since the last round that succeeded.
	Changes []Change
	// Err is why the files are not up to date.
	Err error
	// Failed is how many rounds have failed in a row.
	Failed int
}

// Run makes a round at once and goes on until ctx ends, or Tell returns an error.
func (f *Follower) Run(ctx context.Context) error {
	failed := 0
	for {
		r := f.Round(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it is to end
		}
		if r.Err == nil {
			failed = 0
		} else {
			failed++
		}
		r.Failed = failed
		if err := f.Report(r); err != nil {
			return err
		}
		pause := time.NewTimer(f.Next(r))
		select {
		case <-ctx.Done():
		case <-pause.C:
		case <-f.Now:
		}
		pause.Stop()
	}
}

// Round reads and writes once.
func (f *Follower) Round(ctx context.Context) (r Round) {
	volume, err := f.Read(ctx, &r.Outlook)
	if err == nil {
		err = f.Write(volume.Files)
	}
	if err != nil {
		r.Err = err
		return r
	}
	r.Volume, r.Changes = volume, Changes(f.Before, volume.Files)
	f.Before = volume.Files
	return r
}

const (
	// minPause is the least time between two rounds.
	minPause = time.Second
	// maxPause is the most: within it, a new class or token file is noticed. What is read
	// then comes from memory while it is within its refresh.
	maxPause = time.Minute
	// maxRetry is the longest pause after rounds that failed.
	maxRetry = 15 * time.Second
)

// WhenDue is the Next of who keeps files as fresh as their refresh says. What the engine
// says has its jitter already.
func WhenDue(r Round) time.Duration {
	if r.Err != nil {
		pause := min(minPause<<min(r.Failed-1, 10), maxRetry)
		return pause - rand.N(pause/4)
	}
	return max(minPause, min(maxPause, time.Until(r.Outlook.Due)))
}

package aws

import (
	"math/rand/v2"
	"sync"
	"time"
)

// A region that was unavailable is asked last for this long, so that the reads
// of a node do not all wait for it, and so that it is found to be back soon.
const (
	minRest = 20 * time.Second
	maxRest = 40 * time.Second
)

// health is which regions of one store were unavailable lately.
type health struct {
	mu    sync.Mutex
	until map[string]time.Time
	text  map[string]string // why
}

// order returns the indexes of the regions in the order to ask them: those that
// are well first.
func (h *health) order(regions []string, now time.Time) []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	well, resting := make([]int, 0, len(regions)), []int(nil)
	for i, region := range regions {
		if now.Before(h.until[region]) {
			resting = append(resting, i)
		} else {
			well = append(well, i)
		}
	}
	return append(well, resting...)
}

// resting says whether the region was unavailable a moment ago, and why.
func (h *health) resting(region string, now time.Time) (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text[region], now.Before(h.until[region])
}

// doubtful says whether the region was unavailable when it was asked last.
func (h *health) doubtful(region string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.until[region]
	return ok
}

func (h *health) failed(region, why string, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.until == nil {
		h.until, h.text = map[string]time.Time{}, map[string]string{}
	}
	h.until[region] = now.Add(minRest + rand.N(maxRest-minRest))
	h.text[region] = why
}

func (h *health) answered(region string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.until, region)
	delete(h.text, region)
}

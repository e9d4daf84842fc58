package cmd

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/provider/engine"
)

// writeStores tells which stores are down; with all, of the others too.
func (r *statusReport) writeStores(w io.Writer, width int, color, all bool) {
	t := newColumnTable("STORE", "TYPE", "STATE", "SEEN BY", "SINCE", "CALLS", "FAILURES", "LATENCY")
	t.spare = []string{"LATENCY", "TYPE", "CALLS", "FAILURES"}
	type group struct {
		store, kind, state string
	}
	sums := map[group]*engine.StoreFacts{}
	nodes := map[group]int{}
	var groups []group
	for _, p := range r.Providers {
		for i := range p.Stores {
			s := &p.Stores[i]
			if s.State != engine.StoreDown && (!all || s.Calls == 0 && s.Reads == 0) {
				continue
			}
			key := group{s.Name, s.Type, s.State}
			sum := sums[key]
			if sum == nil {
				sum = &engine.StoreFacts{}
				sums[key], groups = sum, append(groups, key)
			}
			nodes[key]++
			sum.Since = earlier(sum.Since, s.Since)
			sum.Calls, sum.Failures = sum.Calls+s.Calls, sum.Failures+s.Failures
			sum.LatencySeconds = max(sum.LatencySeconds, s.LatencySeconds)
			if s.LastFailure.After(sum.LastFailure) {
				sum.LastFailure, sum.Error = s.LastFailure, s.Error
			}
		}
	}
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.state, b.state), strings.Compare(a.store, b.store), strings.Compare(a.kind, b.kind))
	})
	for _, g := range groups {
		sum := sums[g]
		t.add(g.store, cmp.Or(g.kind, "-"), g.state, fmt.Sprintf("%d of %d", nodes[g], r.readers()), r.ago(sum.Since),
			strconv.FormatUint(sum.Calls, 10), strconv.FormatUint(sum.Failures, 10), (time.Duration(sum.LatencySeconds*1000) * time.Millisecond).String())
	}
	if len(groups) == 0 {
		return
	}
	fmt.Fprintln(w)
	t.write(w, width, color)
	for _, g := range groups {
		if g.state == engine.StoreDown && sums[g].Error != "" {
			writeIndented(w, g.store+": "+sums[g].Error, width)
		}
	}
}

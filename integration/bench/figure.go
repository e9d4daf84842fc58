package main

import (
	"math"
	"slices"
)

// result is a run.
type result struct {
	Machine machine  `json:"machine"`
	Figures []figure `json:"figures"`
	// Parts are what the binary is made of.
	Parts []part `json:"binary,omitempty"`
}

// missed are the figures that miss their targets.
func (r *result) missed() []figure {
	return slices.DeleteFunc(slices.Clone(r.Figures), func(f figure) bool { return f.met() })
}

// bound is how a figure is held to its target.
type bound string

// The bounds. A figure without one is there to be known.
const (
	atMost  bound = "at most"
	atLeast bound = "at least"
	exactly bound = "exactly"
)

// figure is one line of the result.
type figure struct {
	Group string  `json:"group"`
	What  string  `json:"what"`
	Unit  string  `json:"unit,omitempty"`
	Value float64 `json:"value"`
	// Floor is the same of the floor; zero if there is none.
	Floor float64 `json:"floor,omitempty"`
	// Bound and Target are what the figure is held to, in its unit; Rule says
	// where the target comes from.
	Bound  bound   `json:"bound,omitempty"`
	Target float64 `json:"target,omitempty"`
	Rule   string  `json:"rule,omitempty"`
	Met    *bool   `json:"met,omitempty"`
	// Calls are what reached the store meanwhile.
	Calls *calls `json:"calls,omitempty"`
	Note  string `json:"note,omitempty"`
	// Samples are what the values were taken from, by what was measured.
	Samples map[string]summary `json:"samples,omitempty"`
	// Chart is the figure's name in the plot, Headline its line in the README;
	// empty leaves it out there.
	Chart    string `json:"chart,omitempty"`
	Headline string `json:"headline,omitempty"`
}

// calls are requests at the store.
type calls struct {
	Logins int `json:"logins"`
	Reads  int `json:"reads"`
}

// held sets what the figure is held to.
func (f figure) held(b bound, target float64, rule string) figure {
	f.Bound, f.Target, f.Rule = b, target, rule
	met := false
	switch b {
	case atMost:
		met = f.Value <= target
	case atLeast:
		met = f.Value >= target
	case exactly:
		met = f.Value == target
	}
	f.Met = &met
	return f
}

// heldToCalls is a number of calls that has to be this one exactly.
func heldToCalls(what string, got, want calls, note string) figure {
	f := figure{What: what, Unit: "calls", Value: float64(got.Logins + got.Reads), Calls: &got, Note: note}
	f = f.held(exactly, float64(want.Logins+want.Reads), want.String())
	met := got == want
	f.Met = &met
	return f
}

func (f figure) met() bool { return f.Met == nil || *f.Met }

// summary is what many samples come to.
type summary struct {
	N    int     `json:"n"`
	Unit string  `json:"unit"`
	Min  float64 `json:"min"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

func summarize(unit string, samples []float64) summary {
	if len(samples) == 0 {
		return summary{Unit: unit}
	}
	sorted := slices.Sorted(slices.Values(samples))
	at := func(share float64) float64 { // the nearest rank
		return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
	}
	return summary{N: len(sorted), Unit: unit, Min: sorted[0], P50: at(0.5), P90: at(0.9), P99: at(0.99), Max: sorted[len(sorted)-1]}
}

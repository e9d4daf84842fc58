package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// auditShare is what an audit file may take of the mounts in a second, in percent.
const auditShare = 5

// collector takes spans as fast as they come, and returns its URL and the function that ends it.
func collector() (url string, stop func()) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) //nolint:errcheck // the provider counts what it cannot send
	}))
	return s.URL + "/v1/traces", s.Close
}

// measureAudit measures repeat mounts with an audit file and without, 32 at a time: records
// that mounts do not wait for, and records each of which is in the file before its mount is
// answered. The same with traces of a hundredth of the mounts and of all, to a service on
// this machine, whose work counts.
func measureAudit(ctx context.Context, l *lab) ([]figure, error) {
	const secrets, inFlight = 20, 32
	proxy, err := l.proxy(ctx, 0)
	if err != nil {
		return nil, err
	}
	defer proxy.Close()
	requests, err := l.requests("audit", 1, class(small, secrets))
	if err != nil {
		return nil, err
	}
	collecting, stop := collector()
	defer stop()
	var figures []figure
	for _, kind := range []struct {
		what, settings string
		bounded        bool
	}{
		{"repeat mounts, 20 secrets, 32 in flight, with an audit file", "audit: {file: {path: DIR/audit.log}}", true},
		{"the same, audit.required", "audit: {file: {path: DIR/audit.log}, required: true}", false},
		{"the same with traces of 1 %, without an audit file", "tracing: {sampleRatio: 0.01, url: '" + collecting + "'}", true},
		{"the same with traces of all, without an audit file", "tracing: {url: '" + collecting + "'}", false},
	} {
		dir, err := l.newDir()
		if err != nil {
			return nil, err
		}
		plain := config(proxy.Address, never)
		with, without, err := l.rates(ctx, plain+strings.ReplaceAll(kind.settings, "DIR", dir)+"\n", plain, func(s *server) (float64, error) {
			return s.rate(ctx, requests, secrets, inFlight, 400*time.Millisecond)
		})
		if err != nil {
			return nil, err
		}
		f := figure{
			What: kind.what, Unit: "mounts/s", Value: with.P50,
			Samples: map[string]summary{"provider": with, "without": without},
			Note:    fmt.Sprintf("%.1f %% less than without, %.0f mounts/s", 100*(1-with.P50/without.P50), without.P50),
		}
		if kind.bounded {
			f = f.held(atLeast, without.P50*(100-auditShare)/100, fmt.Sprintf("without - %d %%", auditShare))
		}
		figures = append(figures, f)
	}
	return figures, nil
}

// rates measures a provider with one configuration and with another, in short alternating
// blocks, and several processes of each: one is faster than the next by a few percent for
// as long as it lives.
func (l *lab) rates(ctx context.Context, one, other string, rate func(*server) (float64, error)) (ones, others summary, err error) {
	const processes, blocks = 5, 10
	var measured [2][]float64
	pair := func() error {
		var runs [2]func() error
		for i, configuration := range []string{one, other} {
			s, err := l.startProvider(ctx, configuration)
			if err != nil {
				return err
			}
			defer s.stop()
			if _, err := rate(s); err != nil { // warm
				return err
			}
			runs[i] = func() error {
				n, err := rate(s)
				measured[i] = append(measured[i], n)
				return err
			}
		}
		return alternate(l.samples(blocks), runs[0], runs[1])
	}
	for range processes {
		if err := pair(); err != nil {
			return ones, others, err
		}
	}
	return summarize("mounts/s", measured[0]), summarize("mounts/s", measured[1]), nil
}

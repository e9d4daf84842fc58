package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
)

// never is a refresh interval that does not end during a measurement.
const never = time.Hour

// pair is the provider with everything in its cache, and the floor that
// answers the same bytes.
type pair struct {
	proxy    *faultproxy.Proxy
	provider *server
	floor    *server
	requests []*v1alpha1.MountRequest
	files    int
}

// startPair starts both. The first request is mounted, and its response is the
// floor's. Requests must be those of one service account.
func (l *lab) startPair(ctx context.Context, refresh time.Duration, requests func() ([]*v1alpha1.MountRequest, error), files int) (_ *pair, err error) {
	p := &pair{files: files}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	if p.proxy, err = l.proxy(ctx, 0); err != nil {
		return nil, err
	}
	if p.requests, err = requests(); err != nil {
		return nil, err
	}
	if p.provider, err = l.startProvider(ctx, config(p.proxy.Address, refresh)); err != nil {
		return nil, err
	}
	response, err := p.provider.mount(ctx, p.requests[0], files)
	if err != nil {
		return nil, err
	}
	if p.floor, err = l.startFloor(ctx, response); err != nil {
		return nil, err
	}
	same, err := p.floor.mount(ctx, p.requests[0], files)
	if err == nil && !proto.Equal(response, same) {
		err = errors.New("the floor does not answer the same bytes as the provider")
	}
	return p, err
}

func (p *pair) stop() {
	if p.floor != nil {
		p.floor.stop()
	}
	if p.provider != nil {
		p.provider.stop()
	}
	if p.proxy != nil {
		p.proxy.Close()
	}
}

// measureRepeat measures mounts of 20 secrets that are fresh in the cache: one
// at a time and 32 at a time, in short alternating blocks.
func measureRepeat(ctx context.Context, l *lab) ([]figure, error) {
	const secrets = 20
	p, err := l.startPair(ctx, never, func() ([]*v1alpha1.MountRequest, error) {
		return l.requests("repeat", 1, class(small, secrets))
	}, secrets)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	for _, s := range []*server{p.provider, p.floor} { // warm
		if _, err := s.rate(ctx, p.requests, secrets, 8, 500*time.Millisecond); err != nil {
			return nil, err
		}
	}
	forget(p.proxy)
	one, err := p.oneAtATime(ctx, l)
	if err != nil {
		return nil, err
	}
	many, err := p.manyAtATime(ctx, l)
	if err != nil {
		return nil, err
	}
	seen := callsAt(p.proxy)
	figures := slices.Concat(one, many)
	for i := range figures {
		figures[i].Calls = &seen
	}
	return figures, nil
}

func (p *pair) oneAtATime(ctx context.Context, l *lab) ([]figure, error) {
	const block = 250
	measured := map[*server][]float64{}
	run := func(s *server) func() error {
		return func() error {
			took, err := s.latencies(ctx, p.requests[0], p.files, block)
			measured[s] = append(measured[s], took...)
			return err
		}
	}
	if err := alternate(l.samples(40), run(p.provider), run(p.floor)); err != nil {
		return nil, err
	}
	provider, floor := summarize("ms", measured[p.provider]), summarize("ms", measured[p.floor])
	samples := map[string]summary{"provider": provider, "floor": floor}
	p50 := figure{
		What: "repeat mount, 20 secrets, fresh in cache: p50", Unit: "ms", Value: provider.P50, Floor: floor.P50,
		Samples: samples, Chart: "repeat mount, 20 secrets, p50",
		Headline: "a mount answered from memory, 20 secrets: p50",
	}
	p99 := figure{What: "the same: p99", Unit: "ms", Value: provider.P99, Floor: floor.P99}
	return []figure{p50.held(atMost, 1.3*floor.P50, "1.3 × floor"), p99}, nil
}

func (p *pair) manyAtATime(ctx context.Context, l *lab) ([]figure, error) {
	const inFlight, block = 32, 400 * time.Millisecond
	measured := map[*server][]float64{}
	run := func(s *server) func() error {
		return func() error {
			rate, err := s.rate(ctx, p.requests, p.files, inFlight, block)
			measured[s] = append(measured[s], rate)
			return err
		}
	}
	if err := alternate(l.samples(20), run(p.provider), run(p.floor)); err != nil {
		return nil, err
	}
	provider, floor := summarize("mounts/s", measured[p.provider]), summarize("mounts/s", measured[p.floor])
	f := figure{
		What: "the same, 32 in flight", Unit: "mounts/s", Value: provider.P50, Floor: floor.P50,
		Samples: map[string]summary{"provider": provider, "floor": floor}, Chart: "repeat mounts, 32 in flight",
	}
	return []figure{f.held(atLeast, floor.P50/2, "floor / 2")}, nil
}

package main

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/integration/issuer"
)

const (
	// cloudDelay is what each call of a cloud's server for tests takes.
	cloudDelay = 10 * time.Millisecond
	// cloudAddress is where it listens.
	cloudAddress = "127.0.0.1"
	// cloudSecrets is how many secrets of a store the classes have.
	cloudSecrets = 20
	// cloudRefresh is the refresh interval; a value is read again at 0.9 to 1.0
	// of it.
	cloudRefresh = 2 * time.Second
	cloudDue     = cloudRefresh + cloudRefresh/5
	// pollAccount is the service account whose 110 pods are polled.
	pollAccount = "poll"
)

// cloud is a cloud's server for tests, which knows the benchmark's service
// accounts, and what is measured of its stores.
type cloud struct {
	// config is the operator's.
	config string
	// audience is that of the tokens that the pods have.
	audience string
	// seen are the calls since the last time.
	seen   func() calls
	stores []cloudStore
	// polled is what 110 pods of one service account mount.
	polled cloudClass
	close  func()
}

// cloudStore is a store whose first mounts are measured.
type cloudStore struct {
	name  string
	chart string
	class cloudClass
}

// cloudClass is a class, and what it costs a service account that nobody has
// seen before.
type cloudClass struct {
	what       string
	parameters map[string]string
	files      int
	first      calls
}

// cloudAccounts are the service accounts that the groups of clouds take.
func (l *lab) cloudAccounts(stores int) []string {
	accounts := []string{pollAccount}
	for store := range stores {
		for i := range l.firstMounts() {
			accounts = append(accounts, firstAccount(store, i))
		}
	}
	return accounts
}

func firstAccount(store, i int) string { return fmt.Sprintf("first-%d-%d", store, i) }

// firstMounts is how many there are of each store; the first opens connections
// and is not measured.
func (l *lab) firstMounts() int { return 1 + l.samples(25) }

// cloudConfig is the operator's with these stores, each a line of YAML.
func cloudConfig(stores map[string]string) string {
	config := fmt.Sprintf("cluster: bench\ncache: {refresh: %s}\nstores:\n", cloudRefresh)
	for name, settings := range stores {
		config += fmt.Sprintf("  %s: {%s}\n", name, settings)
	}
	return config
}

// measureCloud measures first mounts of new service accounts, and counts what a
// node full of pods of one service account costs, first and at a refresh.
func (l *lab) measureCloud(ctx context.Context, c cloud, tokens *issuer.Issuer) ([]figure, error) {
	defer c.close()
	provider, err := l.startProvider(ctx, c.config)
	if err != nil {
		return nil, err
	}
	defer provider.stop()
	var figures []figure
	for i, store := range c.stores {
		f, err := l.firstMountsOf(ctx, provider, c, i, store, tokens)
		if err != nil {
			return nil, fmt.Errorf("first mounts from %s: %w", store.name, err)
		}
		figures = append(figures, f)
	}
	counted, err := l.pollCloud(ctx, provider, c, tokens)
	return append(figures, counted...), err
}

func (l *lab) firstMountsOf(ctx context.Context, provider *server, c cloud, nth int, store cloudStore, tokens *issuer.Issuer) (figure, error) {
	var took []float64
	for i := range l.firstMounts() {
		request, err := l.cloudRequest(tokens, c.audience, firstAccount(nth, i), 0, store.class.parameters)
		if err != nil {
			return figure{}, err
		}
		c.seen()
		start := time.Now()
		if _, err := provider.mount(ctx, request, store.class.files); err != nil {
			return figure{}, err
		}
		passed := ms(time.Since(start))
		seen := c.seen()
		if i == 0 {
			continue
		}
		took = append(took, passed)
		if seen != store.class.first {
			return figure{}, fmt.Errorf("one took %v, want %v", seen, store.class.first)
		}
	}
	s := summarize("ms", took)
	f := figure{
		What: fmt.Sprintf("first mount of %s at 10 ms: p50", store.class.what), Unit: "ms", Value: s.P50, Floor: 2 * ms(cloudDelay),
		Samples: map[string]summary{"provider": s}, Calls: &store.class.first, Chart: store.chart,
	}
	return f.held(atMost, 3*ms(cloudDelay), "login + 2 waves"), nil
}

func (l *lab) pollCloud(ctx context.Context, provider *server, c cloud, tokens *issuer.Issuer) ([]figure, error) {
	requests := make([]*v1alpha1.MountRequest, pollPods)
	for i := range requests {
		var err error
		if requests[i], err = l.cloudRequest(tokens, c.audience, pollAccount, i, c.polled.parameters); err != nil {
			return nil, err
		}
	}
	poll := func() (calls, error) {
		c.seen()
		_, err := provider.poll(ctx, requests, c.polled.files)
		return c.seen(), err
	}
	first, err := poll()
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(cloudDue):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	again, err := poll()
	refreshed := calls{Reads: c.polled.first.Reads}
	return []figure{
		heldToCalls(fmt.Sprintf("%d pods × %s: first poll", pollPods, c.polled.what), first, c.polled.first, ""),
		heldToCalls("the same: a refresh of unchanged values", again, refreshed, ""),
	}, err
}

// cloudRequest is what the driver sends for a volume of the service account's
// nth pod, which has a token of its own for the audience.
func (l *lab) cloudRequest(tokens *issuer.Issuer, audience, account string, n int, class map[string]string) (*v1alpha1.MountRequest, error) {
	who := claims(account, n)
	who.Audience = audience
	return l.requestWithToken(tokens, who, class)
}

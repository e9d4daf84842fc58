package main

import (
	"context"

	engine "github.com/lanyardhq/lanyard/provider/config"
)

// measureAccounts measures a node whose 110 pods all have service accounts of
// their own and arrive together.
func measureAccounts(ctx context.Context, l *lab) ([]figure, error) {
	const accounts, secrets = 110, 20
	proxy, err := l.proxy(ctx, vaultDelay)
	if err != nil {
		return nil, err
	}
	defer proxy.Close()
	requests, err := l.accounts("accounts", accounts, class(small, secrets))
	if err != nil {
		return nil, err
	}
	provider, err := l.startProvider(ctx, config(proxy.Address, never))
	if err != nil {
		return nil, err
	}
	defer provider.stop()
	took, err := provider.poll(ctx, requests, secrets)
	if err != nil {
		return nil, err
	}
	seen, maxInFlight := callsAt(proxy), proxy.MaxInFlight()
	forget(proxy)
	if _, err := provider.poll(ctx, requests, secrets); err != nil {
		return nil, err
	}
	again := callsAt(proxy)

	bound := figure{What: "the same: most calls in flight at the store", Unit: "calls", Value: float64(maxInFlight), Chart: "calls in flight at the store"}
	return []figure{
		heldToCalls("110 service accounts × 20 secrets: first poll", seen, calls{Logins: accounts, Reads: accounts * secrets}, ""),
		heldToCalls("the same: second poll", again, calls{}, ""),
		bound.held(atMost, float64(engine.Default().Bounds.StoreCalls), "bounds.storeCalls"),
		{What: "the same: first poll, Vault + 10 ms", Unit: "mounts/s", Value: accounts / took.Seconds(), Calls: &seen},
	}, nil
}

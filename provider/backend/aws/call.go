package aws

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// The mean of the first pause before a retry, and the longest.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
)

// Access is one store's way to AWS. A store embeds it, and has by it what is alike for all:
// Close of store.Store, and the whole of store.Prober and store.ClusterReader. It is safe
// for concurrent use.
type Access struct {
	platform *Platform
	settings Settings
	// failoverCheck is one of the words for it; empty for what keeps no values.
	failoverCheck string

	node     *Node                // nil for pods
	service  EndpointOf           // nil for what is no store
	over     [2]*remote.Transport // to the service and to the STS
	http     *http.Client         // to the service
	stsHTTP  *http.Client
	nodeHTTP *http.Client
	trusted  string // digest of settings.TLS and of the ways to credentials; may be empty
	release  func() // of the transports
	health   health // of the service
	sts      health // of the STS, which may be well where the service is not
}

// Connect returns the way to AWS with settings that have passed Check. storeType is
// what the calls are counted under. It reads the certificate files that the settings
// name, and makes no call. The error wraps fault.ErrInvalid.
func (p *Platform) Connect(storeType string, settings Settings) (*Access, error) {
	a := &Access{platform: p, settings: settings, release: func() {}}
	for i, way := range []struct {
		client  **http.Client
		network remote.Network
	}{{&a.http, settings.Networks.Service}, {&a.stsHTTP, settings.Networks.STS}, {&a.nodeHTTP, settings.Networks.Node}} {
		transport, release, err := p.transports.Acquire(remote.Route{TLS: settings.TLS, Network: way.network})
		if err != nil {
			a.release()
			return nil, err
		}
		before := a.release
		*way.client, a.release = transport.Client(storeType), func() { before(); release() }
		if i < len(a.over) {
			a.over[i] = transport
		}
	}
	ways := settings.Networks
	ways.Service = remote.Network{}
	if settings.TLS != (remote.TLS{}) || ways != (Networks{}) {
		a.trusted = fmt.Sprintf(" %x", sha256.Sum256(fmt.Appendf(nil, "%#v %#v", settings.TLS, ways)))
	}
	return a, nil
}

// ConnectStore is Connect for a store of values, whose fields it decodes and checks.
// byOperator says that the operator's configuration names the store, and service finds
// the endpoints that AWS has for it.
func (p *Platform) ConnectStore(storeType string, fields map[string]any, byOperator bool, over Networks, service EndpointOf) (*Access, error) {
	settings := storeSettings{Settings: DefaultSettings(), FailoverCheck: checkDaily}
	problems := remote.Decode(fields, &settings)
	settings.Networks = over
	settings.check(byOperator, &problems)
	settings.CheckHosts(service, &problems)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	access, err := p.Connect(storeType, settings.Settings)
	if err != nil {
		return nil, err
	}
	access.failoverCheck = settings.FailoverCheck
	access.Finds(service)
	return access, nil
}

// Regions are the regions of the settings.
func (a *Access) Regions() Regions { return Regions{a.settings.Region, a.settings.FailoverRegions} }

// Close releases the connections. No call runs during or after it.
func (a *Access) Close() { a.release() }

// Target is the region of one call, and the credentials for it.
type Target struct {
	// Region is the region to ask.
	Region string
	// Failover is true if it is not the first of the settings.
	Failover bool
	// Credentials are the pod's.
	Credentials awssdk.CredentialsProvider
}

// Format implements fmt.Formatter, so that no verb shows the credentials.
func (t Target) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "AWS in "+t.Region) //nolint:errcheck // fmt.Formatter has no error result
}

// Endpoint is the service's endpoint in a region; nil means that the SDK knows
// it.
func (a *Access) Endpoint(region string) *string { return endpointIn(a.settings.Endpoint, region) }

// HTTP is the client that the service's calls go through.
func (a *Access) HTTP() *http.Client { return a.http }

// FIPS and DualStack are which of the endpoints that the SDK knows are meant.
func (a *Access) FIPS() awssdk.FIPSEndpointState {
	if a.settings.FIPS {
		return awssdk.FIPSEndpointStateEnabled
	}
	return awssdk.FIPSEndpointStateDisabled
}

// DualStack is which of the endpoints that the SDK knows are meant.
func (a *Access) DualStack() awssdk.DualStackEndpointState {
	if a.settings.DualStack {
		return awssdk.DualStackEndpointStateEnabled
	}
	return awssdk.DualStackEndpointStateDisabled
}

// Call makes a call as the identity, and again if that may help: a bounded number
// of times while it may pass by itself, once with new credentials if they were
// refused, and then in the next region. A failover region is believed when it
// has what was asked for; its refusals say nothing of the first. call's error is
// the SDK's or wraps a kind of package fault; Call's wraps a kind or ctx's. what is the
// action and its object, such as "GetSecretValue db". A region that was unavailable when
// it was asked last is tried once.
func (a *Access) Call(ctx context.Context, as identity.Identity, what string, call func(context.Context, Target) error) error {
	regions, err := a.regions(ctx)
	if err != nil {
		return err
	}
	failures := make([]string, len(regions)) // in the order of the settings, whoever was asked first
	var last *CallError
	for n, i := range a.health.order(regions, a.platform.now()) {
		region := regions[i]
		if why, resting := a.health.resting(region, a.platform.now()); resting && last != nil {
			failures[i] = fmt.Sprintf("in %s: found unavailable a moment ago (%s)", region, why)
			continue
		}
		retries := a.settings.Retries
		if len(regions) > 1 && a.health.doubtful(region) {
			retries = 0
		}
		failed := a.inRegion(ctx, as, regions, i, len(regions)-n, retries, call)
		switch {
		case failed == nil:
			a.health.answered(region)
			return nil
		case ctx.Err() != nil && !errors.Is(failed, remote.ErrNoSlot):
			return fmt.Errorf("%s: no answer from AWS in the time given: %w", what, ctx.Err())
		case failed.everywhere:
			failed.Text = what + ": " + failed.Text
			return failed
		case i == 0 && !errors.Is(failed, fault.ErrUnavailable):
			failed.Text = what + " in " + region + ": " + failed.Text
			return failed
		case errors.Is(failed, fault.ErrUnavailable) && !errors.Is(failed, remote.ErrNoSlot):
			a.health.failed(region, failed.Text, a.platform.now())
		}
		failures[i], last = "in "+region+": "+failed.Text, failed
	}
	return &CallError{Kind: fault.ErrUnavailable, Text: what + " " + strings.Join(failures, "; "), cause: last.cause}
}

// regions are those to ask, the first of which may be the node's.
func (a *Access) regions(ctx context.Context) ([]string, error) {
	first := a.settings.Region
	if first == "" {
		var err error
		if first, err = a.platform.nodeRegion(ctx); err != nil {
			return nil, err
		}
	}
	regions := []string{first}
	for _, region := range a.settings.FailoverRegions {
		if region != first {
			regions = append(regions, region)
		}
	}
	if len(regions) == 1 && len(a.settings.FailoverRegions) > 0 {
		return nil, fault.Failf(fault.ErrInvalid, "failoverRegions names %s alone, which is the node's own region and so the first; name another, or give region", first)
	}
	return regions, nil
}

// shareOf is a part of the time that there is, one of so many equal ones.
func shareOf(ctx context.Context, parts int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || parts == 1 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(parts))
}

// inRegion makes the call in the region of this index, one of left that are still
// to be asked. They divide the time that is left when the credentials are there:
// who grants those divides it among the regions too.
func (a *Access) inRegion(ctx context.Context, as identity.Identity, regions []string, index, left, retries int, call func(context.Context, Target) error) *CallError {
	for renewed := false; ; renewed = true {
		granted, key, failed := a.credentialsFor(ctx, as, regions)
		if failed != nil {
			failed.everywhere = true // those who grant them were asked in all regions
			return failed
		}
		target := Target{Region: regions[index], Failover: index > 0, Credentials: credentials.StaticCredentialsProvider{Value: granted.Credential}}
		share, cancel := shareOf(ctx, left)
		failed = a.attempt(share, retries, left, func(ctx context.Context) *CallError {
			failed := asFailure(call(ctx, target))
			failed.from(speaker(a.settings.Networks.Service, a.settings.Endpoint, target.Region))
			return failed
		})
		cancel()
		if failed == nil || !failed.credentials || renewed || !a.platform.credentials.Forget(key, granted) {
			return failed
		}
	}
}

// asFailure is what became of a call.
func asFailure(err error) *CallError {
	var failed *CallError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failed):
		return failed
	case remote.HasKind(err):
		return &CallError{Kind: fault.Of(err).Err, Text: err.Error()}
	}
	return Explain(err)
}

// attempt tries until it succeeds, is refused, or there is no time left, at one of so
// many servers that are still to be asked.
func (a *Access) attempt(ctx context.Context, retries, servers int, try func(context.Context) *CallError) (failed *CallError) {
	backoff := remote.Backoff{Timeout: a.settings.Timeout, Retries: retries, First: firstPause, Max: maxPause, Impatient: servers > 1}
	err := backoff.Do(ctx, "AWS", func(ctx context.Context) remote.Outcome {
		if failed = try(ctx); failed == nil {
			return remote.Outcome{}
		}
		return remote.Outcome{Err: failed, Retry: errors.Is(failed, fault.ErrUnavailable), After: failed.after}
	})
	switch {
	case errors.Is(err, remote.ErrNoSlot):
		return &CallError{Kind: fault.ErrUnavailable, Text: err.Error(), cause: err}
	case remote.IsRefused(err):
		return &CallError{Kind: fault.ErrDenied, Text: err.Error(), cause: err}
	}
	return failed
}

// grant is a pod's credentials in use.
type grant = credential.Grant[awssdk.Credentials]

// Now returns the time of the platform's clock.
func (a *Access) Now() time.Time { return a.platform.now() }

package aws

import (
	"context"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// Audiences are those of the pod's tokens that a store with these fields logs in with.
func Audiences(fields map[string]any) []string {
	settings := DefaultSettings()
	remote.Decode(fields, &settings) // Open tells what cannot be read
	return []string{settings.Auth.audience()}
}

// Finds tells where AWS has the service, for Servers.
func (a *Access) Finds(service EndpointOf) { a.service = service }

// Servers are the service and the STS in the first region. The agent of EKS on the node
// speaks to pods alone.
func (a *Access) Servers(ctx context.Context) ([]remote.Server, error) {
	regions, err := a.regions(ctx)
	if err != nil {
		return nil, err
	}
	region, auth := regions[0], &a.settings.Auth
	servers, err := a.server(ctx, nil, a.over[0], "endpoint", a.settings.Endpoint, region, a.service)
	if err == nil && (auth.Method == methodWebIdentity || len(auth.Chain) > 0) {
		servers, err = a.server(ctx, servers, a.over[1], "auth.stsEndpoint", auth.STSEndpoint, region, endpointOfSTS)
	}
	return servers, err
}

// server adds the endpoint of the settings, or else the one that AWS has in the region.
func (a *Access) server(ctx context.Context, to []remote.Server, over *remote.Transport, setting, given, region string, of EndpointOf) ([]remote.Server, error) {
	if own := endpointIn(given, region); own != nil {
		return append(to, over.Server(setting, *own)), nil
	}
	found, err := of(ctx, &region, &a.settings.FIPS, &a.settings.DualStack)
	if err != nil {
		return nil, err
	}
	return append(to, over.Server("region", found.URI.String())), nil
}

// Login gets the identity's credentials, unless they are there.
func (a *Access) Login(ctx context.Context, as identity.Identity) error {
	regions, err := a.regions(ctx)
	if err != nil {
		return err
	}
	if _, _, failed := a.credentialsFor(ctx, as, regions); failed != nil {
		return failed
	}
	return nil
}

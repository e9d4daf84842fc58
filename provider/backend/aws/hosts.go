package aws

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	endpoints "github.com/aws/smithy-go/endpoints"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

// EndpointOf finds the endpoint that AWS has for a service in a region.
type EndpointOf func(ctx context.Context, region *string, fips, dualStack *bool) (endpoints.Endpoint, error)

// CheckHosts notes the regions whose endpoints the rules of the Networks refuse, where
// the settings name none. It makes no call.
func (s *Settings) CheckHosts(service EndpointOf, problems *remote.Problems) {
	for i, region := range append([]string{s.Region}, s.FailoverRegions...) {
		field := "region"
		if i > 0 {
			field = fmt.Sprintf("failoverRegions[%d]", i-1)
		}
		if !isRegion(region) {
			continue
		}
		if s.Endpoint == "" {
			s.checkHost(field, region, s.Networks.Service, service, problems)
		}
		if s.Auth.STSEndpoint == "" && (s.Auth.Method == methodWebIdentity || len(s.Auth.Chain) > 0) {
			s.checkHost(field, region, s.Networks.STS, endpointOfSTS, problems)
		}
	}
}

func (s *Settings) checkHost(field, region string, network remote.Network, of EndpointOf, problems *remote.Problems) {
	found, err := of(context.Background(), &region, &s.FIPS, &s.DualStack)
	if err == nil {
		network.Rule.Check(field, found.URI.String(), problems.Add)
	}
}

func endpointOfSTS(ctx context.Context, region *string, fips, dualStack *bool) (endpoints.Endpoint, error) {
	return sts.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, sts.EndpointParameters{Region: region, UseFIPS: fips, UseDualStack: dualStack})
}

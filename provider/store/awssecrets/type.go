// Package awssecrets is the store of AWS Secrets Manager. It reads text and
// binary secrets as the pod, the current version or another by its ID or stage,
// twenty with one call where the pod's role allows that, or all below a path as the
// fields of one JSON object, and from other regions while the first is unavailable.
//
// How the pod's identity becomes credentials, and which region is asked when, is
// provider/backend/aws's to know. Nothing is ever written or described.
//
// Start with Type and store.Read; batch.go is how several secrets are one call, path.go
// how a path is read.
package awssecrets

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	endpoints "github.com/aws/smithy-go/endpoints"

	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/store"
)

// typeName is the type's name in configuration files and classes.
const typeName = "aws-secrets-manager"

// Type is the kind of store.
type Type struct{ platform *aws.Platform }

// NewType returns the type over a platform, which it shares with others.
func NewType(platform *aws.Platform) *Type { return &Type{platform: platform} }

// Name is "aws-secrets-manager".
func (t *Type) Name() string { return typeName }

// WorkloadSettings are those of provider/backend/aws.
func (t *Type) WorkloadSettings() []string { return aws.WorkloadSettings() }

// Open checks the settings, which docs/stores/aws.md lists, and reads the
// certificate files that they name. It makes no call.
func (t *Type) Open(given store.Settings) (store.Store, error) {
	over := aws.Networks{Service: given.Reach("endpoint"), STS: given.Reach("auth.stsEndpoint"), Node: given.ReachNode("auth.agentEndpoint")}
	access, err := t.platform.ConnectStore(typeName, given.Fields, given.ByOperator, over, endpointOf)
	if err != nil {
		return nil, err
	}
	return newStore(access), nil
}

func endpointOf(ctx context.Context, region *string, fips, dualStack *bool) (endpoints.Endpoint, error) {
	return secretsmanager.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, secretsmanager.EndpointParameters{Region: region, UseFIPS: fips, UseDualStack: dualStack})
}

// Audiences implements store.TokenTaker.
func (*Type) Audiences(given store.Settings) []string { return aws.Audiences(given.Fields) }

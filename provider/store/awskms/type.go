// Package awskms is the store of values that stand in the class itself, encrypted
// with a key of AWS KMS: its references are ciphertext blobs, and reading one is
// decrypting it as the pod. The plaintext is what was given to kms:Encrypt, at
// most 4 KiB.
//
// How the pod's identity becomes credentials, and which region is asked when, is
// provider/backend/aws's to know. It never encrypts; sealed values, which are bound to
// their workload and opened without a call, are package sealed's.
//
// Start with Type and store.Read.
package awskms

import (
	"context"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	endpoints "github.com/aws/smithy-go/endpoints"

	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/store"
)

// typeName is the type's name in configuration files and classes.
const typeName = "aws-kms"

// Type is the kind of store.
type Type struct{ platform *aws.Platform }

// NewType returns the type over a platform, which it shares with others.
func NewType(platform *aws.Platform) *Type { return &Type{platform: platform} }

// Name is "aws-kms".
func (t *Type) Name() string { return typeName }

// WorkloadSettings are those of provider/backend/aws, and the key.
func (t *Type) WorkloadSettings() []string { return append(aws.WorkloadSettings(), "key") }

// settings are the connection as configured.
type settings struct {
	aws.Settings `yaml:",inline"`

	// Key restricts decryption to one key; empty allows every key that the pod may
	// use.
	Key string `yaml:"key"`
}

// keyForm is the ARN of a key or an alias.
// https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id
var keyForm = regexp.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[A-Za-z0-9/_-]+$`)

// maxKey is KMS's maximum length.
const maxKey = 2048

// Open checks the settings, which docs/stores/aws.md lists, and reads the
// certificate files that they name. It makes no call.
func (t *Type) Open(given store.Settings) (store.Store, error) {
	config := settings{Settings: aws.DefaultSettings()}
	problems := remote.Decode(given.Fields, &config)
	config.Networks = aws.Networks{Service: given.Reach("endpoint"), STS: given.Reach("auth.stsEndpoint"), Node: given.ReachNode("auth.agentEndpoint")}
	config.Check(given.ByOperator, &problems)
	config.CheckHosts(endpointOf, &problems)
	if config.Key != "" && (len(config.Key) > maxKey || !keyForm.MatchString(config.Key)) {
		problems.Add("key", "must be the ARN of a key or an alias, such as arn:aws:kms:eu-west-1:111122223333:alias/secrets")
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	access, err := t.platform.Connect(typeName, config.Settings)
	if err != nil {
		return nil, err
	}
	access.Finds(endpointOf)
	return newStore(access, config.Key), nil
}

func endpointOf(ctx context.Context, region *string, fips, dualStack *bool) (endpoints.Endpoint, error) {
	return kms.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, kms.EndpointParameters{Region: region, UseFIPS: fips, UseDualStack: dualStack})
}

// Audiences implements store.TokenTaker.
func (*Type) Audiences(given store.Settings) []string { return aws.Audiences(given.Fields) }

package aws

import (
	"context"
	"sync"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// Clients are what is called of a service, for each region made when it is first
// needed. It is safe for concurrent use.
type Clients[C any] struct {
	// New makes the client of a region.
	New func(region string) C

	mu   sync.Mutex
	made map[string]C
}

// In is the client of a region.
func (c *Clients[C]) In(region string) C {
	c.mu.Lock()
	defer c.mu.Unlock()
	client, ok := c.made[region]
	if !ok {
		client = c.New(region)
		if c.made == nil {
			c.made = map[string]C{}
		}
		c.made[region] = client
	}
	return client
}

// Operation is one operation of a service's client. Who keeps a client in a field that
// ends up in an interface keeps all of its operations in the binary, since templates
// look methods up by name; Parameter Store's has 150. Functions keep those alone that
// are called.
type Operation[Input, Output, Options any] func(context.Context, *Input, ...func(*Options)) (*Output, error)

// KMSCalls are the operations of KMS that are called in a region.
type KMSCalls struct {
	GenerateDataKey                 Operation[kms.GenerateDataKeyInput, kms.GenerateDataKeyOutput, kms.Options]
	GenerateDataKeyWithoutPlaintext Operation[kms.GenerateDataKeyWithoutPlaintextInput, kms.GenerateDataKeyWithoutPlaintextOutput, kms.Options]
	Decrypt                         Operation[kms.DecryptInput, kms.DecryptOutput, kms.Options]
}

// KMS returns what is called of KMS in a region, without repetitions of its own.
func (a *Access) KMS(region string, further ...func(*kms.Options)) KMSCalls {
	client := kms.New(kms.Options{
		Region: region, BaseEndpoint: a.Endpoint(region), HTTPClient: a.HTTP(), Retryer: awssdk.NopRetryer{},
		EndpointOptions: kms.EndpointResolverOptions{UseFIPSEndpoint: a.FIPS(), UseDualStackEndpoint: a.DualStack()},
	}, further...)
	return KMSCalls{client.GenerateDataKey, client.GenerateDataKeyWithoutPlaintext, client.Decrypt}
}

// KMS makes a call of KMS with the target's credentials.
func (t Target) KMS(o *kms.Options) { o.Credentials = t.Credentials }

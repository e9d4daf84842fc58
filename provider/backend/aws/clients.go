package aws

import (
	"sync"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// Clients are a service's clients, one for each region, made when they are
// first needed. It is safe for concurrent use.
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

// KMS returns the client of KMS in a region, without repetitions of its own.
func (a *Access) KMS(region string, further ...func(*kms.Options)) *kms.Client {
	return kms.New(kms.Options{
		Region: region, BaseEndpoint: a.Endpoint(region), HTTPClient: a.HTTP(), Retryer: awssdk.NopRetryer{},
		EndpointOptions: kms.EndpointResolverOptions{UseFIPSEndpoint: a.FIPS(), UseDualStackEndpoint: a.DualStack()},
	}, further...)
}

// KMS makes a call of KMS with the target's credentials.
func (t Target) KMS(o *kms.Options) { o.Credentials = t.Credentials }

package aws

import (
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/lanyardhq/lanyard/provider/backend/aws"
)

// newClient is the SDK's client of a region, without repetitions of its own.
// sourceARN, unless empty, goes with every call as the headers by which a
// service says for whom it asks, so that a key policy can demand it and no other
// cluster can use the node's role for this key.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
func newClient(access *aws.Access, region, sourceARN string) *kms.Client {
	opts := kms.Options{
		Region: region, HTTPClient: access.HTTP(), Retryer: awssdk.NopRetryer{}, BaseEndpoint: access.Endpoint(region),
		EndpointOptions: kms.EndpointResolverOptions{UseFIPSEndpoint: access.FIPS(), UseDualStackEndpoint: access.DualStack()},
	}
	if sourceARN != "" {
		account := strings.Split(sourceARN, ":")[4]
		opts.APIOptions = []func(*middleware.Stack) error{
			smithyhttp.SetHeaderValue("X-Amz-Source-Arn", sourceARN),
			smithyhttp.SetHeaderValue("X-Amz-Source-Account", account),
		}
	}
	return kms.New(opts)
}

// with makes a call with the target's credentials.
func with(target aws.Target) func(*kms.Options) {
	return func(o *kms.Options) { o.Credentials = target.Credentials }
}

package aws

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/lanyardhq/lanyard/provider/backend/aws"
)

// newClient is the SDK's client of a region. sourceARN, unless empty, goes with
// every call as the headers by which a service says for whom it asks, so that a key
// policy can demand it and no other cluster can use the node's role for this key.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
func newClient(access *aws.Access, region, sourceARN string) aws.KMSCalls {
	if sourceARN == "" {
		return access.KMS(region)
	}
	account := strings.Split(sourceARN, ":")[4]
	return access.KMS(region, func(o *kms.Options) {
		o.APIOptions = append(o.APIOptions,
			smithyhttp.SetHeaderValue("X-Amz-Source-Arn", sourceARN),
			smithyhttp.SetHeaderValue("X-Amz-Source-Account", account),
		)
	})
}

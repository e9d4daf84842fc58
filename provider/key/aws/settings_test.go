package aws

import (
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/key/keytest"
)

func TestEverySettingIsDecidedOn(t *testing.T) {
	const (
		one   = "arn:aws:kms:eu-west-1:111122223333:key/mrk-0123456789abcdef0123456789abcdef"
		other = "arn:aws:kms:eu-west-1:111122223333:key/mrk-1123456789abcdef0123456789abcdef"
	)
	node := map[string]any{"node": map[string]any{"method": "instanceRole"}}
	keytest.RunSettings(t, NewType(aws.New(aws.Options{})), &settings{}, map[string]any{"key": one}, map[string]keytest.Setting{
		"key": {Part: keytest.InName, To: other},
		// A multi-Region key is one key in all its regions, and only such a key may
		// be asked in another region than its ARN's.
		"region":          {Part: keytest.Reach, To: "eu-central-1"},
		"failoverRegions": {Part: keytest.Reach, To: []any{"eu-central-1"}},
		"endpoint":        {Part: keytest.Reach, To: "https://kms.example.com"},
		"fips":            {Part: keytest.Reach, To: true},
		"dualStack":       {Part: keytest.Reach, To: true},
		"auth":            {Part: keytest.Reach, To: map[string]any{"role": "arn:aws:iam::111122223333:role/r"}},
		"node":            {Part: keytest.Reach, To: map[string]any{"method": "instanceRole"}},
		"sourceArn":       {Part: keytest.Reach, With: node, To: "arn:aws:eks:eu-west-1:111122223333:cluster/c"},
		"tls":             {Part: keytest.Reach, To: map[string]any{"caCertFile": "/ca.pem"}},
		"timeout":         {Part: keytest.Reach, To: "7s"},
		"retries":         {Part: keytest.Reach, To: 5},
	})
}

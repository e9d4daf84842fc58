package aws

import (
	"reflect"
	"regexp"
	"sync"

	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/key"
)

// settings are a key as configured.
type settings struct {
	aws.Settings `yaml:",inline"`

	// Key is the ARN of the key or alias.
	Key string `yaml:"key"`
	// Node is how the node itself gets credentials; nil means that pods use
	// the key as themselves.
	Node *aws.Node `yaml:"node"`
	// SourceARN is the resource on whose behalf the node asks, for the
	// conditions aws:SourceArn and aws:SourceAccount of key policies.
	SourceARN string `yaml:"sourceArn"`
}

// parseSettings returns the settings with their defaults, the key's ARN, and
// all that is wrong with them.
func parseSettings(given key.Settings) (*settings, arn, remote.Problems) {
	config := &settings{Settings: aws.DefaultSettings()}
	problems := remote.Decode(given.Fields, config)
	parsed, ok := parseARN(config.Key)
	if !ok {
		problems.Add("key", "must be the ARN of a key or an alias, such as arn:aws:kms:eu-west-1:111122223333:alias/kms")
	} else {
		config.checkRegions(parsed, &problems)
	}
	config.Networks = aws.Networks{Service: given.Network(), STS: given.Network()}
	config.Check(given.ByOperator, &problems)
	config.checkNode(given.ByOperator, &problems)
	return config, parsed, problems
}

// checkRegions takes the region from the ARN where the settings name none.
func (s *settings) checkRegions(of arn, problems *remote.Problems) {
	if s.Region == "" {
		s.Region = of.region
	}
	if s.Region != of.region && !of.multiRegion() {
		problems.Add("region", "is not the key's, which is in %s; leave it out, or name a multi-Region key by its ARN (key/mrk-...)", of.region)
	}
	if len(s.FailoverRegions) > 0 && !of.multiRegion() {
		problems.Add("failoverRegions", "needs a multi-Region key with a replica in each of them, by its ARN (key/mrk-...): an alias may point elsewhere there")
	}
}

// anyARN is the form of ARNs, of which the account is taken.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
var anyARN = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:([0-9]{12}):[!-~]{1,900}$`)
})

func (s *settings) checkNode(byOperator bool, problems *remote.Problems) {
	if s.SourceARN != "" && !anyARN().MatchString(s.SourceARN) {
		problems.Add("sourceArn", "must be the ARN of the resource that asks, with its account, such as arn:aws:eks:eu-west-1:111122223333:cluster/production")
	}
	if s.SourceARN != "" && s.Node == nil {
		problems.Add("sourceArn", "goes with node: a pod asks on its own behalf")
	}
	if s.Node == nil {
		return
	}
	if !byOperator {
		problems.Add("node", "is the node's own right, so only the operator's configuration may give it")
	}
	if !reflect.DeepEqual(s.Auth, aws.DefaultSettings().Auth) {
		problems.Add("auth", "is how pods log in, and with node the key is the node's alone; remove one of the two")
	}
	s.Node.Check(problems)
}

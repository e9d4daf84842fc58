// Package aws is the key service of AWS KMS, with symmetric keys: by the ARN of
// a key or of an alias, single-Region or multi-Region. The context is the
// encryption context, so that KMS enforces it, policies can demand it and
// CloudTrail shows it.
//
// It encrypts with a data key for each plaintext, which KMS makes and wraps,
// because the answer to GenerateDataKey names the key material that was used
// and the answer to Encrypt does not: after an automatic rotation nobody could
// tell what is old. It never asks KMS in a second call what it used in the
// first. Credentials, regions and connections are provider/backend/aws's to know.
//
// Start with Type, then key.go; arn.go is what a version is.
package aws

import (
	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/key"
)

// typeName is the type's name in configuration files and key rings.
const typeName = "aws"

// observed is what the calls are counted under, apart from the stores'.
const observed = "key-aws"

// Type is the kind of key service.
type Type struct{ platform *aws.Platform }

// NewType returns the type over a platform, which it shares with the stores.
func NewType(platform *aws.Platform) *Type { return &Type{platform: platform} }

// Name is "aws".
func (t *Type) Name() string { return typeName }

// Open checks the settings, which docs/keys/aws.md lists. If the platform has a
// Person, the key is used with those credentials, and the settings may not say
// others. It reads the certificate files that they name, and makes no call.
func (t *Type) Open(given key.Settings) (key.Key, error) {
	config, arn, problems := parseSettings(given)
	for _, field := range []string{"auth", "node"} {
		if _, says := given.Fields[field]; says && t.platform.KnowsPerson() {
			problems.Add(field, "has no place here: commands use your own credentials; remove it and log in with the aws command, or set AWS_PROFILE (see troubleshooting: command-credentials)")
		}
	}
	if _, says := given.Fields["endpoint"]; says && t.platform.KnowsPerson() {
		problems.Add("endpoint", "has no place beside your own credentials, which go to AWS alone: whatever answers there would make the data keys")
	}
	if _, says := given.Fields["tls"]; says && t.platform.KnowsPerson() {
		problems.Add("tls", "has no place beside your own credentials, which go to AWS alone")
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if given.NameOnly {
		return key.Named(nameOf(arn), ""), nil
	}
	access, err := t.open(config)
	if err != nil {
		return nil, err
	}
	return newKey(access, config, arn, t.platform.KnowsPerson() || config.Node != nil), nil
}

func (t *Type) open(config *settings) (*aws.Access, error) {
	switch {
	case t.platform.KnowsPerson():
		return t.platform.ConnectAsPerson(observed, config.Settings)
	case config.Node != nil:
		return t.platform.ConnectAsNode(observed, config.Settings, *config.Node)
	}
	return t.platform.Connect(observed, config.Settings)
}

package awssecrets

import (
	"context"
	"errors"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// readPath reads all secrets whose names begin with the path as the fields of a JSON
// object, by their names relative to it. A path without secrets is not found; one secret
// that may not be read fails them all. The object has no version of the store's own.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html
func (s *secretsStore) readPath(ctx context.Context, who identity.Identity, q aws.PathQuery) (store.Value, error) {
	var value store.Value
	err := s.Call(ctx, who, "BatchGetSecretValue below "+message.Excerpt(q.First.Name), func(ctx context.Context, target aws.Target) error {
		below := q.Below(target)
		var failed []*aws.CallError
		input := &secretsmanager.BatchGetSecretValueInput{
			Filters:    []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{q.Prefix(target)}}},
			MaxResults: awssdk.Int32(maxBatch),
		}
		for range aws.MaxPathPages {
			answer, err := s.clients.In(target.Region).BatchGetSecretValue(ctx, input, as(target))
			if err != nil {
				return explainedPath(aws.Explain(err))
			}
			for i := range answer.SecretValues {
				held := &answer.SecretValues[i]
				name := awssdk.ToString(held.Name)
				if !strings.HasPrefix(name, q.Prefix(target)) {
					return aws.Incomplete("has a secret from elsewhere")
				}
				if !below.Wants(name) {
					continue
				}
				one, err := valueOf(held.SecretString, held.SecretBinary, held.VersionId)
				if err == nil {
					err = below.Add(name, one.Data)
				}
				if err != nil {
					return err
				}
			}
			for _, refused := range answer.Errors {
				if name := nameIn(awssdk.ToString(refused.SecretId)); below.Wants(name) {
					f := explained(s.Named(target, awssdk.ToString(refused.ErrorCode), awssdk.ToString(refused.Message)))
					f.Text = message.Excerpt(name) + ": " + f.Text
					failed = append(failed, f)
				}
			}
			if input.NextToken = answer.NextToken; awssdk.ToString(input.NextToken) != "" {
				continue
			}
			if len(failed) > 0 {
				return together(failed)
			}
			object, err := below.JSON(naming.Noun)
			value = store.Value{Data: object}
			return err
		}
		return below.TooManyPages()
	})
	return value, err
}

// together is one error of several secrets: what may pass by itself, if one may.
func together(failed []*aws.CallError) *aws.CallError {
	all := *failed[0]
	for _, f := range failed {
		if errors.Is(f, fault.ErrUnavailable) {
			all = *f
		}
	}
	all.Text = message.Names(failed, func(f *aws.CallError) string { return f.Text })
	return &all
}

// nameIn is the name of the secret with this ID, which may be its ARN with the dash and
// six characters that Secrets Manager adds.
func nameIn(id string) string {
	if match := secretARN.FindStringSubmatchIndex(id); match != nil {
		id = id[strings.Index(id, ":secret:")+len(":secret:"):]
		return id[:max(0, len(id)-len("-a1b2c3"))]
	}
	return id
}

// explainedPath adds what is particular to a read of all secrets below a path. The rights
// to list and to read in batches can be given for all secrets alone.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html
func explainedPath(f *aws.CallError) *aws.CallError {
	if f.Code == "AccessDeniedException" {
		f.Text += "; for a path the role's policies need secretsmanager:ListSecrets and secretsmanager:BatchGetSecretValue, both on *, and secretsmanager:GetSecretValue on the secrets"
	}
	return f
}

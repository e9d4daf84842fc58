package awsparameters

import (
	"context"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

// readPath reads all parameters below a path as the fields of a JSON object, by
// their names relative to the path. A path without parameters is not found. The
// object has no version of the store's own.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParametersByPath.html
func (s *parameterStore) readPath(ctx context.Context, who identity.Identity, q aws.PathQuery) (store.Value, error) {
	var value store.Value
	err := s.Call(ctx, who, "GetParametersByPath "+message.Excerpt(q.First.Name), func(ctx context.Context, target aws.Target) error {
		below := q.Below(target)
		input := &ssm.GetParametersByPathInput{Path: awssdk.String(q.In(target).Name), Recursive: &q.Recursive, WithDecryption: awssdk.Bool(true)}
		for range aws.MaxPathPages {
			answer, err := s.clients.In(target.Region).GetParametersByPath(ctx, input, as(target))
			if err != nil {
				return explained(aws.Explain(err))
			}
			if answer.Parameters == nil {
				return aws.Incomplete("has no list of parameters")
			}
			for i := range answer.Parameters {
				name, text := awssdk.ToString(answer.Parameters[i].Name), awssdk.ToString(answer.Parameters[i].Value)
				if text == "" || !below.Wants(name) {
					return aws.Incomplete("has a parameter without a value, or one from elsewhere")
				}
				if err := below.Add(name, secret.NewString(text)); err != nil {
					return err
				}
			}
			if input.NextToken = answer.NextToken; awssdk.ToString(input.NextToken) != "" {
				continue
			}
			object, err := below.JSON(naming.Noun)
			value = store.Value{Data: object}
			return err
		}
		return below.TooManyPages()
	})
	return value, err
}

package awsparameters

import (
	"context"
	"encoding/json"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

// maxPages bounds the pages, of ten parameters each, that a path may have.
const maxPages = 100

// readPath reads all parameters below a path as the fields of a JSON object, by
// their names relative to the path. A path without parameters is not found. The
// object has no version of the store's own.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParametersByPath.html
func (s *parameterStore) readPath(ctx context.Context, who identity.Identity, q query) (store.Value, error) {
	var value store.Value
	err := s.access.Call(ctx, who, "GetParametersByPath "+message.Excerpt(q.First.Name), func(ctx context.Context, target aws.Target) error {
		path := q.In(target).Name
		fields := map[string]string{}
		var next *string
		for range maxPages {
			answer, err := s.clients.In(target.Region).GetParametersByPath(ctx, &ssm.GetParametersByPathInput{
				Path: &path, Recursive: &q.recursive, WithDecryption: awssdk.Bool(true), NextToken: next,
			}, as(target))
			if err != nil {
				return explained(aws.Explain(err))
			}
			if answer.Parameters == nil {
				return aws.Incomplete("has no list of parameters")
			}
			for i := range answer.Parameters {
				name, below := strings.CutPrefix(awssdk.ToString(answer.Parameters[i].Name), strings.TrimSuffix(path, "/")+"/")
				if !below || name == "" || awssdk.ToString(answer.Parameters[i].Value) == "" {
					return aws.Incomplete("has a parameter without a value, or one from elsewhere")
				}
				fields[name] = *answer.Parameters[i].Value
			}
			if next = answer.NextToken; awssdk.ToString(next) != "" {
				continue
			}
			if len(fields) == 0 {
				return fault.Failf(fault.ErrNotFound, "there are no parameters right below the path; check it, the account and the region, and whether they lie further below")
			}
			object, err := json.Marshal(fields)
			if err != nil {
				return fault.Failf(fault.ErrInvalid, "the parameters cannot be written as JSON")
			}
			value = store.Value{Data: secret.New(object)}
			return nil
		}
		return fault.Failf(fault.ErrInvalid, "there are over %d pages of parameters below the path; name a longer path", maxPages)
	})
	return value, err
}

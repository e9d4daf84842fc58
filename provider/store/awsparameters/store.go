package awsparameters

import (
	"context"
	"strconv"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

// parameterStore is one connection. It is a store.BatchReader.
type parameterStore struct {
	*aws.Access

	clients *aws.Clients[calls]
}

func newStore(access *aws.Access) *parameterStore {
	return &parameterStore{
		Access: access,
		clients: &aws.Clients[calls]{New: func(region string) calls {
			client := ssm.New(ssm.Options{
				Region: region, BaseEndpoint: access.Endpoint(region), HTTPClient: access.HTTP(), Retryer: awssdk.NopRetryer{},
				EndpointOptions: ssm.EndpointResolverOptions{UseFIPSEndpoint: access.FIPS(), UseDualStackEndpoint: access.DualStack()},
			})
			return calls{client.GetParameters, client.GetParametersByPath, client.GetParameterHistory}
		}},
	}
}

// calls are what is called of a region's client; see aws.Operation.
type calls struct {
	GetParameters       aws.Operation[ssm.GetParametersInput, ssm.GetParametersOutput, ssm.Options]
	GetParametersByPath aws.Operation[ssm.GetParametersByPathInput, ssm.GetParametersByPathOutput, ssm.Options]
	GetParameterHistory aws.Operation[ssm.GetParameterHistoryInput, ssm.GetParameterHistoryOutput, ssm.Options]
}

// as makes a call with the target's credentials.
func as(target aws.Target) func(*ssm.Options) {
	return func(o *ssm.Options) { o.Credentials = target.Credentials }
}

// Check implements store.Store.
func (s *parameterStore) Check(ref store.Reference) error {
	_, err := parse(ref, s.Regions())
	return err
}

// Read implements store.Store. A single parameter too is read with
// GetParameters, so that a policy needs no further action.
func (s *parameterStore) Read(ctx context.Context, who identity.Identity, ref store.Reference) (store.Value, error) {
	q, err := parse(ref, s.Regions())
	if err != nil {
		return store.Value{}, err
	}
	if q.Path {
		return s.readPath(ctx, who, q)
	}
	return aws.Get(ctx, s.Access, who, what(q), s.getting(q))
}

// ChecksFailover implements store.FailoverChecker. Paths are not looked at.
func (s *parameterStore) ChecksFailover(ref store.Reference) bool {
	q, err := parse(ref, s.Regions())
	return err == nil && !q.Path && s.Access.ChecksFailover()
}

// CheckFailover implements store.FailoverChecker.
func (s *parameterStore) CheckFailover(ctx context.Context, who identity.Identity, ref store.Reference) error {
	q, err := parse(ref, s.Regions())
	if err != nil {
		return err
	}
	return aws.CheckFailover(ctx, s.Access, who, what(q), s.getting(q))
}

// what is how errors call the read of one parameter.
func what(q aws.PathQuery) string { return "GetParameters " + message.Excerpt(spelled(q.First)) }

// getting is the call for one parameter, in whichever region.
func (s *parameterStore) getting(q aws.PathQuery) func(context.Context, aws.Target) (store.Value, error) {
	return func(ctx context.Context, target aws.Target) (store.Value, error) {
		value, err := s.one(ctx, target, q.In(target))
		return value, q.Failure(target, err)
	}
}

// one makes one call for one parameter.
func (s *parameterStore) one(ctx context.Context, target aws.Target, w aws.Wanted) (store.Value, error) {
	found, err := s.get(ctx, target, []string{spelled(w)})
	if err != nil {
		return store.Value{}, err
	}
	return valueOf(found[spelled(w)], w, target)
}

// found is the answer to what was asked for: a parameter, or nil if the service says
// that there is none.
type found map[string]*types.Parameter

// get makes one call and returns the answers by how they were asked for. One to each is
// there, or there is an error.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html
func (s *parameterStore) get(ctx context.Context, target aws.Target, names []string) (found, error) {
	answer, err := s.clients.In(target.Region).GetParameters(ctx, &ssm.GetParametersInput{Names: names, WithDecryption: awssdk.Bool(true)}, as(target))
	if err != nil {
		return nil, explained(aws.Explain(err))
	}
	found := make(found, len(names))
	for _, name := range answer.InvalidParameters {
		found[name] = nil
	}
	for i := range answer.Parameters {
		parameter := &answer.Parameters[i]
		for _, name := range []*string{parameter.Name, parameter.ARN} {
			found[awssdk.ToString(name)+awssdk.ToString(parameter.Selector)] = parameter
		}
	}
	for _, name := range names {
		if _, ok := found[name]; !ok {
			found.adopt(name)
		}
		if parameter, ok := found[name]; !ok || parameter != nil && (awssdk.ToString(parameter.Value) == "" || parameter.Version < 1) {
			return nil, aws.Incomplete("lacks a parameter that was asked for, its value or its version")
		}
	}
	return found, nil
}

// adopt takes an answer without a selector for the one to name, which has one, if its
// version is the one that was asked for. Emulators of the service leave the selector out.
// A label is not in the answer, and the service was asked for one version of each name.
func (f found) adopt(name string) {
	at := strings.LastIndexByte(name, ':')
	if at < 0 {
		return
	}
	parameter := f[name[:at]]
	if parameter == nil || parameter.Selector != nil {
		return
	}
	version, err := strconv.ParseInt(name[at+1:], 10, 64)
	if err != nil || version == parameter.Version {
		f[name] = parameter
	}
}

// valueOf is a parameter's value; without one, the error says that it is missing. A
// parameter that was deleted and made anew counts its versions from one again, so that
// the time belongs to the version.
func valueOf(parameter *types.Parameter, w aws.Wanted, target aws.Target) (store.Value, error) {
	if parameter == nil {
		return store.Value{}, missing()
	}
	version := strconv.FormatInt(parameter.Version, 10)
	if parameter.LastModifiedDate != nil {
		version += "-" + strconv.FormatInt(parameter.LastModifiedDate.Unix(), 10)
	}
	value := store.Value{Data: secret.NewString(*parameter.Value), Version: version}
	if selector(w) == "" && !target.Failover { // each region counts by itself
		value.Order, value.Made = parameter.Version, awssdk.ToTime(parameter.LastModifiedDate)
	}
	return value, nil
}

// missing is what an invalid parameter is: the service does not tell a missing
// name from a missing version or label.
func missing() *aws.CallError {
	return &aws.CallError{Kind: fault.ErrNotFound, Text: "there is no such parameter, version or label; check the name with its slashes, the account and the region"}
}

// explained adds what is particular to the Parameter Store.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html#API_GetParameters_Errors
func explained(f *aws.CallError) *aws.CallError {
	switch f.Code {
	case "AccessDeniedException":
		f.Text += "; the role's policies need ssm:GetParameters (for a path ssm:GetParametersByPath) on the parameter, and kms:Decrypt on its key"
	case "InvalidKeyId":
		f.Kind = fault.ErrDenied
		f.Text += "; check that the parameter's KMS key exists and is enabled, and that the role has kms:Decrypt on it"
	}
	return f
}

// RefreshOf implements store.Steady for versions by their number.
func (*parameterStore) RefreshOf(ref store.Reference) time.Duration {
	if ref.Version == "" {
		return 0
	}
	return store.PinnedRefresh
}

package awssecrets

import (
	"context"
	"sync"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

// secretsStore is one connection. It is a store.BatchReader.
type secretsStore struct {
	*aws.Access

	clients *aws.Clients[calls]

	mu sync.Mutex
	// alone is what cannot be read in batches, until when.
	alone map[aloneKey]time.Time
}

func newStore(access *aws.Access) *secretsStore {
	return &secretsStore{
		Access: access, alone: map[aloneKey]time.Time{},
		clients: &aws.Clients[calls]{New: func(region string) calls {
			client := secretsmanager.New(secretsmanager.Options{
				Region: region, BaseEndpoint: access.Endpoint(region), HTTPClient: access.HTTP(), Retryer: awssdk.NopRetryer{},
				EndpointOptions: secretsmanager.EndpointResolverOptions{UseFIPSEndpoint: access.FIPS(), UseDualStackEndpoint: access.DualStack()},
			})
			return calls{client.GetSecretValue, client.BatchGetSecretValue, client.ListSecretVersionIds}
		}},
	}
}

// calls are what is called of a region's client; see aws.Operation.
type calls struct {
	GetSecretValue       aws.Operation[secretsmanager.GetSecretValueInput, secretsmanager.GetSecretValueOutput, secretsmanager.Options]
	BatchGetSecretValue  aws.Operation[secretsmanager.BatchGetSecretValueInput, secretsmanager.BatchGetSecretValueOutput, secretsmanager.Options]
	ListSecretVersionIds aws.Operation[secretsmanager.ListSecretVersionIdsInput, secretsmanager.ListSecretVersionIdsOutput, secretsmanager.Options]
}

// as makes a call with the target's credentials.
func as(target aws.Target) func(*secretsmanager.Options) {
	return func(o *secretsmanager.Options) { o.Credentials = target.Credentials }
}

// Check implements store.Store.
func (s *secretsStore) Check(ref store.Reference) error {
	_, err := parse(ref, s.Regions())
	return err
}

// Read implements store.Store.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
func (s *secretsStore) Read(ctx context.Context, who identity.Identity, ref store.Reference) (store.Value, error) {
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
func (s *secretsStore) ChecksFailover(ref store.Reference) bool {
	q, err := parse(ref, s.Regions())
	return err == nil && !q.Path && s.Access.ChecksFailover()
}

// CheckFailover implements store.FailoverChecker.
func (s *secretsStore) CheckFailover(ctx context.Context, who identity.Identity, ref store.Reference) error {
	q, err := parse(ref, s.Regions())
	if err != nil {
		return err
	}
	return aws.CheckFailover(ctx, s.Access, who, what(q), s.getting(q))
}

// what is how errors call the read of one secret.
func what(q aws.PathQuery) string { return "GetSecretValue " + message.Excerpt(q.First.Name) }

// getting is the call for one secret, in whichever region.
func (s *secretsStore) getting(q aws.PathQuery) func(context.Context, aws.Target) (store.Value, error) {
	return func(ctx context.Context, target aws.Target) (store.Value, error) {
		value, err := s.get(ctx, target, q.In(target))
		return value, q.Failure(target, err)
	}
}

// get makes one call.
func (s *secretsStore) get(ctx context.Context, target aws.Target, w aws.Wanted) (store.Value, error) {
	answer, err := s.clients.In(target.Region).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
		SecretId: &w.Name, VersionId: optional(w.Version), VersionStage: optional(w.Label),
	}, as(target))
	if err != nil {
		return store.Value{}, explained(aws.Explain(err))
	}
	if w.Version != "" && w.Version != awssdk.ToString(answer.VersionId) || !names(w.Name, answer.Name, answer.ARN) {
		return store.Value{}, aws.Incomplete("is of another secret or version")
	}
	return valueOf(answer.SecretString, answer.SecretBinary, answer.VersionId)
}

// valueOf is a secret's value: its text, or else its bytes. It has one of the two, of
// at least one byte.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html
func valueOf(text *string, binary []byte, version *string) (store.Value, error) {
	data := secret.New(binary)
	if text != nil {
		data = secret.NewString(*text)
	}
	if data.Len() == 0 || awssdk.ToString(version) == "" {
		return store.Value{}, aws.Incomplete("has no value or no version")
	}
	return store.Value{Data: data, Version: *version}, nil
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// explained adds what is particular to Secrets Manager.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html#API_GetSecretValue_Errors
func explained(f *aws.CallError) *aws.CallError {
	switch f.Code {
	case "AccessDeniedException":
		f.Text += "; the role's policies need secretsmanager:GetSecretValue on the secret, and kms:Decrypt on its key if that is the customer's own"
	case "ResourceNotFoundException":
		f.Text += "; check the name, the account and the region"
	case "InvalidRequestException":
		// To a read, the state that AWS means is that of a secret marked deleted,
		// whatever the words; the other causes that the page names are of writes.
		f.Kind = fault.ErrNotFound
		f.Text += "; the secret is marked for deletion: restore it (aws secretsmanager restore-secret), or take it out of the class"
	case "DecryptionFailure":
		f.Kind = fault.ErrDenied
		f.Text += "; check that the secret's KMS key is enabled and that the role has kms:Decrypt on it"
	}
	return f
}

// RefreshOf implements store.Steady for versions by their ID.
func (*secretsStore) RefreshOf(ref store.Reference) time.Duration {
	if ref.Version == "" {
		return 0
	}
	return store.PinnedRefresh
}

package awssecrets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// The bounds of batches.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html
const (
	maxBatch = 20
	maxPages = 20
	// aloneFor is for how long secrets are read one at a time after it was found
	// that they cannot be read in batches.
	aloneFor = 10 * time.Minute
	maxAlone = 4096
)

// aloneKey is what cannot be read in batches: one secret, by its ID, or with no
// ID all that the identity reads.
type aloneKey struct {
	who identity.Key
	id  string
}

// BatchSize implements store.BatchReader.
func (s *secretsStore) BatchSize(who identity.Identity, ref store.Reference) int {
	q, err := parse(ref, s.Regions())
	if err != nil || !batched(q) || s.AlwaysChecksFailover() || s.readsAlone(who, q.First.Name) {
		return 1
	}
	return maxBatch
}

// ReadBatch implements store.BatchReader. Where the role may call
// GetSecretValue alone, as policies written for other providers have it, each
// secret is read by itself; so is one of another account, which batches do not
// reach.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_examples_cross.html
func (s *secretsStore) ReadBatch(ctx context.Context, who identity.Identity, refs []store.Reference) []store.Result {
	results := make([]store.Result, len(refs))
	queries := make([]aws.PathQuery, len(refs))
	for i, ref := range refs {
		queries[i], results[i].Err = parse(ref, s.Regions())
	}
	open := make([]int, 0, len(refs)) // those to read by themselves
	found := map[string]entry{}
	var at aws.Target
	denied := false // the batch as such, in whichever region
	err := s.Call(ctx, who, fmt.Sprintf("BatchGetSecretValue of %d secrets", len(refs)), func(ctx context.Context, target aws.Target) error {
		at = target
		var err error
		found, err = s.page(ctx, target, idsOf(queries, target))
		denied = denied || errors.Is(err, fault.ErrDenied)
		return err
	})
	for i := range refs {
		switch answer, ok := found[queries[i].In(at).Name]; {
		case results[i].Err != nil:
		case err != nil && (ctx.Err() != nil || !denied && (errors.Is(err, fault.ErrUnavailable) || errors.Is(err, fault.ErrUnauthenticated))):
			results[i].Err = err
		case err == nil && ok && answer.failed == nil:
			results[i].Value = answer.value
		case err == nil && ok && !at.Failover && !errors.Is(answer.failed, fault.ErrUnavailable) && !maybeOthers(queries[i].First.Name, answer, ok):
			f := *answer.failed
			f.Text = "GetSecretValue " + message.Excerpt(refs[i].Key) + " in " + at.Region + ": " + f.Text
			results[i].Err = &f
		default:
			open = append(open, i)
		}
	}
	if denied {
		s.readAlone(who, "")
	}
	store.Each(open, results, func(i int) (store.Value, error) {
		value, failed := s.Read(ctx, who, refs[i])
		id := queries[i].First.Name
		if answer, ok := found[id]; failed == nil && err == nil && !at.Failover && maybeOthers(id, answer, ok) {
			s.readAlone(who, id)
		}
		return value, failed
	})
	return results
}

// maybeOthers says whether a secret that a batch did not give can be one of
// another account: it is named by its ARN, and was refused, not found or left out.
func maybeOthers(id string, answer entry, answered bool) bool {
	return strings.HasPrefix(id, "arn:") &&
		(!answered || errors.Is(answer.failed, fault.ErrDenied) || errors.Is(answer.failed, fault.ErrNotFound))
}

// idsOf are what to ask for in the target's region, each once.
func idsOf(queries []aws.PathQuery, target aws.Target) []string {
	ids := make([]string, 0, len(queries))
	for _, q := range queries {
		if id := q.In(target).Name; id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// entry is the answer to one ID.
type entry struct {
	value  store.Value
	failed *aws.CallError
}

// page reads all pages of one batch and returns the answers by the IDs as they
// were asked for. An ID may be missing among them.
func (s *secretsStore) page(ctx context.Context, target aws.Target, ids []string) (map[string]entry, error) {
	found := make(map[string]entry, len(ids))
	var next *string
	for range maxPages {
		answer, err := s.clients.In(target.Region).BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{
			SecretIdList: ids, NextToken: next,
		}, as(target))
		if err != nil {
			return nil, aws.Explain(err)
		}
		for i := range answer.SecretValues {
			held := &answer.SecretValues[i]
			value, err := valueOf(held.SecretString, held.SecretBinary, held.VersionId)
			if err != nil {
				return nil, err
			}
			for _, id := range ids {
				if names(id, held.Name, held.ARN) {
					found[id] = entry{value: value}
				}
			}
		}
		for _, failed := range answer.Errors {
			id := awssdk.ToString(failed.SecretId)
			found[id] = entry{failed: explained(s.Named(target, awssdk.ToString(failed.ErrorCode), awssdk.ToString(failed.Message)))}
		}
		if next = answer.NextToken; awssdk.ToString(next) == "" {
			break
		}
	}
	return found, nil
}

// names says whether the ID is the secret's: its name, its ARN, or its ARN
// without the dash and six characters that Secrets Manager adds.
func names(id string, name, ofARN *string) bool {
	const added = len("-a1b2c3")
	arn := awssdk.ToString(ofARN)
	return id == awssdk.ToString(name) || id == arn ||
		strings.HasPrefix(id, "arn:") && len(arn) == len(id)+added && strings.HasPrefix(arn, id+"-")
}

// readsAlone says whether the identity cannot read the secret in batches.
func (s *secretsStore) readsAlone(who identity.Identity, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	return now.Before(s.alone[aloneKey{who.Key(), ""}]) || now.Before(s.alone[aloneKey{who.Key(), id}])
}

func (s *secretsStore) readAlone(who identity.Identity, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.alone) >= maxAlone {
		clear(s.alone) // they are found again
	}
	s.alone[aloneKey{who.Key(), id}] = s.Now().Add(aloneFor)
}

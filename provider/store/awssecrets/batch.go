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
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/lanyardhq/lanyard/provider/aws"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// The bounds of batches.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html
const (
	batchMost = 20
	pagesMost = 20
	// aloneFor is for how long an identity reads one secret at a time after
	// its role was found to have no right to batches.
	aloneFor  = 10 * time.Minute
	aloneMost = 4096
)

// BatchSize implements store.BatchReader.
func (s *secretsStore) BatchSize(who identity.Identity, ref store.Reference) int {
	q, err := parse(ref, s.region)
	if err != nil || !q.batched() || s.readsAlone(who) {
		return 1
	}
	return batchMost
}

// ReadBatch implements store.BatchReader. Where the role may call
// GetSecretValue alone, as policies written for other providers have it, each
// secret is read by itself.
func (s *secretsStore) ReadBatch(ctx context.Context, who identity.Identity, refs []store.Reference) []store.Result {
	results := make([]store.Result, len(refs))
	queries := make([]query, len(refs))
	for i, ref := range refs {
		queries[i], results[i].Err = parse(ref, s.region)
	}
	open := make([]int, 0, len(refs)) // those to read by themselves
	found := map[string]entry{}
	var at aws.Target
	err := s.access.Do(ctx, who, fmt.Sprintf("BatchGetSecretValue of %d secrets", len(refs)), func(ctx context.Context, target aws.Target) error {
		at = target
		var err error
		found, err = s.page(ctx, target, idsOf(queries, target))
		return err
	})
	for i := range refs {
		switch answer, ok := found[queries[i].in(at).id]; {
		case results[i].Err != nil:
		case err != nil && (errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUnauthenticated) || ctx.Err() != nil):
			results[i].Err = err
		case err == nil && ok && answer.failed == nil:
			results[i].Value = answer.value
		case err == nil && ok && !at.Failover && !errors.Is(answer.failed, store.ErrUnavailable):
			f := *answer.failed
			f.Text = "GetSecretValue " + aws.Printable(refs[i].Key) + " in " + at.Region + ": " + f.Text
			results[i].Err = &f
		default:
			open = append(open, i)
		}
	}
	if errors.Is(err, store.ErrDenied) {
		s.readAlone(who)
	}
	aws.Each(open, results, func(i int) (store.Value, error) { return s.Read(ctx, who, refs[i]) })
	return results
}

// idsOf are what to ask for in the target's region, each once.
func idsOf(queries []query, target aws.Target) []string {
	ids := make([]string, 0, len(queries))
	for _, q := range queries {
		if id := q.in(target).id; id != "" && !slices.Contains(ids, id) {
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
	for range pagesMost {
		answer, err := s.clients.In(target.Region).BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{
			SecretIdList: ids, NextToken: next,
		}, as(target))
		if err != nil {
			return nil, aws.Explain(err)
		}
		for i := range answer.SecretValues {
			held := &answer.SecretValues[i]
			value := valueOf(held.SecretString, held.SecretBinary, held.VersionId)
			for _, id := range ids {
				if names(id, held) {
					found[id] = entry{value: value}
				}
			}
		}
		for _, failed := range answer.Errors {
			id := awssdk.ToString(failed.SecretId)
			found[id] = entry{failed: explained(aws.Named(awssdk.ToString(failed.ErrorCode), awssdk.ToString(failed.Message)))}
		}
		if next = answer.NextToken; awssdk.ToString(next) == "" {
			break
		}
	}
	return found, nil
}

// names says whether the ID is the secret's: its name, its ARN, or its ARN
// without the dash and six characters that Secrets Manager adds.
func names(id string, held *types.SecretValueEntry) bool {
	const added = len("-a1b2c3")
	arn := awssdk.ToString(held.ARN)
	return id == awssdk.ToString(held.Name) || id == arn ||
		strings.HasPrefix(id, "arn:") && len(arn) == len(id)+added && strings.HasPrefix(arn, id+"-")
}

// readsAlone says whether the identity has no right to batches.
func (s *secretsStore) readsAlone(who identity.Identity) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.access.Now().Before(s.alone[who.Key()])
}

func (s *secretsStore) readAlone(who identity.Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.alone) >= aloneMost {
		clear(s.alone) // they are found again
	}
	s.alone[who.Key()] = s.access.Now().Add(aloneFor)
}

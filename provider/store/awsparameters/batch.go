package awsparameters

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// maxBatch is the maximum number of parameters of one call.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html
const maxBatch = 10

// BatchSize implements store.BatchReader.
func (s *parameterStore) BatchSize(_ identity.Identity, ref store.Reference) int {
	if q, err := parse(ref, s.Regions()); err != nil || q.Path || s.AlwaysChecksFailover() {
		return 1
	}
	return maxBatch
}

// ReadBatch implements store.BatchReader. One parameter that the role may not
// read fails the whole call; each is then read by itself, to tell which it is.
func (s *parameterStore) ReadBatch(ctx context.Context, who identity.Identity, refs []store.Reference) []store.Result {
	results := make([]store.Result, len(refs))
	queries := make([]aws.PathQuery, len(refs))
	for i, ref := range refs {
		queries[i], results[i].Err = parse(ref, s.Regions())
	}
	var at aws.Target
	var names []string
	var answers found
	denied := false // in whichever region
	err := s.Call(ctx, who, fmt.Sprintf("GetParameters of %d parameters", len(refs)), func(ctx context.Context, target aws.Target) error {
		at, names = target, namesOf(queries, target)
		var err error
		answers, err = s.get(ctx, target, names)
		denied = denied || errors.Is(err, fault.ErrDenied)
		return err
	})
	alone := make([]int, 0, len(refs))
	for i := range refs {
		w := queries[i].In(at)
		parameter := answers[spelled(w)]
		switch {
		case results[i].Err != nil:
		case err != nil && (ctx.Err() != nil || !denied && (errors.Is(err, fault.ErrUnavailable) || errors.Is(err, fault.ErrUnauthenticated))):
			results[i].Err = err
		case err == nil && parameter != nil:
			results[i].Value, results[i].Err = valueOf(parameter, w, at)
		case err == nil && !at.Failover && slices.Contains(names, spelled(w)):
			failed := missing()
			failed.Text = "GetParameters " + message.Excerpt(spelled(w)) + " in " + at.Region + ": " + failed.Text
			results[i].Err = failed
		default:
			alone = append(alone, i)
		}
	}
	store.Each(alone, results, func(i int) (store.Value, error) { return s.Read(ctx, who, refs[i]) })
	return results
}

// namesOf are what to ask for in the target's region: each once, and of one
// parameter one version, since the answers are told apart by their names.
func namesOf(queries []aws.PathQuery, target aws.Target) []string {
	names := make([]string, 0, len(queries))
	bases := map[string]bool{}
	for _, q := range queries {
		w := q.In(target)
		base := w.Name
		if strings.HasPrefix(base, "arn:") {
			_, base, _ = strings.Cut(base, ":parameter")
		}
		if base = strings.TrimPrefix(base, "/"); base != "" && !bases[base] {
			bases[base] = true
			names = append(names, spelled(w))
		}
	}
	return names
}

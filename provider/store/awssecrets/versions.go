package awssecrets

import (
	"cmp"
	"context"
	"slices"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// current is the label of the version that is read without a version.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html#term_version
const current = "AWSCURRENT"

// The most versions of one page, and the most pages. A secret keeps about 100 versions.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
const (
	versionsPage     = 100
	maxVersionsPages = 20
)

// HasVersions implements store.Historian.
func (s *secretsStore) HasVersions(ref store.Reference) error {
	q, err := parse(ref, s.Regions())
	if err == nil && q.Path {
		return fault.Failf(store.ErrUnversioned, "%s: is a path, and the versions are those of each secret below it; name one secret", message.Excerpt(q.First.Name))
	}
	return err
}

// Versions implements store.Historian. A failover region is asked like the first: the
// versions of a replica have the same IDs.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecretVersionIds.html
func (s *secretsStore) Versions(ctx context.Context, who identity.Identity, ref store.Reference) ([]store.VersionInfo, error) {
	if err := s.HasVersions(ref); err != nil {
		return nil, err
	}
	q, err := parse(ref, s.Regions())
	if err != nil {
		return nil, err
	}
	var versions []store.VersionInfo
	err = s.Call(ctx, who, "ListSecretVersionIds "+message.Excerpt(q.First.Name), func(ctx context.Context, target aws.Target) error {
		var err error
		versions, err = s.list(ctx, target, q.In(target).Name)
		return q.Failure(target, err)
	})
	if err != nil {
		return nil, err
	}
	return store.Newest(versions, cmp.Or(q.First.Version, q.First.Label)), nil
}

// list lists all versions in one region.
func (s *secretsStore) list(ctx context.Context, target aws.Target, name string) ([]store.VersionInfo, error) {
	var versions []store.VersionInfo
	var next *string
	for range maxVersionsPages {
		answer, err := s.clients.In(target.Region).ListSecretVersionIds(ctx, &secretsmanager.ListSecretVersionIdsInput{
			SecretId: &name, IncludeDeprecated: awssdk.Bool(true), MaxResults: awssdk.Int32(versionsPage), NextToken: next,
		}, as(target))
		if err != nil {
			failed := aws.Explain(err)
			if failed.Code == "AccessDeniedException" {
				failed.Text += "; the role's policies need secretsmanager:ListSecretVersionIds on the secret"
				return nil, failed
			}
			return nil, explained(failed)
		}
		if !names(name, answer.Name, answer.ARN) {
			return nil, aws.Incomplete("is of another secret")
		}
		for _, v := range answer.Versions {
			info := store.VersionInfo{
				Version: awssdk.ToString(v.VersionId), Made: awssdk.ToTime(v.CreatedDate).UTC(),
				Labels: slices.Clone(v.VersionStages), State: store.StateAvailable,
			}
			switch {
			case info.Version == "":
				return nil, aws.Incomplete("has a version without an ID")
			case slices.Contains(info.Labels, current):
				info.State = store.StateCurrent
			case len(info.Labels) == 0:
				info.State = store.StateDeprecated
			}
			versions = append(versions, info)
		}
		if next = answer.NextToken; awssdk.ToString(next) == "" {
			return versions, nil
		}
	}
	return nil, fault.Failf(fault.ErrInvalid, "there are over %d pages of versions", maxVersionsPages)
}

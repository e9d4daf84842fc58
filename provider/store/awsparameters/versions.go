package awsparameters

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// The most versions of one page, and the most pages. A parameter keeps 100 versions.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-versions.html
const (
	versionsPage     = 50
	maxVersionsPages = 10
)

// HasVersions implements store.Historian.
func (s *parameterStore) HasVersions(ref store.Reference) error {
	q, err := parse(ref, s.Regions())
	if err == nil && q.Path {
		return fault.Failf(store.ErrUnversioned, "%s: is a path, and the versions are those of each parameter below it; name one parameter", message.Excerpt(q.First.Name))
	}
	return err
}

// Versions implements store.Historian. The answers hold values, encrypted ones where the
// parameter is a SecureString; they are dropped.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameterHistory.html
func (s *parameterStore) Versions(ctx context.Context, who identity.Identity, ref store.Reference) ([]store.VersionInfo, error) {
	if err := s.HasVersions(ref); err != nil {
		return nil, err
	}
	q, err := parse(ref, s.Regions())
	if err != nil {
		return nil, err
	}
	var versions []store.VersionInfo
	err = s.Call(ctx, who, "GetParameterHistory "+message.Excerpt(q.First.Name), func(ctx context.Context, target aws.Target) error {
		var err error
		versions, err = s.list(ctx, target, q.In(target).Name)
		return q.Failure(target, err)
	})
	if err != nil {
		return nil, err
	}
	return store.Newest(versions, cmp.Or(q.First.Version, q.First.Label)), nil
}

// list lists all versions in one region. The one with the highest number is current.
func (s *parameterStore) list(ctx context.Context, target aws.Target, name string) ([]store.VersionInfo, error) {
	var versions []store.VersionInfo
	newest, at := int64(0), 0
	var next *string
	for range maxVersionsPages {
		answer, err := s.clients.In(target.Region).GetParameterHistory(ctx, &ssm.GetParameterHistoryInput{
			Name: &name, WithDecryption: awssdk.Bool(false), MaxResults: awssdk.Int32(versionsPage), NextToken: next,
		}, as(target))
		if err != nil {
			return nil, historyFailure(aws.Explain(err))
		}
		for i := range answer.Parameters {
			v := &answer.Parameters[i]
			if v.Version < 1 {
				return nil, aws.Incomplete("has a version without a number")
			}
			if v.Version > newest {
				newest, at = v.Version, len(versions)
			}
			versions = append(versions, store.VersionInfo{
				Version: strconv.FormatInt(v.Version, 10), Made: awssdk.ToTime(v.LastModifiedDate).UTC(),
				Labels: slices.Clone(v.Labels), State: store.StateAvailable,
			})
		}
		if next = answer.NextToken; awssdk.ToString(next) != "" {
			continue
		}
		if len(versions) == 0 {
			return nil, aws.Incomplete("has no version")
		}
		versions[at].State = store.StateCurrent
		return versions, nil
	}
	return nil, fault.Failf(fault.ErrInvalid, "there are over %d pages of versions", maxVersionsPages)
}

func historyFailure(f *aws.CallError) *aws.CallError {
	switch f.Code {
	case "AccessDeniedException":
		f.Text += "; the role's policies need ssm:GetParameterHistory on the parameter"
	case "ParameterNotFound":
		return missing()
	}
	return f
}

package gcp

import (
	"context"
	"errors"
	"path"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/parametermanager/apiv1/parametermanagerpb"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/gcp"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

// maxPages bounds the pages of a list, each of which may have fewer versions than were
// asked for.
const maxPages = 20

// HasVersions implements store.Historian.
func (s *gcpStore) HasVersions(ref store.Reference) error { return s.Check(ref) }

// Versions implements store.Historian.
func (s *gcpStore) Versions(ctx context.Context, as identity.Identity, ref store.Reference) ([]store.VersionInfo, error) {
	q, err := s.config.parseReference(ref)
	if err != nil {
		return nil, err
	}
	named := q.version
	if named == latest {
		named = ""
	}
	q.lists, q.name = true, path.Dir(path.Dir(q.name))
	conn, err := s.conn(s.config.at(q.service, q.location))
	if err != nil {
		return nil, err
	}
	var versions []store.VersionInfo
	err = s.login.With(ctx, as, func(token secret.Bytes, who string) (refused bool, err error) {
		list := s.secretVersions
		if q.service == parameterManager {
			list = s.parameterVersions
		}
		versions, err = list(ctx, conn, q, token, who)
		return errors.Is(err, fault.ErrUnauthenticated), err
	})
	if err != nil {
		return nil, err
	}
	if len(versions) == 0 {
		return nil, fault.Failf(fault.ErrNotFound, "%s: has no versions yet; add one", q.name)
	}
	return store.Newest(versions, named), nil
}

// call makes one call for the secret or parameter that q names.
func (s *gcpStore) call(ctx context.Context, conn *gcp.Conn, q *query, token secret.Bytes, who, field string, do func(context.Context) error) error {
	return conn.Call(ctx, gcp.Request{
		Resource: q.name, Field: field, Token: token, Timeout: s.config.Timeout, Retries: s.config.Retries, Do: do,
		Explain: func(st *status.Status) error { return s.refusal(conn, q, st, token, who) },
	})
}

// secretVersions lists the newest versions of a secret, which come first, and the aliases
// that it has for them.
// https://cloud.google.com/secret-manager/docs/reference/rpc/google.cloud.secretmanager.v1#listsecretversionsresponse
func (s *gcpStore) secretVersions(ctx context.Context, conn *gcp.Conn, q *query, token secret.Bytes, who string) ([]store.VersionInfo, error) {
	client := secretmanagerpb.NewSecretManagerServiceClient(conn)
	aliases := map[string][]string{} // by the version's number
	err := s.call(ctx, conn, q, token, who, "name", func(ctx context.Context) error {
		answer, err := client.GetSecret(ctx, &secretmanagerpb.GetSecretRequest{Name: q.name})
		clear(aliases)
		for alias, number := range answer.GetVersionAliases() {
			name := strconv.FormatInt(number, 10)
			aliases[name] = append(aliases[name], alias)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	versions, err := s.pages(ctx, conn, q, token, who, func(ctx context.Context, from string) (page []store.VersionInfo, next string, err error) {
		answer, err := client.ListSecretVersions(ctx, &secretmanagerpb.ListSecretVersionsRequest{Parent: q.name, PageSize: store.MaxVersions, PageToken: from})
		for _, v := range answer.GetVersions() {
			number, err := q.versionOf(v.GetName())
			if err != nil {
				return nil, "", err
			}
			info := store.VersionInfo{Version: number, Made: timeOf(v.GetCreateTime()), Ends: timeOf(v.GetScheduledDestroyTime()), State: store.StateDestroyed, Labels: aliases[number]}
			switch v.GetState() {
			case secretmanagerpb.SecretVersion_ENABLED:
				info.State = store.StateAvailable
			case secretmanagerpb.SecretVersion_DISABLED:
				info.State = store.StateDisabled
			case secretmanagerpb.SecretVersion_STATE_UNSPECIFIED, secretmanagerpb.SecretVersion_DESTROYED:
			}
			page = append(page, info)
		}
		return page, answer.GetNextPageToken(), err
	})
	// latest is the newest, whatever its state.
	if len(versions) > 0 && versions[0].State == store.StateAvailable {
		versions[0].State = store.StateCurrent
	}
	return versions, err
}

// parameterVersions lists the versions of a parameter. None of them is current, since a
// reference always names one.
// https://cloud.google.com/secret-manager/parameter-manager/docs/reference/rpc/google.cloud.parametermanager.v1#listparameterversionsresponse
func (s *gcpStore) parameterVersions(ctx context.Context, conn *gcp.Conn, q *query, token secret.Bytes, who string) ([]store.VersionInfo, error) {
	client := parametermanagerpb.NewParameterManagerClient(conn)
	return s.pages(ctx, conn, q, token, who, func(ctx context.Context, from string) (page []store.VersionInfo, next string, err error) {
		answer, err := client.ListParameterVersions(ctx, &parametermanagerpb.ListParameterVersionsRequest{Parent: q.name, PageSize: store.MaxVersions, PageToken: from, OrderBy: "create_time desc"})
		for _, v := range answer.GetParameterVersions() {
			name, err := q.versionOf(v.GetName())
			if err != nil {
				return nil, "", err
			}
			info := store.VersionInfo{Version: name, Made: timeOf(v.GetCreateTime()), State: store.StateAvailable}
			if v.GetDisabled() {
				info.State = store.StateDisabled
			}
			page = append(page, info)
		}
		return page, answer.GetNextPageToken(), err
	})
}

// pages reads the pages of a list until there are enough versions.
func (s *gcpStore) pages(ctx context.Context, conn *gcp.Conn, q *query, token secret.Bytes, who string, read func(ctx context.Context, from string) ([]store.VersionInfo, string, error)) ([]store.VersionInfo, error) {
	var versions []store.VersionInfo
	from := ""
	for range maxPages {
		var page []store.VersionInfo
		var next string
		err := s.call(ctx, conn, q, token, who, "parent", func(ctx context.Context) (err error) {
			page, next, err = read(ctx, from)
			return err
		})
		if err != nil {
			return nil, err
		}
		if versions, from = append(versions, page...), next; next == "" || len(versions) >= store.MaxVersions {
			return versions, nil
		}
	}
	return nil, fault.Failf(fault.ErrInvalid, "%s: there are over %d pages of versions", q.name, maxPages)
}

// timeOf is a moment; zero if there is none.
func timeOf(at *timestamppb.Timestamp) time.Time {
	if at == nil {
		return time.Time{}
	}
	return at.AsTime()
}

// versionOf is the last part of a version's resource name, which must be one of what q
// names. The project is told by its number, whatever it was asked by.
func (q *query) versionOf(name string) (string, error) {
	got, want := strings.Split(name, "/"), strings.Split(q.name, "/")
	if len(got) != len(want)+2 || got[len(want)] != "versions" || got[len(want)+1] == "" {
		return "", damaged(q, q.service.title()+" listed "+message.Excerpt(name)+"; look at what stands between the node and Google")
	}
	for i, part := range want {
		if i != 1 && part != got[i] {
			return "", damaged(q, q.service.title()+" listed "+message.Excerpt(name)+"; look at what stands between the node and Google")
		}
	}
	return got[len(got)-1], nil
}

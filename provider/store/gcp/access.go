package gcp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lanyardhq/lanyard/provider/backend/gcp"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

// access reads the version that q names with the token of who. refused is true
// if the token itself was not accepted. The error wraps one of package fault's
// kinds, or ctx's.
// https://cloud.google.com/secret-manager/docs/reference/rpc/google.cloud.secretmanager.v1#secretmanagerservice
func (s *gcpStore) access(ctx context.Context, conn *gcp.Conn, q *query, token secret.Bytes, who string) (value store.Value, refused bool, err error) {
	err = conn.Call(ctx, gcp.Request{
		Resource: q.name, Token: token, Timeout: s.config.Timeout, Retries: s.config.Retries,
		Do: func(ctx context.Context) error {
			if q.service == parameterManager {
				value, err = parameter(ctx, conn, q)
				return err
			}
			answer, err := secretmanagerpb.NewSecretManagerServiceClient(conn).
				AccessSecretVersion(ctx, &secretmanagerpb.AccessSecretVersionRequest{Name: q.name})
			if err != nil {
				return err
			}
			value, err = valueOf(q, answer)
			return err
		},
		Explain: func(st *status.Status) error { return s.refusal(conn, q, st, token, who) },
	})
	if err == nil {
		return value, false, nil
	}
	return store.Value{}, errors.Is(err, fault.ErrUnauthenticated), err
}

// refusal explains a failed call.
func (s *gcpStore) refusal(conn *gcp.Conn, q *query, st *status.Status, token secret.Bytes, who string) error {
	at, title := s.config.at(q.service, q.location), q.service.title()
	host := gcp.Host(at.endpoint)
	why := conn.Said(st.Message(), token)
	switch st.Code() {
	case codes.NotFound:
		orVersion := " or version"
		if q.lists {
			orVersion = ""
		}
		return fault.Failf(fault.ErrNotFound, "%s: there is no such %s%s%s", q.name, strings.TrimSuffix(string(q.service), "s"), orVersion, why)
	case codes.FailedPrecondition:
		return precondition(q, st.Message(), why)
	case codes.PermissionDenied:
		return fault.Failf(fault.ErrDenied, "%s: permission denied for %s: grant it %s%s", q.name, who, q.grant(), why)
	case codes.Unauthenticated:
		return fault.Failf(fault.ErrUnauthenticated, "%s: %s does not accept the access token of %s%s", q.name, title, who, why)
	case codes.InvalidArgument, codes.OutOfRange:
		return fault.Failf(fault.ErrInvalid, "%s: %s refuses the request%s", q.name, title, why)
	case codes.Unimplemented:
		return fault.Failf(fault.ErrInvalid, "%s: %s does not serve %s; see the setting %s%s", q.name, host, title, at.setting, why)
	case codes.ResourceExhausted:
		return fmt.Errorf("%s: %w", q.name, fault.Throttledf(title, "a quota of the project is used up%s", why))
	case codes.DeadlineExceeded:
		return fault.Failf(fault.ErrUnavailable, "%s: %s at %s did not answer within %s; see the setting timeout", q.name, title, host, s.config.Timeout)
	}
	return fault.Failf(fault.ErrUnavailable, "%s: %s at %s cannot answer (%s)%s", q.name, title, host, st.Code(), why)
}

// precondition explains a version that is there and cannot be read. Its state
// is told in the message alone.
// https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions#state
func precondition(q *query, message, why string) error {
	which := "the version"
	if q.version == latest {
		which = "the latest version"
	}
	switch {
	case q.service == parameterManager:
		return fault.Failf(fault.ErrDenied, "%s: Parameter Manager cannot render the version: it must be enabled, and so must the versions of secrets that it refers to, which the parameter's own principal must be allowed to read%s", q.name, why)
	case strings.Contains(message, "DISABLED"):
		return fault.Failf(fault.ErrNotFound, "%s: %s is disabled; enable it, name another version, or add a new one%s", q.name, which, why)
	case strings.Contains(message, "DESTROYED"):
		return fault.Failf(fault.ErrNotFound, "%s: %s is destroyed for good; name another version, or add a new one%s", q.name, which, why)
	}
	// A key of Cloud KMS that was taken away, for example: an answer that no
	// older value may stand in for.
	return fault.Failf(fault.ErrDenied, "%s: Secret Manager cannot read %s%s", q.name, which, why)
}

// grant is the right that a read or a list needs.
// https://cloud.google.com/secret-manager/docs/access-control
// https://cloud.google.com/secret-manager/parameter-manager/docs/access-control
func (q *query) grant() string {
	switch {
	case q.service == parameterManager && q.lists:
		return "roles/parametermanager.parameterViewer on the parameter or its project"
	case q.service == parameterManager:
		return "roles/parametermanager.parameterAccessor on the parameter or its project"
	case q.lists:
		return "roles/secretmanager.viewer on the secret"
	}
	return "roles/secretmanager.secretAccessor on the secret"
}

// damaged is an answer that must not be used, and may come whole another time.
func damaged(q *query, text string) error {
	return fault.Fail(fault.ErrUnavailable, fault.Fail(gcp.ErrDamaged, errors.New(q.name+": "+text)))
}

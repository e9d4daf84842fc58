package gcp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lanyardhq/lanyard/provider/backend/gcp"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// call makes a call as the node or as the pod, whichever the key is for.
// operation is encrypt or decrypt.
func (k *kmsKey) call(ctx context.Context, as identity.Identity, operation string, do func(context.Context) error) error {
	switch node := k.config.Auth.UsesNode(); {
	case node && !key.IsNode(as):
		return k.fail(fault.ErrDenied, "auth.method %s is the node's own right, which no pod may use as itself; let it be %s", k.config.Auth.Method, gcp.MethodWorkloadIdentity)
	case !node && key.IsNode(as):
		return k.fail(fault.ErrUnauthenticated, "auth.method %s is for pods, and the node is none; for the node use %s or %s", k.config.Auth.Method, gcp.MethodMetadata, gcp.MethodKeyFile)
	}
	return k.login.With(ctx, as, func(token secret.Bytes, who string) (refused bool, err error) {
		err = k.conn.Call(ctx, gcp.Request{
			Resource: k.config.Key, Token: token, Timeout: k.config.Timeout, Retries: k.config.Retries, Do: do,
			Explain: func(st *status.Status) error { return k.refusal(operation, st, token, who) },
		})
		return errors.Is(err, fault.ErrUnauthenticated), err
	})
}

// refusal explains a failed call.
// https://cloud.google.com/kms/docs/reference/rpc/google.cloud.kms.v1#keymanagementservice
func (k *kmsKey) refusal(operation string, st *status.Status, token secret.Bytes, who string) error {
	host, why := gcp.Host(k.config.Endpoint), k.conn.Said(st.Message(), token)
	switch st.Code() {
	case codes.NotFound:
		return k.fail(fault.ErrNotFound, "there is no such key%s", why)
	case codes.FailedPrecondition:
		return k.precondition(st.Message(), why)
	case codes.PermissionDenied:
		role := map[string]string{"encrypt": "roles/cloudkms.cryptoKeyEncrypter", "decrypt": "roles/cloudkms.cryptoKeyDecrypter"}[operation]
		return k.fail(fault.ErrDenied, "permission denied for %s: grant it %s on the key, and see that the key exists%s", who, role, why)
	case codes.Unauthenticated:
		return k.fail(fault.ErrUnauthenticated, "Cloud KMS does not accept the access token of %s%s", who, why)
	case codes.InvalidArgument, codes.OutOfRange:
		if strings.Contains(st.Message(), "checksum") {
			return k.fail(fault.ErrUnavailable, "what was sent was damaged on its way%s", why)
		}
		if operation == "decrypt" {
			return k.fail(fault.ErrInvalid, "the ciphertext was changed, is another key's, or is bound to another context%s", why)
		}
		return k.fail(fault.ErrInvalid, "Cloud KMS refuses the request; the key's purpose must be ENCRYPT_DECRYPT%s", why)
	case codes.Unimplemented:
		return k.fail(fault.ErrInvalid, "%s does not serve Cloud KMS; see the setting endpoint%s", host, why)
	case codes.ResourceExhausted:
		return fmt.Errorf("%s: %w", k.Name(), fault.Throttledf("Cloud KMS", "a quota of the project is used up%s", why))
	case codes.DeadlineExceeded:
		return k.fail(fault.ErrUnavailable, "Cloud KMS at %s did not answer within %s; see the setting timeout", host, k.config.Timeout)
	}
	return k.fail(fault.ErrUnavailable, "Cloud KMS at %s cannot answer (%s)%s", host, st.Code(), why)
}

// precondition explains a version that cannot be used. Its state is told in the
// message alone.
// https://cloud.google.com/kms/docs/key-states
func (k *kmsKey) precondition(message, why string) error {
	switch {
	case strings.Contains(message, "DESTROY_SCHEDULED"):
		return k.fail(fault.ErrInvalid, "the version is to be destroyed: restore it at once (gcloud kms keys versions restore), then enable it%s", why)
	case strings.Contains(message, "DESTROYED"):
		return k.fail(fault.ErrNotFound, "the version was destroyed, and what it encrypted is lost%s", why)
	case strings.Contains(message, "DISABLED"):
		return k.fail(fault.ErrInvalid, "the version is disabled; enable it (gcloud kms keys versions enable)%s", why)
	}
	return k.fail(fault.ErrInvalid, "the key cannot be used%s", why)
}

func (k *kmsKey) fail(kind error, format string, args ...any) error {
	return fault.Fail(kind, errors.New(k.Name()+": "+fmt.Sprintf(format, args...)))
}

package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/smithy-go"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// agentCredentials queries the agent of EKS Pod Identity at each of its addresses until
// one answers.
// https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
func (a *Access) agentCredentials(ctx context.Context, token secret.Bytes) (got awssdk.Credentials, failed *CallError) {
	agents := a.settings.Auth.agents()
	for n, address := range agents {
		provider := endpointcreds.New(address, func(o *endpointcreds.Options) {
			o.HTTPClient, o.Retryer, o.AuthorizationToken = wholeGrants{a.nodeHTTP}, awssdk.NopRetryer{}, token.RevealString()
		})
		share, cancel := shareOf(ctx, len(agents)-n)
		failed = a.attempt(share, a.settings.Retries, 1, func(ctx context.Context) *CallError {
			var err error
			if got, err = provider.Retrieve(ctx); err != nil {
				return agentFailure(err, token)
			}
			return nil
		})
		cancel()
		if failed == nil {
			return got, nil
		}
		if !errors.Is(failed, fault.ErrUnavailable) {
			break
		}
	}
	return awssdk.Credentials{}, failed
}

// wholeGrants takes no answer of success that lacks credentials, on which the SDK
// panics, or their end, without which it takes them for lasting.
type wholeGrants struct{ endpointcreds.HTTPClient }

// Do implements endpointcreds.HTTPClient.
func (w wholeGrants) Do(req *http.Request) (*http.Response, error) {
	resp, err := w.HTTPClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	var got struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		Expiration      time.Time
	}
	if json.Unmarshal(body, &got) != nil || got.AccessKeyID == "" || got.SecretAccessKey == "" || got.Token == "" || got.Expiration.IsZero() {
		return nil, failf(fault.ErrUnavailable, "it answered without whole credentials")
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// passedOn is how the agent passes on what the service EKS Auth refused with:
// "[request ID]: (code): message, fault: client".
// https://github.com/aws/eks-pod-identity-agent/blob/main/pkg/errors/errors.go
var passedOn = regexp.MustCompile(`(?s)^(?:\[[^\]]*\]: )?\((\w+)\): (.*), fault: \w+\s*$`)

// agentSaid is what the agent answered in place of credentials. It is text, either
// EKS Auth's or the agent's own, which the SDK hands on whole and without a code.
// https://github.com/aws/eks-pod-identity-agent/blob/main/pkg/handlers/eks_credential_handler.go
func agentSaid(err error, token secret.Bytes) *CallError {
	var broken *CallError
	if errors.As(err, &broken) {
		return failf(broken.Kind, "%s", broken.Text)
	}
	var answered smithy.APIError
	if !errors.As(err, &answered) || answered.ErrorCode() != "" {
		return Explain(err, token)
	}
	status, text := statusOf(err), answered.ErrorMessage()
	if parts := passedOn.FindStringSubmatch(text); parts != nil {
		return answeredWith(parts[1], parts[2], status, token)
	}
	f := failf(fault.ErrInvalid, "the agent answered with status %d: %s", status, message.Excerpt(remote.Redact(text, token)))
	switch {
	case status == http.StatusTooManyRequests:
		f = f.throttle(f.Text)
	case passes(status) || strings.Contains(text, "key refresh failed"):
		f.Kind = fault.ErrUnavailable
	case status == http.StatusBadRequest:
		// What the agent itself looks at is the token's form, time and signature.
		// https://github.com/aws/eks-pod-identity-agent/tree/main/internal/validation
		f.Kind = fault.ErrUnauthenticated
	}
	return f
}

func agentFailure(err error, token secret.Bytes) *CallError {
	f, status := agentSaid(err, token), statusOf(err)
	f.Text = "EKS Pod Identity: " + f.Text
	switch {
	case f.Code == "ExpiredTokenException":
		f.Kind, f.credentials = fault.ErrUnauthenticated, false
		f.Text += "; set requiresRepublish: true on the CSIDriver secrets-store.csi.k8s.io, or check the node's clock"
	case f.Code == "InvalidTokenException":
		f.Kind = fault.ErrUnauthenticated
		f.Text += "; the agent takes tokens of this cluster for the audience " + agentAudience
	case f.Code == "ResourceNotFoundException" || f.Code == "AccessDeniedException" || status == http.StatusNotFound:
		f.Kind = fault.ErrDenied
		f.Text += "; associate a role with the pod's service account (aws eks create-pod-identity-association), and let pods.eks.amazonaws.com assume and tag it"
	case errors.Is(f, fault.ErrUnavailable) && f.Code == "":
		f.Text += "; check that the add-on eks-pod-identity-agent runs on the node, and that the provider reaches it"
	}
	return f
}

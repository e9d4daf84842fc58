package gcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// maxLoginBytes bounds an answer of an identity service.
const maxLoginBytes = 64 << 10

// callOf says what a call is for and what its failure means.
type callOf struct {
	what     string // in errors
	refused  string // the remedy when it is refused
	kind     error  // of a refusal
	sent     []secret.Bytes
	over     remote.Network
	endpoint string
	local    bool // the server is the node's own and answers at once or never
}

// call makes a call of an identity service, and again a bounded number of times
// if that may help. do sends one request with the client, which is also that of
// its context for golang.org/x/oauth2. The client notes what comes back, since
// libraries put status and body into one text.
func (s *Login) call(ctx context.Context, c callOf, do func(context.Context, *http.Client) error) error {
	retries, transport := s.Retries, s.Link.transports[c.over]
	if c.local {
		retries = min(retries, 1)
	}
	backoff := remote.Backoff{Timeout: s.Timeout, Retries: retries, First: firstPause, Max: maxPause}
	err := backoff.Do(ctx, "the server", func(ctx context.Context) remote.Outcome {
		client := transport.Client(s.Link.name)
		seen := &recorder{next: client.Transport}
		client.Transport = seen
		if do(context.WithValue(ctx, oauth2.HTTPClient, client), client) == nil {
			return remote.Outcome{}
		}
		return remote.Outcome{Err: seen.failure(s, c), Retry: seen.passes(), After: seen.after}
	})
	if err != nil {
		return fmt.Errorf("%s: %w", c.what, err)
	}
	return nil
}

// sendJSON sends a request and decodes a successful answer.
func sendJSON(client *http.Client, req *http.Request, into any) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it has been read as far as it matters
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || json.Unmarshal(body, into) != nil {
		return errNoAnswer
	}
	return nil
}

// recorder sends one request, notes the status and the bounded body of its
// answer, and hands both on.
type recorder struct {
	next   http.RoundTripper
	status int
	body   []byte
	after  time.Duration // what Retry-After asks for
	err    error         // why there was no answer
}

// RoundTrip implements http.RoundTripper.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if err != nil {
		r.err = err
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if closed := resp.Body.Close(); err == nil {
		err = closed
	}
	if err != nil {
		r.err = err
		return nil, err
	}
	r.status, r.body, r.after = resp.StatusCode, body, remote.RetryAfter(resp.Header)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// passes reports whether the failure may pass by itself. A success that cannot be
// used is one: something between the node and Google answered instead.
func (r *recorder) passes() bool {
	return r.status == 0 || r.undecided() || r.throttled() || r.status == http.StatusRequestTimeout || r.status >= 500 || r.status < 300
}

// throttled reports whether the call was refused because there were too many. Some of
// Google's APIs say so with 403, as does the gRPC code in the answer.
// https://cloud.google.com/resource-manager/docs/core_errors
func (r *recorder) throttled() bool {
	if r.status == http.StatusTooManyRequests {
		return true
	}
	var answer struct {
		Error struct {
			Status string `json:"status"`
			Errors []struct {
				Reason string `json:"reason"`
			} `json:"errors"`
		} `json:"error"`
	}
	if r.status < 400 || json.Unmarshal(r.body, &answer) != nil {
		return false
	}
	return answer.Error.Status == "RESOURCE_EXHAUSTED" || len(answer.Error.Errors) > 0 && slices.Contains(quotaReasons, answer.Error.Errors[0].Reason)
}

// quotaReasons are the reasons of refusals that pass when there are fewer calls.
var quotaReasons = []string{"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "concurrentLimitExceeded"}

// undecided reports whether a token was refused without being judged, because the keys of
// its issuer could not be fetched just now.
// https://cloud.google.com/iam/docs/troubleshooting-workload-identity-federation
func (r *recorder) undecided() bool {
	return r.status == http.StatusBadRequest && strings.Contains(r.reason(), "Error connecting to the given credential's issuer")
}

// failure explains a call that failed for good.
func (r *recorder) failure(s *Login, c callOf) error {
	text := speaker(c.over, c.endpoint).Said(r.reason(), c.sent...)
	switch {
	case r.status == 0 && r.err == nil:
		return fault.Failf(fault.ErrInvalid, "the request cannot be sent")
	case r.status == 0 && errors.Is(r.err, context.DeadlineExceeded):
		return fault.Failf(fault.ErrUnavailable, "no answer within %s; see the setting timeout", s.Timeout)
	case r.status == 0:
		cause := remote.Redact(r.err.Error(), c.sent...)
		return fault.Failf(fault.ErrUnavailable, "no answer: %s", message.Excerpt(cause))
	case r.undecided():
		return fault.Failf(fault.ErrUnavailable, "failed (%d)%s; if it stays so, check that the cluster's issuer answers with its keys to anyone", r.status, text)
	case r.throttled():
		return fault.Throttledf("Google", "a quota is used up (%d)%s", r.status, text)
	case r.status >= 500 || r.status == http.StatusRequestTimeout:
		return fault.Failf(fault.ErrUnavailable, "failed (%d)%s", r.status, text)
	case r.status < 300:
		return fault.Failf(fault.ErrUnavailable, "answered %d with nothing that can be used; look at what stands between the node and Google", r.status)
	}
	return fault.Failf(c.kind, "refused (%d)%s; %s", r.status, text, c.refused)
}

// reason is what an answer gives as its reason: the error of OAuth (RFC 6749,
// section 5.2) or of Google's APIs.
// https://cloud.google.com/apis/design/errors#http_mapping
func (r *recorder) reason() string {
	var answer struct {
		Error       json.RawMessage `json:"error"`
		Description string          `json:"error_description"`
	}
	if json.Unmarshal(r.body, &answer) != nil {
		return ""
	}
	var api struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(answer.Error, &api) == nil && api.Message != "" {
		return api.Message
	}
	var code string
	if json.Unmarshal(answer.Error, &code) != nil {
		return ""
	}
	if answer.Description != "" {
		return code + ": " + answer.Description
	}
	return code
}

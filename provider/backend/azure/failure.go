package azure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// complaint is what an answer of Key Vault's says is wrong.
// https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses#error-responses
type complaint struct {
	Error struct {
		Code       string `json:"code"`
		Message    string `json:"message"`
		InnerError struct {
			Code string `json:"code"`
		} `json:"innererror"`
	} `json:"error"`
}

// refused is a call that Key Vault answered with an error.
type refused struct {
	status    int
	code      string        // the inner one where there is one
	text      string        // Key Vault's own words, ready to be appended; may be empty
	challenge string        // the WWW-Authenticate header of a 401
	after     time.Duration // what Retry-After asks for
}

// asRefused returns the refusal in an answer of Key Vault; false for other failures.
func asRefused(err error, from remote.Speaker, sent secret.Bytes) (refused, bool) {
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) {
		return refused{}, false
	}
	r := refused{status: answer.StatusCode, code: answer.ErrorCode}
	if answer.RawResponse == nil {
		return r, true
	}
	r.after = remote.RetryAfter(answer.RawResponse.Header)
	r.challenge = answer.RawResponse.Header.Get("WWW-Authenticate")
	var said complaint
	body, err := runtime.Payload(answer.RawResponse)
	if err != nil || json.Unmarshal(body, &said) != nil {
		return r, true
	}
	if said.Error.InnerError.Code != "" {
		r.code = said.Error.InnerError.Code
	}
	r.text = from.Said(said.Error.Message, sent)
	return r, true
}

// passes reports whether a failure with the status may pass by itself.
func passes(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500
}

// throttles reports whether an answer refuses the call because there were too many:
// by its status, or by its code where a service or a gateway answers with another.
func throttles(status int, code string) bool {
	code = strings.ToLower(code)
	return status == http.StatusTooManyRequests || status >= 400 && (strings.Contains(code, "throttl") || strings.Contains(code, "toomanyrequests"))
}

// mayPass reports whether the refusal may pass by itself.
func (r refused) mayPass() bool { return passes(r.status) || throttles(r.status, r.code) }

// explain turns an answer into the failure that its reader needs.
// https://learn.microsoft.com/azure/key-vault/general/rest-error-codes
func (r refused) explain(what Object, who string) error {
	switch {
	case throttles(r.status, r.code):
		return fault.Throttledf("Key Vault", "the vault's limit of transactions in ten seconds is reached (%d); call less often (refresh), or spread what is asked for over more vaults%s", r.status, r.text)
	case passes(r.status):
		return fault.Failf(fault.ErrUnavailable, "Key Vault failed with status %d%s", r.status, r.text)
	case r.status == http.StatusUnauthorized:
		return fault.Failf(fault.ErrUnauthenticated, "Key Vault does not accept the token of %s (401)%s%s", who, r.wants(), r.text)
	case r.status == http.StatusForbidden:
		return r.forbidden(what, who)
	case r.status == http.StatusNotFound:
		return fault.Failf(fault.ErrNotFound, "Key Vault has no such %s; if it was deleted, recover it, else check the name%s%s", what.Noun(), what.OrVersion(), r.text)
	case r.status >= 300 && r.status < 400:
		return fault.Failf(fault.ErrInvalid, "the server redirects (%d), which Key Vault never does; check the vault's address", r.status)
	}
	return fault.Failf(fault.ErrInvalid, "Key Vault refuses the request (%d)%s", r.status, r.text)
}

// forbidden explains a 403 by its inner code.
func (r refused) forbidden(what Object, who string) error {
	switch {
	case strings.HasSuffix(r.code, "Disabled"):
		return fault.Failf(fault.ErrDenied, "this version of the %s is disabled; enable it, or give another version%s", what.Noun(), r.text)
	case r.code == "ForbiddenByFirewall":
		return fault.Failf(fault.ErrDenied, "the vault's firewall does not admit this node's address; add the cluster's outbound address or its subnet to the vault's network rules%s", r.text)
	case r.code == "ForbiddenByConnection":
		return fault.Failf(fault.ErrDenied, "the vault takes no calls from the public network; let the node reach it by its private endpoint (its private DNS zone, or the setting endpoint)%s", r.text)
	case r.code == "ForbiddenByRbac":
		return fault.Failf(fault.ErrDenied, "permission denied for %s: give it the role %q %s%s", who, what.Role(), where(what), r.text)
	}
	return fault.Failf(fault.ErrDenied, "permission denied for %s: its access policy needs %s; if the vault uses roles, give it the role %q%s", who, what.Permission(), what.Role(), r.text)
}

// where is what the role must be on.
func where(what Object) string {
	if strings.HasSuffix(what.Permission(), " list") {
		return "on the vault, which a list needs"
	}
	return "on the vault or on this object"
}

// wants says what a 401 asks for.
func (r refused) wants() string {
	c, err := parseChallenge(r.challenge)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("; it wants one of tenant %s for %s: check `tenantID` and `cloud`, and the setting resource if the store has it", message.Excerpt(c.tenant), message.Excerpt(c.resource))
}

// unreachable explains a call without an answer. The text of err is quoted only
// where it is the network's, since what a decoder says may quote a value.
func unreachable(ctx context.Context, host string, err error) error {
	var (
		wrapped *url.Error
		missing *net.DNSError
		network net.Error
		dial    *net.OpError
		large   *remote.TooLargeError
	)
	switch {
	case errors.As(err, &large):
		return fault.Failf(fault.ErrInvalid, "%s: %v, the maximum of Key Vault's", host, large)
	// What package net says of a dial that took too long is a DeadlineExceeded too.
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded) && !(errors.As(err, &dial) && dial.Op == "dial"):
		return fault.Failf(fault.ErrUnavailable, "%s did not answer in time; see the setting timeout", host)
	case errors.As(err, &missing) && missing.IsNotFound:
		return fault.Failf(fault.ErrUnavailable, "there is no host %s; check the vault's name and cloud, and the private DNS zone if the vault has a private endpoint", host)
	case errors.As(err, &wrapped):
		return fault.Failf(fault.ErrUnavailable, "%s cannot be reached: %s", host, message.Excerpt(wrapped.Err.Error()))
	case errors.As(err, &network):
		return fault.Failf(fault.ErrUnavailable, "%s cannot be reached: %s", host, message.Excerpt(network.Error()))
	}
	return fault.Failf(fault.ErrUnavailable, "%s answered with what is not an answer of Azure's, or broke off; look at what stands between the node and Azure", host)
}

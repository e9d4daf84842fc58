package vault

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// The mean of the first pause before a retry, and the longest.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 10 * time.Second
)

// client makes the calls of one store.
type client struct {
	http      *http.Client
	address   *url.URL
	namespace string
	from      remote.Speaker
	backoff   remote.Backoff
	// headersFile holds further headers; empty for none.
	headersFile string
}

// newClient makes the calls with a client that follows no redirect, as is right for
// an address that a class chose: a server of the class's author could send the
// provider to whatever the node can reach.
func newClient(config *Settings, calls *http.Client) (*client, error) {
	address, err := url.Parse(config.Address)
	if err != nil {
		return nil, err
	}
	if config.byOperator {
		calls.CheckRedirect = followOnce
	}
	return &client{
		http:      calls,
		address:   address,
		namespace: config.Namespace,
		from:      config.Network.Speaker(says, address.Host),
		backoff:   remote.Backoff{Timeout: config.Timeout, Retries: config.Retries, First: firstPause, Max: maxPause},

		headersFile: config.HeadersFile,
	}, nil
}

// followOnce lets a standby send a request on to the active node, which Vault
// does with 307: once, to the same path, and never from TLS to plain text.
// https://developer.hashicorp.com/vault/docs/concepts/ha#client-redirection
func followOnce(req *http.Request, via []*http.Request) error {
	status := req.Response.StatusCode
	same := status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect
	first := via[0].URL
	if len(via) > 1 || !same || req.URL.EscapedPath() != first.EscapedPath() || req.URL.RawQuery != first.RawQuery || req.URL.Scheme != first.Scheme || req.URL.User != nil {
		return http.ErrUseLastResponse
	}
	return nil
}

// Request is one call of the API.
type Request struct {
	// What is asked, to stand in front of the errors of Connection.Call: "GET secret/a".
	What   string
	Method string
	Path   string // after /v1/
	Params url.Values
	Body   []byte // JSON; nil sends none
	// Secrets are what the body holds that must not come back in an error.
	Secrets []secret.Bytes
	// Repeatable is true if the call may be made again after it may have been
	// carried out.
	Repeatable bool

	token   secret.Bytes
	headers remote.Headers
}

// sent is all that must not come back in an error.
func (r *Request) sent() []secret.Bytes {
	return slices.Concat([]secret.Bytes{r.token}, r.Secrets, r.headers.Secrets())
}

// Response is an answer that Vault meant: its status is not one that passes.
type Response struct {
	Status int
	Answer *Answer // nil if the body was empty or not an answer of Vault's
	Broken error   // why Answer is nil
	// Location is where a redirect that is not followed leads to, without the query.
	Location string

	from   remote.Speaker
	logsIn bool           // again, some time after it was refused
	sent   []secret.Bytes // with the request; never repeated in an error
}

// OK is true if Vault did what it was asked.
func (r *Response) OK() bool { return r.Status >= 200 && r.Status < 300 }

// call makes a request, and again a bounded number of times if that may help.
// The error wraps fault.ErrUnavailable, fault.ErrInvalid or ctx's.
func (c *client) call(ctx context.Context, r Request) (resp *Response, err error) {
	err = c.backoff.Do(ctx, "Vault at "+c.address.Host, func(ctx context.Context) remote.Outcome {
		var result outcome
		resp, result = c.try(ctx, r)
		return remote.Outcome{Err: result.err, Retry: result.passes && (r.Repeatable || !result.done), After: result.after}
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// outcome is how a try failed.
type outcome struct {
	err    error
	passes bool          // another try may help
	done   bool          // Vault may have carried the request out
	after  time.Duration // what Retry-After asks for
}

// try makes a request once.
func (c *client) try(ctx context.Context, r Request) (*Response, outcome) {
	if c.headersFile != "" {
		further, err := readHeaders(c.headersFile)
		if err != nil {
			return nil, outcome{err: fault.Failf(fault.ErrUnavailable, "headersFile: %v", err)}
		}
		r.headers = further
	}
	req, err := c.newRequest(ctx, r)
	if err != nil {
		return nil, outcome{err: fault.Failf(fault.ErrInvalid, "%s %s cannot be sent", r.Method, message.Excerpt(r.Path))}
	}
	got, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer got.Body.Close() //nolint:errcheck // it has been read as far as it matters
	body, err := io.ReadAll(got.Body)
	var large *remote.TooLargeError
	switch {
	case errors.As(err, &large):
		return nil, outcome{err: fault.Failf(fault.ErrInvalid, "%s %s: %v", r.Method, message.Excerpt(r.Path), large)}
	case err != nil:
		return nil, c.unreachable(ctx, err)
	}
	resp := &Response{Status: got.StatusCode, from: c.from, sent: r.sent()}
	resp.Answer, resp.Broken = ParseAnswer(r.Path, body)
	if to, err := got.Location(); err == nil && got.StatusCode/100 == 3 {
		resp.Location = message.Excerpt((&url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path}).String())
	}
	if passing, executed := passingStatus(got.StatusCode); passing {
		return nil, outcome{
			err:    resp.unavailable(),
			passes: true, done: executed, after: remote.RetryAfter(got.Header),
		}
	}
	if got.StatusCode >= 400 && !resp.Answer.byVault() {
		return nil, outcome{err: resp.fromBetween(c.address), done: true}
	}
	return resp, outcome{}
}

func (c *client) newRequest(ctx context.Context, r Request) (*http.Request, error) {
	target := *c.address
	target.Path += "/v1/" + r.Path
	prepared := api.Request{
		Method: r.Method, URL: &target, Host: target.Host, Params: r.Params,
		Headers:     http.Header{api.RequestHeaderName: {"true"}},
		ClientToken: r.token.RevealString(),
		BodyBytes:   r.Body,
	}
	r.headers.AddTo(prepared.Headers)
	if c.namespace != "" {
		prepared.Headers.Set(api.NamespaceHeaderName, c.namespace)
	}
	if r.Body != nil {
		prepared.Headers.Set("Content-Type", "application/json")
	}
	req, err := prepared.ToHTTP()
	if err != nil {
		return nil, err
	}
	return req.WithContext(ctx), nil
}

// passingStatus reports whether a failure may pass by itself, and whether Vault
// may have carried the request out before it answered so.
func passingStatus(status int) (passes, executed bool) {
	switch status {
	case http.StatusPreconditionFailed, http.StatusTooManyRequests, http.StatusServiceUnavailable, 472, 473:
		return true, false
	}
	return status >= 500, true
}

// unreachable explains a try that had no answer.
func (c *client) unreachable(ctx context.Context, err error) outcome {
	var dial *net.OpError
	sent := !errors.As(err, &dial) || dial.Op != "dial"
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the URL, whose query belongs to the class
	}
	// What package net says of a dial that took too long is a DeadlineExceeded too.
	if ctx.Err() != nil || sent && errors.Is(err, context.DeadlineExceeded) {
		return outcome{passes: true, done: sent, err: fault.Failf(fault.ErrUnavailable,
			"Vault at %s did not answer within %s; see the setting timeout", c.address.Host, c.backoff.Timeout)}
	}
	return outcome{passes: true, done: sent, err: fault.Failf(fault.ErrUnavailable,
		"Vault at %s cannot be reached: %s", c.address.Host, message.Excerpt(err.Error()))}
}

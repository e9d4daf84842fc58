package aws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// CallError is an error of AWS in the words of package fault.
type CallError struct {
	// Kind is one of package fault's.
	Kind error
	// Text says what failed and what to do.
	Text string
	// Code is AWS's own name for the error; empty if there was no answer.
	Code string

	credentials bool          // it is the credentials that were refused
	everywhere  bool          // another region would fail alike
	after       time.Duration // what Retry-After asks for
	cause       error
}

// Error is the text.
func (f *CallError) Error() string { return f.Text }

// Unwrap is the kind, and the cause if callers may want to match it.
func (f *CallError) Unwrap() []error {
	if f.cause != nil {
		return []error{f.Kind, f.cause}
	}
	return []error{f.Kind}
}

// failf makes a CallError of a kind.
func failf(kind error, format string, args ...any) *CallError {
	return &CallError{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// Incomplete is an answer of success that is not what was asked for, which no service
// of AWS gives.
func Incomplete(what string) *CallError {
	return failf(fault.ErrUnavailable, "the answer %s, which AWS does not answer; look at what stands between the node and AWS", what)
}

// Explain turns what the SDK returned into a CallError. AWS's own message is
// quoted without the secrets that were sent.
func Explain(err error, sent ...secret.Bytes) *CallError {
	var answered smithy.APIError
	if !errors.As(err, &answered) || answered.ErrorCode() == "" {
		return unanswered(err)
	}
	f := answeredWith(answered.ErrorCode(), answered.ErrorMessage(), statusOf(err), sent...)
	f.after = retryAfter(err)
	return f
}

// answeredWith is named without the secrets that were sent, where the status of
// the answer may tell what a code that is not known does not.
func answeredWith(code, text string, status int, sent ...secret.Bytes) *CallError {
	f := named(code, remote.Redact(text, sent...))
	switch {
	case status == http.StatusTooManyRequests && !errors.Is(f, fault.ErrThrottled):
		return f.throttle(fmt.Sprintf("status 429, %s", f.Text))
	case errors.Is(f, fault.ErrInvalid) && passes(status):
		f.Kind = fault.ErrUnavailable
	}
	return f
}

// throttle makes f, whose reason is why, one of an account with too many calls.
func (f *CallError) throttle(why string) *CallError {
	err := fault.Throttledf("AWS", "%s", why)
	f.Kind, f.Text, f.cause = fault.ErrUnavailable, err.Error(), err
	return f
}

// passes reports whether a failure with the status may pass by itself.
func passes(status int) bool {
	return status >= http.StatusInternalServerError
}

// named is what an error of this code and text means, by AWS's names for
// errors, which the services share.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/CommonErrors.html
func named(code, text string) *CallError {
	says := message.Excerpt(code)
	if text != "" {
		says += ": " + message.Excerpt(text)
	}
	f := &CallError{Kind: fault.ErrInvalid, Text: "AWS says " + says, Code: code}
	_, throttled := retry.DefaultThrottleErrorCodes[code]
	switch {
	case throttled || code == "TooManyRequests":
		f = f.throttle("it refuses the account's calls for a while (" + says + ")")
	case code == "AccessDeniedException" || code == "AccessDenied" || code == "NotAuthorized" || code == "OptInRequired":
		f.Kind, f.Text = fault.ErrDenied, "permission denied; "+f.Text
	case code == "ExpiredTokenException" || code == "ExpiredToken" || code == "UnrecognizedClientException" || code == "InvalidClientTokenId" || code == "IncompleteSignatureException":
		f.Kind, f.credentials = fault.ErrUnauthenticated, true
		f.Text = "AWS does not accept the credentials of the assumed role (" + says + ")"
	case code == "InvalidSignatureException" || code == "SignatureDoesNotMatch" || code == "RequestExpired" || code == "RequestTimeTooSkewed":
		f.Kind, f.credentials = fault.ErrUnauthenticated, true
		f.Text = "AWS does not accept the signature (" + says + "); check the node's clock, and whether something between the node and AWS changes requests"
	case code == "ResourceNotFoundException" || code == "ParameterNotFound" || code == "ParameterVersionNotFound" || code == "NotFoundException":
		f.Kind = fault.ErrNotFound
	case code == "InternalServiceError" || code == "InternalServerError" || code == "InternalFailure" || code == "ServiceUnavailable" || code == "ServiceUnavailableException" || code == "InternalServiceErrorException" || code == "DependencyTimeoutException" || code == "KMSInternalException" || code == "RequestTimeout" || code == "RequestTimeoutException" || code == "IDPCommunicationError":
		f.Kind = fault.ErrUnavailable
	}
	return f
}

// retryAfter is the pause that the answer asks for; zero if it asks for none.
func retryAfter(err error) time.Duration {
	var answered *smithyhttp.ResponseError
	if errors.As(err, &answered) && answered.Response != nil && answered.Response.Response != nil {
		return remote.RetryAfter(answered.Response.Header)
	}
	return 0
}

// Named is what an error of this code and text means that stands in an answer beside
// what went well.
func (a *Access) Named(target Target, code, text string) *CallError {
	f := named(code, text)
	f.from(speaker(a.settings.Networks.Service, a.settings.Endpoint, target.Region))
	return f
}

// from marks what a server that a class chose has said.
func (f *CallError) from(server remote.Speaker) {
	if f != nil && f.Code != "" && server.Host != "" {
		f.Text = server.Chosen() + ", answered: " + f.Text
	}
}

// speaker is who answers at an endpoint of the settings, in a region.
func speaker(over remote.Network, endpoint, region string) remote.Speaker {
	at := endpointIn(endpoint, region)
	if at == nil {
		return remote.Speaker{}
	}
	_, host, _ := strings.Cut(*at, "://")
	return over.Speaker("AWS says", host) // below amazonaws.com there are load balancers of anybody
}

func statusOf(err error) int {
	var answered interface{ HTTPStatusCode() int }
	if errors.As(err, &answered) {
		return answered.HTTPStatusCode()
	}
	return 0
}

// unanswered explains an error that is not AWS's own.
func unanswered(err error) *CallError {
	var at *url.Error
	var network net.Error
	var large *remote.TooLargeError
	host := ""
	if errors.As(err, &at) {
		if parsed, parseErr := url.Parse(at.URL); parseErr == nil {
			host = " at " + parsed.Host
		}
	}
	switch {
	case errors.As(err, &large):
		return failf(fault.ErrInvalid, "%v", large)
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		return failf(fault.ErrUnavailable, "AWS%s did not answer in time", host)
	case at != nil:
		return failf(fault.ErrUnavailable, "AWS%s cannot be reached: %s", host, message.Excerpt(at.Err.Error()))
	case errors.As(err, &network), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return failf(fault.ErrUnavailable, "AWS%s cannot be reached: %s", host, message.Excerpt(innermost(err)))
	case statusOf(err) == http.StatusTooManyRequests:
		f := (&CallError{}).throttle("status 429, and nothing that can be read")
		f.after = retryAfter(err)
		return f
	case passes(statusOf(err)) || statusOf(err) == http.StatusOK:
		f := failf(fault.ErrUnavailable, "AWS answered with status %d and nothing that can be read", statusOf(err))
		f.after = retryAfter(err)
		return f
	case statusOf(err) != 0:
		return failf(fault.ErrInvalid, "what answers in the place of AWS refuses the call with status %d; check endpoint", statusOf(err))
	}
	return failf(fault.ErrInvalid, "the call cannot be made: %s", message.Excerpt(err.Error()))
}

// innermost is the innermost text, without the names of the SDK's layers.
func innermost(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

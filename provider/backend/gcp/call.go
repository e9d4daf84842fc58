package gcp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// ErrDamaged is for the Do of a Request: the answer is not what Google sent, and
// may come whole another time. Its text is reported if it does not.
// https://cloud.google.com/secret-manager/docs/data-integrity
var ErrDamaged = errors.New("damaged answer")

// Request is a gRPC call for a resource, and its bounds.
type Request struct {
	// Resource is the full name of what the call is for.
	Resource string
	// Field is the field of the request that Resource stands in; empty means name.
	Field string
	// Token is the access token that it is made with.
	Token secret.Bytes
	// Timeout bounds one try, and Retries how often it is made again.
	Timeout time.Duration
	Retries int
	// Do makes the call with a client over the Conn and the context that it is
	// given, and looks at the answer.
	Do func(context.Context) error
	// Explain says what a status other than OK means, as an error of a kind of package
	// fault; of throttling, as fault.Throttledf has it.
	Explain func(*status.Status) error
}

// Call makes a call, and again if that may help. It holds a place among the
// calls in flight at the endpoint only while a try is under way. The error is
// nil, ctx's, that of a call that was not made, Explain's, or what Do returned of its own.
func (c *Conn) Call(ctx context.Context, r Request) error {
	backoff := remote.Backoff{Timeout: r.Timeout, Retries: r.Retries, First: firstPause, Max: maxPause}
	err := backoff.Do(ctx, Host(c.Endpoint), func(ctx context.Context) remote.Outcome {
		err := c.try(ctx, r)
		return remote.Outcome{Err: c.explained(r, err), Retry: passes(err), After: retryDelay(err)}
	})
	if errors.Is(err, remote.ErrNoSlot) || remote.IsRefused(err) || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%s: %w", r.Resource, err)
	}
	return err
}

// explained is the error of a try, for people.
func (c *Conn) explained(r Request, err error) error {
	if isTooLarge(err) {
		return fault.Failf(fault.ErrInvalid, "%s: the answer is larger than %d bytes, more than what was asked for can be", r.Resource, c.maxAnswer)
	}
	if st, ok := status.FromError(err); ok && err != nil && !remote.HasKind(err) {
		return r.Explain(st)
	}
	return err
}

// try makes the call once.
func (c *Conn) try(ctx context.Context, r Request) error {
	return c.Conn.Call(ctx, c.observed, r.Timeout, observedStatus, func(ctx context.Context) error {
		return r.Do(metadata.AppendToOutgoingContext(ctx,
			"authorization", "Bearer "+r.Token.RevealString(),
			// Routes the call to where the resource is: https://google.aip.dev/client-libraries/4222
			"x-goog-request-params", cmp.Or(r.Field, "name")+"="+url.QueryEscape(r.Resource),
		))
	})
}

// observedStatus is the status under which the call of an error is counted.
func observedStatus(err error) int {
	if st, ok := status.FromError(err); ok {
		return httpStatus(st.Code())
	}
	return http.StatusOK
}

// tooLarge is how gRPC says that an answer passed the bound, with a code that
// else means throttling.
const tooLarge = "received message larger than max"

// isTooLarge says that a call failed because its answer passed the bound of the connection.
func isTooLarge(err error) bool {
	st, ok := status.FromError(err)
	return ok && st.Code() == codes.ResourceExhausted && strings.Contains(st.Message(), tooLarge)
}

// passes reports whether the failure of a call may pass by itself.
// https://google.aip.dev/194
func passes(err error) bool {
	if errors.Is(err, ErrDamaged) {
		return true
	}
	st, ok := status.FromError(err)
	if !ok {
		return false
	}
	switch st.Code() {
	case codes.Unavailable, codes.Internal, codes.Unknown, codes.Aborted, codes.DeadlineExceeded, codes.DataLoss:
		return true
	case codes.ResourceExhausted:
		return !isTooLarge(err)
	}
	return false
}

// retryDelay is what the server asks to wait.
// https://cloud.google.com/apis/design/errors#error_payloads
func retryDelay(err error) time.Duration {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return 0
}

// httpStatus is the status under which a gRPC code is counted; zero if there
// was no answer.
// https://cloud.google.com/apis/design/errors#handling_errors
func httpStatus(code codes.Code) int {
	switch code {
	case codes.OK:
		return http.StatusOK
	case codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange:
		return http.StatusBadRequest
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.NotFound:
		return http.StatusNotFound
	case codes.Aborted, codes.AlreadyExists:
		return http.StatusConflict
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unimplemented:
		return http.StatusNotImplemented
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	case codes.Canceled, codes.DeadlineExceeded:
		return 0
	}
	return http.StatusInternalServerError
}

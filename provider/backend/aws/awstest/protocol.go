package awstest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
)

// Error is an error as a service answers it.
type Error struct {
	Status  int
	Code    string
	Message string

	// RetryAfter is the header of that name in whole seconds; zero leaves it out.
	RetryAfter time.Duration
}

// Error is the code and the message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Fail makes an Error.
func Fail(status int, code, message string) *Error {
	return &Error{Status: status, Code: code, Message: message}
}

// Caller is who made a call that was signed with a session's key.
type Caller struct {
	// ARN is the assumed role's, with the session's name.
	ARN string
	// RoleARN is the role's own.
	RoleARN string
	// Region and Service are those of the signature.
	Region, Service string
	// Header is the call's, all of whose x-amz headers were signed.
	Header http.Header

	role Role
}

// Permit refuses the action on the named resource, unless the caller's role may
// read it.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
func (c Caller) Permit(action, resource string) *Error {
	if !slices.Contains(c.role.Without, action) && backendtest.Matches(c.role.Reads, resource) {
		return nil
	}
	return c.refusal(action, resource)
}

func (c Caller) refusal(action, resource string) *Error {
	return Fail(http.StatusBadRequest, "AccessDeniedException", fmt.Sprintf(
		"User: %s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action", c.ARN, action, resource, action))
}

// Handler answers one action of a service that speaks AWS JSON 1.1. Its request
// is the body as it came; its answer is encoded as JSON.
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
type Handler func(caller Caller, request json.RawMessage) (any, *Error)

// Handle adds an action of a further service: "TrentService.Decrypt" is that of
// KMS. It must be called before the first request.
func (s *Server) Handle(target string, handler Handler) { s.handlers[target] = handler }

// servicePrefix is a service's name in targets, by its name in signatures.
func servicePrefix(service string) string {
	switch service {
	case "ssm":
		return "AmazonSSM."
	case "kms":
		return "TrentService."
	}
	return service + "."
}

// jsonType is the content type of AWS JSON 1.1.
const jsonType = "application/x-amz-json-1.1"

func (s *Server) serveJSON(w http.ResponseWriter, r *http.Request, target string, body []byte) {
	signature, failed := ParseSignature(r)
	if failed != nil {
		writeJSONError(w, failed)
		return
	}
	_, name, _ := strings.Cut(target, ".")
	action := signature.Service + ":" + name
	s.regional.Count(signature.Region + " " + action)
	s.respond(w, r, signature.Region, action, protocol{jsonType, json.Marshal, writeJSONError}, func() (any, *Error) {
		caller, failed := s.caller(r, signature, body)
		if failed != nil {
			return nil, failed
		}
		handler := s.handlers[target]
		switch given := r.Header.Get("Content-Type"); {
		case handler == nil || !strings.HasPrefix(target, servicePrefix(signature.Service)):
			return nil, Fail(http.StatusBadRequest, "UnknownOperationException", "the service signed for has no operation "+target)
		case !strings.HasPrefix(given, jsonType):
			return nil, Fail(http.StatusNotFound, "UnknownOperationException", "content type "+given)
		}
		return handler(caller, body)
	})
}

// caller finds out who signed a request.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html
func (s *Server) caller(r *http.Request, signature *Signature, body []byte) (Caller, *Error) {
	s.mu.Lock()
	granted := s.sessions[signature.AccessKeyID]
	s.mu.Unlock()
	if granted == nil || r.Header.Get("X-Amz-Security-Token") != granted.token {
		return Caller{}, Fail(http.StatusBadRequest, "UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if failed := signature.Verify(r, body, granted.secret, s.Now()); failed != nil {
		return Caller{}, failed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signatures++
	if !s.Now().Before(granted.expires) {
		return Caller{}, Fail(http.StatusBadRequest, "ExpiredTokenException", "The security token included in the request is expired")
	}
	return Caller{ARN: granted.arn, RoleARN: granted.role, Region: signature.Region, Service: signature.Service, Header: r.Header, role: s.roles[granted.role]}, nil
}

// Signatures is how many signatures were found right.
func (s *Server) Signatures() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signatures
}

func writeJSONError(w http.ResponseWriter, failed *Error) {
	w.Header().Set("X-Amzn-Requestid", "00000000-0000-4000-8000-000000000000")
	backendtest.WriteJSON(w, failed.Status, jsonType, map[string]string{"__type": failed.Code, "message": failed.Message})
}

// decode reads a request of JSON.
func decode[T any](request json.RawMessage) (T, *Error) {
	var into T
	if err := json.Unmarshal(request, &into); err != nil {
		return into, Fail(http.StatusBadRequest, "SerializationException", err.Error())
	}
	return into, nil
}

package awstest

import (
	"net/http"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
)

// throttlings are the codes and statuses with which AWS refuses too many calls, which
// services and protocols have in several.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
var throttlings = map[string]int{
	"ThrottlingException": http.StatusBadRequest, "Throttling": http.StatusBadRequest, "ThrottledException": http.StatusBadRequest,
	"TooManyRequestsException": http.StatusTooManyRequests, "RequestLimitExceeded": http.StatusServiceUnavailable,
	"LimitExceededException": http.StatusBadRequest, "SlowDown": http.StatusServiceUnavailable, "SomethingNew": http.StatusTooManyRequests,
}

// Throttling is the ways in which the services refuse too many calls of the actions.
func (s *Server) Throttling(actions ...string) backendtest.Throttling {
	ways := backendtest.Throttling{}
	for _, action := range actions {
		for code, status := range throttlings {
			ways[action+" "+code] = func(times int, after time.Duration) func() {
				fail := Fail(status, code, "Rate exceeded")
				fail.RetryAfter = after
				return s.Add(Fault{Action: action, Fail: fail, Times: times})
			}
		}
	}
	return ways
}

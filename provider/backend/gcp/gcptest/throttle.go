package gcptest

import (
	"net/http"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
)

// Throttling is the ways in which Google refuses too many calls of the methods: those that
// log in are not of gRPC.
// https://cloud.google.com/apis/design/errors#handling_errors
func (s *Server) Throttling(methods ...string) backendtest.Throttling {
	ways := backendtest.Throttling{}
	add := func(name string, fault Fault) {
		ways[fault.Method+" "+name] = func(times int, after time.Duration) func() {
			fault.Times, fault.Wait = times, after
			return s.Add(fault)
		}
	}
	for _, method := range methods {
		switch method {
		case "token", "metadata":
			add("429", Fault{Method: method, Status: http.StatusTooManyRequests})
			add("403 RESOURCE_EXHAUSTED", Fault{Method: method, Status: http.StatusForbidden, Name: "RESOURCE_EXHAUSTED"})
		default:
			add("RESOURCE_EXHAUSTED", Fault{Method: method, Code: codes.ResourceExhausted, Message: "Quota exceeded"})
		}
	}
	return ways
}

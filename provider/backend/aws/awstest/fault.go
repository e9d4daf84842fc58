package awstest

import (
	"net/http"
	"strconv"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
)

// Fault is how calls go wrong. Empty fields of the first three match all calls.
type Fault struct {
	// Region, and Action such as "secretsmanager:GetSecretValue", are the calls
	// that go wrong.
	Region, Action string
	// Times is how many calls go wrong before the fault is over; zero is all.
	Times int

	// Delay comes before whatever follows. Alone it only makes calls slow.
	// It ends when the caller hangs up.
	Delay time.Duration
	// Drop closes the connection without an answer.
	Drop bool
	// Truncate breaks the answer off in its middle.
	Truncate bool
	// Fail is the answer instead of the right one.
	Fail *Error
}

// Throttled is what services answer to too many calls.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html
func Throttled() *Error { return Fail(http.StatusBadRequest, "ThrottlingException", "Rate exceeded") }

// Add makes calls go wrong until the function that it returns is called.
func (s *Server) Add(fault Fault) (repair func()) { return s.faults.Add(&fault, fault.Times) }

// find is the fault that a call meets, if truncate is what the fault does.
func (s *Server) find(region, action string, truncate bool) *Fault {
	return s.faults.Meet(func(f *Fault) bool {
		return f.Truncate == truncate && (f.Region == "" || f.Region == region) && (f.Action == "" || f.Action == action)
	})
}

// fault makes the call go wrong, and returns true if it has been answered.
func (s *Server) fault(w http.ResponseWriter, r *http.Request, region, action string) bool {
	f := s.find(region, action, false)
	if f == nil {
		return false
	}
	if !backendtest.Wait(r.Context(), f.Delay) {
		return true
	}
	switch {
	case f.Drop:
		drop(w)
	case f.Fail == nil:
		return false
	case isAgent(action):
		writeAgentError(w, f.Fail.Status, f.Fail.Code, f.Fail.Message)
	case isXML(action):
		writeXMLError(w, f.Fail)
	default:
		writeJSONError(w, f.Fail)
	}
	return true
}

// drop closes the connection.
func drop(w http.ResponseWriter) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return
	}
	conn, _, err := hijacker.Hijack()
	if err == nil {
		_ = conn.Close() //nolint:errcheck // it is to be broken
	}
}

// write answers with encoded, or with half of it.
func (s *Server) write(w http.ResponseWriter, region, action string, encoded []byte) {
	if s.find(region, action, true) == nil {
		_, _ = w.Write(encoded) //nolint:errcheck // the client has gone
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(encoded)))
	_, _ = w.Write(encoded[:len(encoded)/2]) //nolint:errcheck // the client has gone
	drop(w)
}

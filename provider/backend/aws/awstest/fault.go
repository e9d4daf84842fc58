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

// fault counts a call and makes it go wrong; true if it has been answered.
func (s *Server) fault(w http.ResponseWriter, r *http.Request, region, action string, fail func(http.ResponseWriter, *Error)) bool {
	s.Count(action)
	f := s.find(region, action, false)
	if f == nil {
		return false
	}
	if !backendtest.Wait(r.Context(), f.Delay) {
		return true
	}
	switch {
	case f.Drop:
		panic(http.ErrAbortHandler) // closes the connection without a word
	case f.Fail == nil:
		return false
	}
	if f.Fail.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.Fail.RetryAfter.Seconds())))
	}
	fail(w, f.Fail)
	return true
}

// protocol is how a service writes its answers and errors.
type protocol struct {
	contentType string
	encode      func(answer any) ([]byte, error)
	fail        func(http.ResponseWriter, *Error)
}

// respond writes what answer returns, unless the call meets a fault.
func (s *Server) respond(w http.ResponseWriter, r *http.Request, region, action string, as protocol, answer func() (any, *Error)) {
	if s.fault(w, r, region, action, as.fail) {
		return
	}
	content, failed := answer()
	if failed != nil {
		as.fail(w, failed)
		return
	}
	encoded, err := as.encode(content)
	if err != nil {
		as.fail(w, Fail(http.StatusInternalServerError, "InternalFailure", err.Error()))
		return
	}
	w.Header().Set("Content-Type", as.contentType)
	if s.find(region, action, true) != nil {
		backendtest.Truncate(w, http.StatusOK, encoded)
	}
	backendtest.Write(w, http.StatusOK, encoded)
}

package azuretest

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
)

// Fault is how calls go wrong.
type Fault struct {
	// Action is the calls that go wrong, as Server.Calls names them; empty
	// matches all.
	Action string
	// Times is how many calls go wrong before the fault is over; zero is all.
	Times int

	// Delay comes before whatever follows. Alone it only makes calls slow.
	// It ends when the caller hangs up.
	Delay time.Duration
	// Together holds calls until so many of them wait.
	Together int
	// Drop closes the connection without an answer.
	Drop bool
	// Truncate breaks the answer off in its middle.
	Truncate bool
	// Status, if not zero, is answered with the codes and the message in Key
	// Vault's form, and Retry-After in seconds if it is not zero.
	Status          int
	Code, InnerCode string
	Message         string
	RetryAfter      int
	// Body, if not empty, is answered instead of the right answer.
	Body string

	waiting  int           // those that Together holds
	complete chan struct{} // closed when they are so many
}

// Throttled is what Key Vault answers to too many calls.
// https://learn.microsoft.com/azure/key-vault/general/overview-throttling
func Throttled(retryAfter int) Fault {
	return Fault{Status: http.StatusTooManyRequests, Code: "Throttled", RetryAfter: retryAfter,
		Message: "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached"}
}

// Add makes calls go wrong until the function that it returns is called.
func (s *Server) Add(fault Fault) (repair func()) {
	fault.complete = make(chan struct{})
	return s.faults.Add(&fault, fault.Times)
}

// answering counts a call and lets it meet its fault, else serves it.
func (s *Server) answering(w http.ResponseWriter, r *http.Request, action string, serve func(http.ResponseWriter)) {
	s.Count(action)
	f := s.faults.Meet(func(f *Fault) bool { return f.Action == "" || f.Action == action })
	if f == nil {
		serve(w)
		return
	}
	if !backendtest.Wait(r.Context(), f.Delay) {
		return
	}
	if f.Together > 0 {
		s.mu.Lock()
		if f.waiting++; f.waiting == f.Together {
			close(f.complete)
		}
		s.mu.Unlock()
		select {
		case <-f.complete:
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case f.Drop:
		panic(http.ErrAbortHandler) // closes the connection without a word
	case f.Body != "":
		w.Header().Set("Content-Type", "application/json")
		backendtest.Write(w, http.StatusOK, []byte(f.Body))
	case f.Status != 0:
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
		}
		refuse(w, f.Status, f.Code, f.InnerCode, f.Message)
	case f.Truncate:
		kept := httptest.NewRecorder()
		serve(kept)
		maps.Copy(w.Header(), kept.Header())
		backendtest.Truncate(w, kept.Code, kept.Body.Bytes())
	default:
		serve(w)
	}
}

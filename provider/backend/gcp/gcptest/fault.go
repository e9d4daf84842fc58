package gcptest

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
)

// Fault is how calls go wrong.
type Fault struct {
	// Method is that of the calls that go wrong, as for Server.Calls; empty
	// for all.
	Method string
	// Times is how many calls go wrong before the fault is over; zero is all.
	Times int

	// Delay comes before whatever follows. Alone it only makes calls slow.
	// It ends when the caller hangs up.
	Delay time.Duration
	// Code is the answer of Secret Manager instead of the right one. Wait is what the
	// client is asked to wait, by it or with Status.
	Code    codes.Code
	Message string
	Wait    time.Duration
	// Status is the answer of the other services instead of the right one; with
	// 400, Message is why a grant is refused.
	Status int
	// Name is that of the status in such an answer; empty is UNAVAILABLE.
	Name string
	// Corrupt changes a payload without its checksum; Unchecked leaves the
	// checksum out, Empty the payload; Other answers with another secret's name.
	Corrupt, Unchecked, Empty, Other bool
}

// Throttled is what Secret Manager answers to too many calls.
// https://cloud.google.com/secret-manager/quotas
func Throttled() Fault {
	return Fault{
		Method: "AccessSecretVersion", Code: codes.ResourceExhausted,
		Message: "Quota exceeded for quota metric 'Access requests' and limit 'Access requests per minute' of service 'secretmanager.googleapis.com'.",
	}
}

// Add makes calls go wrong until the function that it returns is called.
func (s *Server) Add(fault Fault) (repair func()) { return s.faults.Add(&fault, fault.Times) }

// meet counts a call and returns the fault that it meets, after its delay.
func (s *Server) meet(ctx context.Context, method string) Fault {
	s.Count(method)
	met := s.faults.Meet(func(f *Fault) bool { return f.Method == "" || f.Method == method })
	if met == nil {
		return Fault{}
	}
	backendtest.Wait(ctx, met.Delay)
	return *met
}

// err is the fault as Secret Manager tells it.
// https://cloud.google.com/apis/design/errors
func (f Fault) err() error {
	if f.Code == codes.OK {
		return nil
	}
	st := status.New(f.Code, f.Message)
	if f.Wait > 0 {
		if detailed, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(f.Wait)}); err == nil {
			st = detailed
		}
	}
	return st.Err()
}

// answered counts a call of the other services and answers it if it meets a
// fault.
func (s *Server) answered(w http.ResponseWriter, r *http.Request, method string) bool {
	// net/http notices that the caller hangs up once the body was read.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return true
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	met := s.meet(r.Context(), method)
	if met.Status == 0 {
		return false
	}
	if met.Status == http.StatusBadRequest {
		refuse(w, "invalid_grant", met.Message)
		return true
	}
	if met.Wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(met.Wait.Seconds())))
	}
	fail(w, met.Status, cmp.Or(met.Name, "UNAVAILABLE"), "a fault of the test")
	return true
}

// fail answers as Google's REST APIs do.
// https://cloud.google.com/apis/design/errors#http_mapping
func fail(w http.ResponseWriter, code int, name, message string) {
	answer(w, code, map[string]any{"error": map[string]any{"code": code, "message": message, "status": name}})
}

// refuse answers as OAuth has it (RFC 6749, section 5.2).
func refuse(w http.ResponseWriter, code, description string) {
	answer(w, http.StatusBadRequest, map[string]any{"error": code, "error_description": description})
}

func answer(w http.ResponseWriter, code int, body any) {
	backendtest.WriteJSON(w, code, "application/json; charset=UTF-8", body)
}

package gcp_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/lanyardhq/lanyard/provider/backend/gcp/gcptest"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/gcp"
)

const access = "AccessSecretVersion"

func TestWhatPassesIsTriedAgain(t *testing.T) {
	throttled := gcptest.Throttled()
	for name, fault := range map[string]gcptest.Fault{
		"throttled":            throttled,
		"throttled, and asked": {Method: access, Code: codes.ResourceExhausted, Wait: 300 * time.Millisecond},
		"unavailable":          {Method: access, Code: codes.Unavailable},
		"internal":             {Method: access, Code: codes.Internal},
		"damaged":              {Method: access, Corrupt: true},
		"no payload":           {Method: access, Empty: true},
		"another's payload":    {Method: access, Other: true},
		"STS throttled":        {Method: "token", Status: 429},
		"STS failing":          {Method: "token", Status: 503},
		"IAM failing":          {Method: "generateAccessToken", Status: 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			s := c.open(t, gcp.Options{}, func(_, auth map[string]any) { auth["serviceAccount"] = "web@shop.iam.gserviceaccount.com" })
			c.PutAccount("web@shop.iam.gserviceaccount.com", gcptest.Workload(pool, "prod", "web"))
			c.Grant(project, gcptest.Account("web@shop.iam.gserviceaccount.com"))
			c.Put(db, []byte("one"))
			fault.Times = 2
			c.Add(fault)
			start := time.Now()
			wantValue(t, s, c.web, store.Reference{Key: db}, "one")
			if calls := c.Calls(fault.Method); calls != 3 {
				t.Errorf("%d calls, want 3", calls)
			}
			if took := time.Since(start); took < max(2*fault.Wait, 150*time.Millisecond) {
				t.Errorf("three tries in %v, without a pause between them", took)
			}
		})
	}
}

// wait is the fault with an answer that asks to wait for longer than there is time.
func wait(fault gcptest.Fault) gcptest.Fault {
	fault.Wait = time.Hour
	return fault
}

func TestWhatDoesNotPassInTimeIsUnavailable(t *testing.T) {
	for name, test := range map[string]struct {
		fault gcptest.Fault
		says  []string
	}{
		"throttled":     {wait(gcptest.Throttled()), []string{db + "/versions/latest: ", "throttling", "quota", "Quota exceeded"}},
		"asked to wait": {gcptest.Fault{Method: access, Code: codes.ResourceExhausted, Wait: time.Hour}, []string{"throttling"}},
		"unavailable":   {gcptest.Fault{Method: access, Code: codes.Unavailable, Message: "try later"}, []string{"127.0.0.1", "cannot answer (Unavailable)", "try later"}},
		"damaged":       {gcptest.Fault{Method: access, Corrupt: true}, []string{"does not fit its CRC32C checksum"}},
		"no payload":    {gcptest.Fault{Method: access, Empty: true}, []string{"without a payload"}},
		"another's":     {gcptest.Fault{Method: access, Other: true}, []string{"answered with projects/", "other-db"}},
		"slow":          {gcptest.Fault{Method: access, Delay: time.Hour}, []string{"did not answer within 1s", "timeout"}},
		"STS throttled": {gcptest.Fault{Method: "token", Status: 429, Wait: time.Hour}, []string{"the exchange of the pod's token at 127.0.0.1", "Google is throttling", "(429)"}},
		"STS failing":   {gcptest.Fault{Method: "token", Status: 502}, []string{"the exchange of the pod's token", "failed (502)"}},
		"STS slow":      {gcptest.Fault{Method: "token", Delay: time.Hour}, []string{"no answer within 1s"}},
		"STS cannot reach the issuer": {
			gcptest.Fault{Method: "token", Status: 400, Message: "Error connecting to the given credential's issuer."},
			[]string{"failed (400)", "invalid_grant: Error connecting to the given credential's issuer", "check that the cluster's issuer answers"},
		},
		"STS misspeaks": {gcptest.Fault{Method: "token", Status: 200}, []string{"answered 200 with nothing that can be used"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			s := c.open(t, gcp.Options{}, func(fields, _ map[string]any) {
				fields["retries"] = 1
				if test.fault.Delay > 0 {
					fields["timeout"], fields["retries"] = "1s", 0
				}
			})
			c.Put(db, []byte("one"))
			if test.fault.Method == access { // by a connection that is open
				wantValue(t, s, c.web, store.Reference{Key: db}, "one")
			}
			repair := c.Add(test.fault)
			value, err := read(t, s, c.web, store.Reference{Key: db})
			wantError(t, err, fault.ErrUnavailable, test.says...)
			if value.Data.Len() > 0 {
				t.Error("a failed read has a value")
			}
			repair()
			wantValue(t, s, c.web, store.Reference{Key: db}, "one")
		})
	}
}

func TestTriesEndWithTheMount(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	s := c.open(t, gcp.Options{}, func(fields, _ map[string]any) { fields["retries"] = 8 })
	c.Put(db, []byte("one"))
	wantValue(t, s, c.web, store.Reference{Key: db}, "one")
	c.Add(gcptest.Throttled())
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	before := c.Calls(access)
	_, err := s.Read(ctx, c.web, store.Reference{Key: db})
	if !errors.Is(err, fault.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	// The pauses before nine calls are longer than a second.
	if calls := c.Calls(access) - before; calls < 1 || calls > 8 {
		t.Errorf("%d calls in a second, want some with pauses between them", calls)
	}
}

func TestWhatCannotPassIsNotTriedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		fault gcptest.Fault
		kind  error
		says  string
	}{
		"refused":       {gcptest.Fault{Code: codes.InvalidArgument}, fault.ErrInvalid, "refuses the request"},
		"not served":    {gcptest.Fault{Code: codes.Unimplemented}, fault.ErrInvalid, "does not serve Secret Manager; see the setting endpoint"},
		"key taken":     {gcptest.Fault{Code: codes.FailedPrecondition, Message: "Cloud KMS key is not enabled"}, fault.ErrDenied, "Cloud KMS key is not enabled"},
		"denied by VPC": {gcptest.Fault{Code: codes.PermissionDenied, Message: "Request is prohibited by organization's policy"}, fault.ErrDenied, "prohibited by organization's policy"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			s := c.open(t, gcp.Options{}, unchanged)
			c.Put(db, []byte("one"))
			test.fault.Method = access
			c.Add(test.fault)
			_, err := read(t, s, c.web, store.Reference{Key: db})
			wantError(t, err, test.kind, test.says)
			if calls := c.Calls(access); calls != 1 {
				t.Errorf("%d calls, want 1", calls)
			}
		})
	}
}

func TestAPayloadWithoutAChecksumIsNotTaken(t *testing.T) {
	c := newCloud(t)
	s := c.open(t, gcp.Options{}, func(fields, _ map[string]any) { fields["retries"] = 0 })
	c.Put(db, []byte("one"))
	c.Add(gcptest.Fault{Method: access, Unchecked: true})
	_, err := read(t, s, c.web, store.Reference{Key: db})
	wantError(t, err, fault.ErrUnavailable, "without a CRC32C checksum")
}

func TestAnAnswerThatIsTooLargeIsRefused(t *testing.T) {
	c := newCloud(t)
	s := c.open(t, gcp.Options{}, unchanged)
	c.Put(db, make([]byte, 300<<10))
	_, err := read(t, s, c.web, store.Reference{Key: db})
	wantError(t, err, fault.ErrInvalid, "larger than 262144 bytes")
	if calls := c.Calls(access); calls != 1 {
		t.Errorf("%d calls, want 1", calls)
	}
}

func TestCallsAreCountedByTheirStatus(t *testing.T) {
	c := newCloud(t)
	seen := map[int]int{}
	calls := remote.NewCalls(1)
	calls.Observe = func(_ context.Context, storeType string, status int, _ time.Duration) {
		if storeType != "google-secret-manager" {
			t.Errorf("counted for %q", storeType)
		}
		seen[status]++
	}
	s := c.open(t, gcp.Options{Calls: calls}, unchanged)
	c.Put(db, []byte("one"))
	c.Add(gcptest.Fault{Method: access, Code: codes.ResourceExhausted, Times: 1})
	wantValue(t, s, c.web, store.Reference{Key: db}, "one")
	if _, err := read(t, s, c.web, store.Reference{Key: project + "/secrets/missing"}); err == nil {
		t.Error("a missing secret was read")
	}
	// The exchange and the read; throttled; missing.
	if seen[200] != 2 || seen[429] != 1 || seen[404] != 1 || len(seen) != 3 {
		t.Errorf("calls by status: %v", seen)
	}
}

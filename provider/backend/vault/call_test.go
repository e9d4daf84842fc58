package vault

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// testCalls makes HTTP calls within the bounds of calls.
func testCalls(t *testing.T, calls *remote.Calls) *http.Client {
	t.Helper()
	transport, release, err := remote.NewTransports(remote.Options{Calls: calls, MaxAnswer: maxAnswerBytes}).Acquire(remote.Route{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return transport.Client("vault")
}

// newTestClient calls the server with at most two repetitions.
func newTestClient(t *testing.T, handler http.HandlerFunc) *client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := newClient(&Settings{byOperator: true, Address: server.URL, Timeout: 5 * time.Second, Retries: 2}, testCalls(t, remote.NewCalls(64)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCallsAreRepeatedOnlyWhenThatIsSafe(t *testing.T) {
	hangUp := func(http.ResponseWriter) { panic(http.ErrAbortHandler) }
	status := func(code int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.WriteHeader(code)
			_, _ = w.Write([]byte(`{"errors":[]}`))
		}
	}
	for name, test := range map[string]struct {
		answer     func(http.ResponseWriter)
		repeatable bool
		calls      int32
	}{
		"read, 429":         {status(429), true, 3},
		"read, 412":         {status(412), true, 3},
		"read, 473":         {status(473), true, 3},
		"read, 500":         {status(500), true, 3},
		"read, 503":         {status(503), true, 3},
		"read, hung up on":  {hangUp, true, 3},
		"read, 400":         {status(400), true, 1},
		"read, 403":         {status(403), true, 1},
		"write, 429":        {status(429), false, 3},
		"write, 503":        {status(503), false, 3},
		"write, 500":        {status(500), false, 1},
		"write, 502":        {status(502), false, 1},
		"write, hung up on": {hangUp, false, 1},
		"waits for too long": {func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		}, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			c := newTestClient(t, func(w http.ResponseWriter, _ *http.Request) { calls.Add(1); test.answer(w) })
			// A POST, because net/http repeats a GET by itself.
			_, err := c.call(t.Context(), Request{Method: http.MethodPost, Path: "a", Repeatable: test.repeatable})
			if passing := !strings.Contains(name, "400") && !strings.Contains(name, "403"); passing != errors.Is(err, fault.ErrUnavailable) {
				t.Errorf("error %v", err)
			}
			if got := calls.Load(); got != test.calls {
				t.Errorf("%d calls, want %d", got, test.calls)
			}
		})
	}
}

func TestCallGivesUpWithItsContext(t *testing.T) {
	c := newTestClient(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.call(ctx, Request{Method: http.MethodGet, Path: "a", Repeatable: true}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
}

// Another tenant's calls may take all that one address is allowed.
func TestWaitingForOtherCallsIsNotBlamedOnVault(t *testing.T) {
	c := newTestClient(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"request_id":"1","data":{}}`)) })
	calls := remote.NewCalls(1)
	c.http = testCalls(t, calls)
	release, err := calls.Acquire(t.Context(), c.address.Host)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	get := Request{Method: http.MethodGet, Path: "a", Repeatable: true}
	_, err = c.call(ctx, get)
	if !errors.Is(err, fault.ErrUnavailable) || !errors.Is(err, remote.ErrNoSlot) || !strings.Contains(err.Error(), "bounds.storeCalls") || strings.Contains(err.Error(), "did not answer") {
		t.Errorf("error %v", err)
	}
	release()
	if _, err := c.call(t.Context(), get); err != nil {
		t.Error(err)
	}
}

func TestACallThatTakesTooLongNamesTheSetting(t *testing.T) {
	c := newTestClient(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c.backoff.Timeout = 20 * time.Millisecond
	_, err := c.call(t.Context(), Request{Method: http.MethodGet, Path: "a", Repeatable: true})
	if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "did not answer within 20ms; see the setting timeout") {
		t.Errorf("error %v", err)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	c := newTestClient(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"data":{"a":"` + strings.Repeat("x", maxAnswerBytes) + `"}}`))
	})
	if _, err := c.call(t.Context(), Request{Method: http.MethodGet, Path: "a"}); !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("error %v", err)
	}
}

func TestErrorsRepeatNoSecretThatWasSent(t *testing.T) {
	c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(`{"errors":["bad token ` + r.Header.Get("X-Vault-Token") + ` with jwt-of-pod"]}`))
	})
	_, err := c.call(t.Context(), Request{Method: http.MethodGet, Path: "a", token: secret.NewString("hvs.planted"), Secrets: []secret.Bytes{secret.NewString("jwt-of-pod")}})
	if err == nil || strings.Contains(err.Error(), "planted") || strings.Contains(err.Error(), "jwt-of-pod") || !strings.Contains(err.Error(), "[redacted]") {
		t.Errorf("error %v", err)
	}
}

func TestRedirects(t *testing.T) {
	active := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"request_id":"1","data":{"method":"` + r.Method + `"}}`))
	}))
	defer active.Close()
	defer active.Client().CloseIdleConnections()
	for name, test := range map[string]struct {
		status int
		to     string
		want   int
		class  bool // the address is a class's choice
	}{
		"a standby's 307 is followed":      {307, active.URL + "/v1/a", 200, false},
		"a 302 is not":                     {302, active.URL + "/v1/a", 302, false},
		"another scheme is not":            {307, strings.Replace(active.URL, "http:", "https:", 1) + "/v1/a", 307, false},
		"another path is not":              {307, active.URL + "/latest/meta-data", 307, false},
		"another query is not":             {307, active.URL + "/v1/a?list=true", 307, false},
		"a class's server is not followed": {307, active.URL + "/v1/a", 307, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, test.to, test.status) })
			if test.class {
				ofClass, err := newClient(&Settings{Address: c.address.String(), Timeout: 5 * time.Second}, testCalls(t, remote.NewCalls(64)))
				if err != nil {
					t.Fatal(err)
				}
				c = ofClass
			}
			resp, err := c.call(t.Context(), Request{Method: http.MethodPost, Path: "a", Body: []byte("{}"), Params: url.Values{}})
			if err != nil || resp.Status != test.want {
				t.Fatalf("got %+v, %v, want status %d", resp, err, test.want)
			}
			if resp.OK() && string(resp.Answer.Data) != `{"method":"POST"}` {
				t.Errorf("the redirected request came as %s", resp.Answer.Data)
			}
		})
	}
}

func TestPlainHTTPAtAListenerWithTLSIsExplained(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	c, err := newClient(&Settings{byOperator: true, Address: strings.Replace(server.URL, "https:", "http:", 1), Timeout: 5 * time.Second}, testCalls(t, remote.NewCalls(64)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.call(t.Context(), Request{Method: http.MethodGet, Path: "a"})
	if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "may speak TLS on this port; let `address` begin with https://") {
		t.Errorf("error %v", err)
	}
}

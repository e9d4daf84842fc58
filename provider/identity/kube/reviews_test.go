package kube_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity/kube"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// reviewer is an API server that reviews tokens and accesses.
type reviewer struct {
	token, access string // the answers; with a number alone, a status
	asked         atomic.Int64
	sent          atomic.Pointer[map[string]any] // the last access review
}

func (r *reviewer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.asked.Add(1)
	var body map[string]any
	if err := json.NewDecoder(req.Body).Decode(&body); err != nil || req.Method != http.MethodPost {
		http.Error(w, "no review", http.StatusBadRequest)
		return
	}
	answer := r.token
	switch req.URL.Path {
	case "/apis/authentication.k8s.io/v1/tokenreviews":
	case "/apis/authorization.k8s.io/v1/subjectaccessreviews":
		answer = r.access
		r.sent.Store(&body)
	default:
		answer = "404"
	}
	if len(answer) == 3 {
		var code int
		_, _ = fmt.Sscan(answer, &code)
		http.Error(w, "planted-token", code)
		return
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write([]byte(answer))
}

func reviews(t *testing.T, r *reviewer, now func() time.Time) *kube.Reviews {
	t.Helper()
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	tokens := kube.New(kube.Options{Now: now, Config: func() (*rest.Config, error) { return &rest.Config{Host: server.URL}, nil }})
	t.Cleanup(tokens.Close)
	return tokens.Reviews("lanyard-status", "/status")
}

// tokenFor is a token that says of itself that it is for an audience, in JSON.
func tokenFor(audience, name string) secret.Bytes {
	claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"aud":%s,"jti":%q}`, audience, name))
	return secret.NewString("e30." + claims + ".planted-token")
}

const own = `"lanyard-status"`

const (
	known   = `{"status":{"authenticated":true,"audiences":["lanyard-status"],"user":{"username":"ops","uid":"u","groups":["g"],"extra":{"k":["v"]}}}}`
	granted = `{"status":{"allowed":true}}`
)

func TestATokensHolderMayWhatTheAPIServerSays(t *testing.T) {
	r := &reviewer{token: known, access: granted}
	if err := reviews(t, r, nil).Allowed(t.Context(), "10.0.0.1", tokenFor(own, "a")); err != nil {
		t.Fatal(err)
	}
	sent, _ := (*r.sent.Load())["spec"].(map[string]any)
	if got, want := fmt.Sprint(sent), "map[extra:map[k:[v]] groups:[g] nonResourceAttributes:map[path:/status verb:get] uid:u user:ops]"; got != want {
		t.Errorf("the access review is of %s, want %s", got, want)
	}
}

func TestReviewsFailClosed(t *testing.T) {
	for name, test := range map[string]struct {
		token, access string
		sent          string
		kind          error
		text          string
	}{
		"unknown":              {token: `{"status":{"authenticated":false,"error":"planted-token"}}`, kind: fault.ErrUnauthenticated},
		"another audience":     {token: strings.Replace(known, `["lanyard-status"]`, `["https://kubernetes"]`, 1), kind: fault.ErrUnauthenticated},
		"no audiences":         {token: strings.Replace(known, `"audiences":["lanyard-status"],`, "", 1), kind: fault.ErrUnauthenticated},
		"no name":              {token: strings.Replace(known, `"username":"ops",`, "", 1), kind: fault.ErrUnauthenticated},
		"an empty answer":      {token: `{}`, kind: fault.ErrUnauthenticated},
		"an answer of nothing": {token: `null `, kind: fault.ErrUnauthenticated},
		"no JSON":              {token: `<html>`, kind: fault.ErrUnavailable},
		"no right to ask who":  {token: "403", kind: fault.ErrPrecondition, text: "create on tokenreviews"},
		"failing":              {token: "500", kind: fault.ErrUnavailable},
		"too many requests":    {token: "429", kind: fault.ErrUnavailable},
		"not found":            {token: "404", kind: fault.ErrUnavailable},
		"no right":             {token: known, access: `{"status":{"allowed":false}}`, kind: fault.ErrDenied, text: "/status"},
		"allowed and denied":   {token: known, access: `{"status":{"allowed":true,"denied":true}}`, kind: fault.ErrDenied},
		"no answer to may":     {token: known, access: `{}`, kind: fault.ErrDenied},
		"no right to ask may":  {token: known, access: "403", kind: fault.ErrPrecondition, text: "create on subjectaccessreviews"},
		"an access that fails": {token: known, access: "503", kind: fault.ErrUnavailable},
		"an empty token":       {token: known, access: granted, sent: " ", kind: fault.ErrUnauthenticated},
		"no claims":            {token: known, access: granted, sent: "planted-token", kind: fault.ErrUnauthenticated},
		"claims of no JSON":    {token: known, access: granted, sent: "e30.eDo.planted-token", kind: fault.ErrUnauthenticated},
		"an audience of none":  {token: known, access: granted, sent: string(tokenFor("null", "a").Reveal()), kind: fault.ErrUnauthenticated},
		"audiences of others":  {token: known, access: granted, sent: string(tokenFor(`["vault","lanyard-status-"]`, "a").Reveal()), kind: fault.ErrUnauthenticated},
		"a token that is huge": {token: known, access: granted, sent: strings.Repeat("x", 17<<10), kind: fault.ErrUnauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			sent := string(tokenFor(`["vault",`+own+`]`, "a").Reveal())
			if test.sent != "" {
				sent = strings.TrimSpace(test.sent)
			}
			err := reviews(t, &reviewer{token: test.token, access: test.access}, nil).Allowed(t.Context(), "10.0.0.1", secret.NewString(sent))
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), "planted") {
				t.Errorf("%v, want %v with %q", err, test.kind, test.text)
			}
		})
	}
	outside := kube.New(kube.Options{Config: func() (*rest.Config, error) { return nil, errors.New("not in a cluster") }})
	defer outside.Close()
	if err := outside.Reviews("a", "/").Allowed(t.Context(), "10.0.0.1", tokenFor(`"a"`, "x")); !errors.Is(err, fault.ErrPrecondition) {
		t.Errorf("without an API server: %v", err)
	}
}

// A token is asked about once in a while, all strangers' together are at a bounded rate, and
// those of one address at a lower one, so that it keeps nobody else waiting. Who was allowed
// does not wait for strangers at all, and a token that is not for the audience costs nothing.
func TestReviewsAreKeptForAWhileAndBounded(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	r := &reviewer{token: known, access: granted}
	of := reviews(t, r, func() time.Time { return now })
	asks := func(from, audience, name string, want error) {
		t.Helper()
		if err := of.Allowed(t.Context(), from, tokenFor(audience, name)); !errors.Is(err, want) {
			t.Errorf("%s from %s: %v, want %v", name, from, err, want)
		}
	}
	asked := func(want int64) {
		t.Helper()
		if n := r.asked.Swap(0); n != want {
			t.Errorf("the API server was asked %d times, want %d", n, want)
		}
	}
	for range 5 {
		asks("ops", own, "good", nil)
	}
	asked(2)
	for i := range 100 {
		asks("hostile", `"vault"`, fmt.Sprint(i), fault.ErrUnauthenticated)
	}
	asked(0)

	now = now.Add(11 * time.Second)
	r.token = `{"status":{"authenticated":false}}`
	for i := range 5 {
		asks("hostile", own, fmt.Sprint("a", i), fault.ErrUnauthenticated)
	}
	asks("hostile", own, "a5", fault.ErrUnavailable)
	asked(5)
	for i := range 5 {
		asks(fmt.Sprint("another-", i), own, fmt.Sprint("b", i), fault.ErrUnauthenticated)
	}
	asks("another-9", own, "b9", fault.ErrUnavailable)
	asked(5)
	r.token = known
	asks("ops", own, "good", nil)
	asked(2)
	// The right has ended: it is a stranger's from then on.
	now = now.Add(11 * time.Second)
	r.access = `{"status":{"allowed":false}}`
	asks("ops", own, "good", fault.ErrDenied)
	asks("ops", own, "good", fault.ErrDenied)
	asked(2)
}

// That the API server does not answer holds for a second alone.
func TestAnAPIServerThatIsBackIsAsked(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	r := &reviewer{token: "503", access: granted}
	of := reviews(t, r, func() time.Time { return now })
	if err := of.Allowed(t.Context(), "ops", tokenFor(own, "a")); !errors.Is(err, fault.ErrUnavailable) {
		t.Error(err)
	}
	r.token = known
	now = now.Add(time.Second)
	if err := of.Allowed(t.Context(), "ops", tokenFor(own, "a")); err != nil {
		t.Error(err)
	}
}

func TestAReviewEndsWithWhoAsks(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // until then the server does not see that the client left
		<-r.Context().Done()
	}))
	defer server.Close()
	tokens := kube.New(kube.Options{Config: func() (*rest.Config, error) { return &rest.Config{Host: server.URL}, nil }})
	defer tokens.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tokens.Reviews("a", "/").Allowed(ctx, "10.0.0.1", tokenFor(`"a"`, "x")); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

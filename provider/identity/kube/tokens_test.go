package kube_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	authentication "k8s.io/api/authentication/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/identity/kube"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ownToken = "planted-provider-token"
	audience = "vault"
)

var (
	noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	web  = identity.Identity{Cluster: "dev", Namespace: "prod", ServiceAccount: "web", Pod: "web-0", PodUID: "uid-0"}
)

// apiServer answers token requests as the API server does, and says how often
// it was asked. It knows one pod for each service account.
type apiServer struct {
	*httptest.Server
	pods     map[string]string // namespace/name/uid to service account
	requests atomic.Int64
	clock    atomic.Pointer[time.Time]
	answer   atomic.Value // an http.HandlerFunc: issue, unless a test sets another
	last     atomic.Pointer[authentication.TokenRequest]
}

func newAPIServer(t *testing.T) *apiServer {
	s := &apiServer{pods: map[string]string{"prod/web-0/uid-0": "web", "prod/web-1/uid-1": "web", "prod/api-0/uid-2": "api"}}
	s.set(noon)
	s.answerWith(s.issue)
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *apiServer) now() time.Time    { return *s.clock.Load() }
func (s *apiServer) set(now time.Time) { s.clock.Store(&now) }

func (s *apiServer) answerWith(h http.HandlerFunc) { s.answer.Store(h) }

func (s *apiServer) serve(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	s.answer.Load().(http.HandlerFunc)(w, r)
}

func (s *apiServer) issue(w http.ResponseWriter, r *http.Request) {
	var req authentication.TokenRequest
	parts := strings.Split(r.URL.Path, "/")
	if r.Method != http.MethodPost || r.Header.Get("Authorization") != "Bearer "+ownToken || len(parts) != 8 || parts[7] != "token" || json.NewDecoder(r.Body).Decode(&req) != nil {
		fail(w, http.StatusInternalServerError, "a request that no API server knows: "+r.Method+" "+r.URL.Path)
		return
	}
	s.last.Store(&req)
	namespace, account := parts[4], parts[6]
	switch pod := req.Spec.BoundObjectRef; {
	case pod == nil:
		fail(w, http.StatusInternalServerError, "not bound to a pod")
		return
	case s.pods[namespace+"/"+pod.Name+"/"+string(pod.UID)] == "":
		fail(w, http.StatusNotFound, "pods not found")
		return
	case s.pods[namespace+"/"+pod.Name+"/"+string(pod.UID)] != account:
		fail(w, http.StatusBadRequest, "cannot bind token for serviceaccount")
		return
	}
	req.Status.Token = fmt.Sprintf("planted-issued-%d", s.requests.Load())
	req.Status.ExpirationTimestamp = meta.NewTime(s.now().Add(time.Duration(*req.Spec.ExpirationSeconds) * time.Second))
	w.WriteHeader(http.StatusCreated)
	send(w, req)
}

func fail(w http.ResponseWriter, code int, message string) {
	w.WriteHeader(code)
	send(w, meta.Status{TypeMeta: meta.TypeMeta{Kind: "Status"}, Message: message})
}

// send writes an object; a client that has left does not matter.
func send(w io.Writer, object any) {
	data, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(data)
}

func (s *apiServer) tokens(t *testing.T) *kube.Tokens {
	t.Helper()
	return s.tokensWith(t, kube.Options{Enabled: func() bool { return true }})
}

func (s *apiServer) tokensWith(t *testing.T, opts kube.Options) *kube.Tokens {
	t.Helper()
	opts.Now = s.now
	opts.Config = func() (*rest.Config, error) { return &rest.Config{Host: s.URL, BearerToken: ownToken}, nil }
	tokens := kube.New(opts)
	t.Cleanup(tokens.Close)
	return tokens
}

func get(t *testing.T, tokens *kube.Tokens, id identity.Identity, audience string) string {
	t.Helper()
	token, err := tokens.Token(t.Context(), id, audience)
	if err != nil {
		t.Fatalf("Token: %v", err)
	}
	return token.JWT.RevealString()
}

func TestAsksForATokenBoundToThePod(t *testing.T) {
	s := newAPIServer(t)
	token, err := s.tokens(t).Token(t.Context(), web, audience)
	if err != nil {
		t.Fatal(err)
	}
	if token.JWT.RevealString() != "planted-issued-1" || !token.Expires.Equal(noon.Add(10*time.Minute)) {
		t.Errorf("token expires at %v, want the issued one", token.Expires)
	}
	req := s.last.Load()
	if req.APIVersion != "authentication.k8s.io/v1" || req.Kind != "TokenRequest" || len(req.Spec.Audiences) != 1 || req.Spec.Audiences[0] != audience || *req.Spec.ExpirationSeconds != 600 {
		t.Errorf("request %+v", req)
	}
	if ref := req.Spec.BoundObjectRef; ref.APIVersion != "v1" || ref.Kind != "Pod" || ref.Name != "web-0" || ref.UID != "uid-0" {
		t.Errorf("bound to %+v, want the pod", ref)
	}
}

// What reads for service accounts has tokens that are bound to no pod, one for all who
// read as an account, whatever the policy for pods is.
func TestAsksWithoutAPodForServiceAccounts(t *testing.T) {
	s := newAPIServer(t)
	accounts := map[string]string{"web": "uid-1"}
	s.answerWith(func(w http.ResponseWriter, r *http.Request) {
		var req authentication.TokenRequest
		account := strings.Split(r.URL.Path, "/")[6]
		switch {
		case json.NewDecoder(r.Body).Decode(&req) != nil || req.Spec.BoundObjectRef != nil:
			fail(w, http.StatusInternalServerError, "bound to something")
		case account == "forbidden":
			fail(w, http.StatusForbidden, "audience not listed")
		case accounts[account] == "":
			fail(w, http.StatusNotFound, "not found")
		default:
			req.Status.Token = fmt.Sprintf("planted-issued-%d", s.requests.Load())
			send(w, req)
		}
	})
	tokens := s.tokensWith(t, kube.Options{WithoutPods: true})
	id := identity.Identity{Namespace: "prod", ServiceAccount: "web", ServiceAccountUID: "uid-1", PodUID: "class-1"}
	first := get(t, tokens, id, audience)
	id.PodUID = "class-2"
	if got := get(t, tokens, id, audience); got != first {
		t.Errorf("another object of the account has the token %s, want %s", got, first)
	}
	id.ServiceAccountUID = "uid-2" // made anew
	if got := get(t, tokens, id, audience); got == first {
		t.Error("the account that was made anew has the token of the one before")
	}
	for account, want := range map[string]string{"api": "there is no service account api in namespace prod", "forbidden": "Lanyard may not request tokens for service account forbidden"} {
		id.ServiceAccount = account
		if _, err := tokens.Token(t.Context(), id, audience); !errors.Is(err, identity.ErrNoToken) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", account, err, want)
		}
	}
}

func TestPrefersTheTokenThatTheDriverPassed(t *testing.T) {
	s := newAPIServer(t)
	id := web
	id.Tokens = map[string]identity.Token{audience: {JWT: secret.NewString("passed"), Expires: noon.Add(time.Hour)}}
	if got := get(t, s.tokens(t), id, audience); got != "passed" || s.requests.Load() != 0 {
		t.Errorf("got another token after %d requests", s.requests.Load())
	}
	// Expired, it is no token.
	s.set(noon.Add(2 * time.Hour))
	if got := get(t, s.tokens(t), id, audience); got != "planted-issued-1" {
		t.Error("an expired token was not replaced")
	}
}

func TestAsksOnlyWhileTheOperatorAllowsIt(t *testing.T) {
	s := newAPIServer(t)
	var enabled atomic.Bool
	tokens := kube.New(kube.Options{
		Config:  func() (*rest.Config, error) { return &rest.Config{Host: s.URL, BearerToken: ownToken}, nil },
		Enabled: enabled.Load,
		Now:     s.now,
	})
	defer tokens.Close()
	for _, allowed := range []bool{false, true, false} {
		enabled.Store(allowed)
		_, err := tokens.Token(t.Context(), web, audience)
		if (err == nil) != allowed {
			t.Errorf("allowed %v: error %v", allowed, err)
		}
		if !allowed && !errors.Is(err, identity.ErrNoToken) {
			t.Errorf("error %v is not about the missing token", err)
		}
	}
	if s.requests.Load() != 1 {
		t.Errorf("%d requests, want the one that was allowed", s.requests.Load())
	}
}

func TestKeepsATokenForFourFifthsOfItsLife(t *testing.T) {
	s := newAPIServer(t)
	tokens := s.tokens(t)
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{0, "1"}, {7*time.Minute + 59*time.Second, "1"}, {8 * time.Minute, "2"}, {15 * time.Minute, "2"}, {16 * time.Minute, "3"}} {
		s.set(noon.Add(step.after))
		if got := get(t, tokens, web, audience); got != "planted-issued-"+step.want {
			t.Errorf("after %v: not token %s", step.after, step.want)
		}
	}
}

func TestSharesNothingBetweenIdentities(t *testing.T) {
	s := newAPIServer(t)
	tokens := s.tokens(t)
	other := func(change func(*identity.Identity)) identity.Identity {
		id := web
		change(&id)
		return id
	}
	seen := map[string]string{}
	for name, id := range map[string]identity.Identity{
		"the pod":              web,
		"another pod":          other(func(id *identity.Identity) { id.Pod, id.PodUID = "web-1", "uid-1" }),
		"another account":      other(func(id *identity.Identity) { id.ServiceAccount, id.Pod, id.PodUID = "api", "api-0", "uid-2" }),
		"another cluster":      other(func(id *identity.Identity) { id.Cluster = "test" }),
		"with its own secrets": other(func(id *identity.Identity) { id.Credentials = map[string]secret.Bytes{"a": secret.NewString("b")} }),
	} {
		for _, audience := range []string{"vault", "aws"} {
			got := get(t, tokens, id, audience)
			if by, taken := seen[got]; taken {
				t.Errorf("%s for %s has the token of %s", name, audience, by)
			}
			seen[got] = name + " for " + audience
			if again := get(t, tokens, id, audience); again != got {
				t.Errorf("%s for %s was asked for twice", name, audience)
			}
		}
	}
}

func TestAsksOnceForAllWhoWait(t *testing.T) {
	s := newAPIServer(t)
	tokens := s.tokens(t)
	var callers sync.WaitGroup
	for range 100 {
		callers.Go(func() {
			if token, err := tokens.Token(t.Context(), web, audience); err != nil || token.JWT.RevealString() != "planted-issued-1" {
				t.Errorf("Token: %v", err)
			}
		})
	}
	callers.Wait()
	if s.requests.Load() != 1 {
		t.Errorf("%d requests for one token", s.requests.Load())
	}
}

func TestACallerWhoGivesUpDoesNotTakeTheTokenFromOthers(t *testing.T) {
	s := newAPIServer(t)
	arrived, proceed := make(chan struct{}), make(chan struct{})
	s.answerWith(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-proceed
		s.issue(w, r)
	})
	tokens := s.tokens(t)
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	go func() {
		_, err := tokens.Token(ctx, web, audience)
		gaveUp <- err
	}()
	<-arrived
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("Token = %v, want the caller's own end", err)
	}
	close(proceed)
	if got := get(t, tokens, web, audience); got != "planted-issued-1" || s.requests.Load() != 1 {
		t.Errorf("got %q after %d requests; want the token of the one in flight", got, s.requests.Load())
	}
}

func TestSaysWhatIsMissing(t *testing.T) {
	status := func(code int, message string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fail(w, code, message) }
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		final  bool // until the cluster's configuration changes
		says   []string
	}{
		"no right":          {status(403, `cannot create resource "serviceaccounts/token"`), true, []string{"create on serviceaccounts/token", "service account web in namespace prod", "it says", "policy.tokenRequest"}},
		"pod gone":          {status(404, "pods not found"), true, []string{"no pod web-0 with UID uid-0", "service account web", "sync-controller"}},
		"pod made anew":     {status(409, "UID does not match"), true, []string{"no pod web-0 with UID uid-0"}},
		"other account":     {status(400, "cannot bind"), true, []string{"runs as service account web"}},
		"refused":           {status(422, "may not specify a duration less than 10 minutes"), true, []string{"refuses", "10 minutes"}},
		"own token refused": {status(401, "Unauthorized"), false, []string{"provider's own service account token"}},
		"throttled":         {status(429, "slow down"), false, []string{"status 429", "slow down"}},
		"failing":           {status(500, "etcd is down"), false, []string{"status 500"}},
		"no JSON":           {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "planted-body") }, false, []string{"without a token"}},
		"failing in HTML": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, "<p>planted")
		}, false, []string{"status 502"}},
		"nothing":    {func(http.ResponseWriter, *http.Request) {}, false, []string{"without a token"}},
		"no token":   {status(201, ""), false, []string{"without a token"}},
		"endless":    {endless, false, []string{"without a token"}},
		"breaks off": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, []string{"does not answer"}},
		"sends elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, false, []string{"status 307"}},
		"message with bytes": {status(500, "a\nb\x00"+strings.Repeat("x", 1000)), false, []string{`a\nb\x00xxx`}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAPIServer(t)
			s.answerWith(c.answer)
			tokens := s.tokens(t)
			token, err := tokens.Token(t.Context(), web, audience)
			if err == nil || token.JWT.Len() != 0 {
				t.Fatalf("Token: %v; want an error and no token", err)
			}
			if errors.Is(err, identity.ErrNoToken) != c.final {
				t.Errorf("error %q: final is %v, want %v", err, !c.final, c.final)
			}
			for _, text := range c.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error %q does not say %q", err, text)
				}
			}
			if strings.Contains(err.Error(), "planted") || len(err.Error()) > 1000 {
				t.Errorf("error %q shows a token or the answer", err)
			}
			// A failure is not kept.
			s.answerWith(s.issue)
			get(t, tokens, web, audience)
		})
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}

func TestNeverAsksForWhatIsNotBound(t *testing.T) {
	s := newAPIServer(t)
	tokens := s.tokens(t)
	for name, c := range map[string]struct {
		audience, namespace, account, pod, uid string
	}{
		"no audience":             {"", "prod", "web", "web-0", "uid-0"},
		"no namespace":            {audience, "", "web", "web-0", "uid-0"},
		"no account":              {audience, "prod", "", "web-0", "uid-0"},
		"no pod":                  {audience, "prod", "web", "", "uid-0"},
		"no UID":                  {audience, "prod", "web", "web-0", ""},
		"account leads elsewhere": {audience, "prod", "../../secrets", "web-0", "uid-0"},
		"namespace leads up":      {audience, "..", "web", "web-0", "uid-0"},
		"name with a query":       {audience, "prod", "web?x=y", "web-0", "uid-0"},
		"name with an escape":     {audience, "prod", "web%2f", "web-0", "uid-0"},
	} {
		t.Run(name, func(t *testing.T) {
			id := identity.Identity{Namespace: c.namespace, ServiceAccount: c.account, Pod: c.pod, PodUID: c.uid}
			if _, err := tokens.Token(t.Context(), id, c.audience); !errors.Is(err, identity.ErrNoToken) {
				t.Errorf("Token: %v", err)
			}
		})
	}
	if s.requests.Load() != 0 {
		t.Errorf("%d requests were made", s.requests.Load())
	}
}

func TestOutsideAClusterItIsSaidAndTriedAgain(t *testing.T) {
	s := newAPIServer(t)
	inside := false
	tokens := kube.New(kube.Options{
		Config: func() (*rest.Config, error) {
			if !inside {
				return nil, rest.ErrNotInCluster
			}
			return &rest.Config{Host: s.URL, BearerToken: ownToken}, nil
		},
		Enabled: func() bool { return true },
		Now:     s.now,
	})
	defer tokens.Close()
	if _, err := tokens.Token(t.Context(), web, audience); !errors.Is(err, rest.ErrNotInCluster) {
		t.Errorf("Token: %v", err)
	}
	inside = true
	get(t, tokens, web, audience)
}

func TestCloseEndsWhatIsInFlight(t *testing.T) {
	s := newAPIServer(t)
	arrived := make(chan struct{})
	s.answerWith(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // until then the server does not see that the client left
		close(arrived)
		<-r.Context().Done()
	})
	tokens := s.tokens(t)
	failed := make(chan error)
	go func() {
		_, err := tokens.Token(context.Background(), web, audience)
		failed <- err
	}()
	<-arrived
	tokens.Close()
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "stopping") || errors.Is(err, context.Canceled) {
		t.Errorf("Token = %v, want that the provider is stopping", err)
	}
}

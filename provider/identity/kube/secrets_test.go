package kube_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity/kube"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// secretServer is the API server as far as it keeps Secrets of namespace system.
type secretServer struct {
	mu      sync.Mutex
	kept    map[string]core.Secret
	calls   []string
	down    bool
	status  int           // answered to all if it is set
	answers time.Duration // how long an answer takes
}

func (s *secretServer) RoundTrip(req *http.Request) (*http.Response, error) {
	time.Sleep(s.answers)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, req.Method)
	answer := func(status int, body any) (*http.Response, error) {
		raw, err := json.Marshal(body)
		return &http.Response{StatusCode: status, Body: io.NopCloser(bytes.NewReader(raw)), Header: http.Header{}, Request: req}, err
	}
	const path = "/api/v1/namespaces/system/secrets"
	name := strings.TrimPrefix(strings.TrimPrefix(req.URL.Path, path), "/")
	switch {
	case s.down:
		return nil, errors.New("connection refused")
	case s.status != 0:
		return answer(s.status, meta.Status{TypeMeta: meta.TypeMeta{Kind: "Status"}, Message: "because"})
	case !strings.HasPrefix(req.URL.Path, path):
		return answer(500, "another path: "+req.URL.Path)
	case req.Method == http.MethodPost && name == "":
		var made core.Secret
		if err := json.NewDecoder(req.Body).Decode(&made); err != nil || made.Immutable == nil || !*made.Immutable || made.Kind != "Secret" {
			return answer(422, "not as it should be")
		}
		if _, ok := s.kept[made.Name]; ok {
			return answer(409, meta.Status{})
		}
		s.kept[made.Name] = made
		return answer(201, made)
	case req.Method == http.MethodGet:
		kept, ok := s.kept[name]
		if !ok {
			return answer(404, meta.Status{})
		}
		return answer(200, kept)
	}
	return answer(405, "")
}

func (s *secretServer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// keys are those of one node.
func (s *secretServer) keys(t *testing.T) *kube.Keys {
	t.Helper()
	token := "x." + base64.RawURLEncoding.EncodeToString([]byte(`{"kubernetes.io":{"namespace":"system"}}`)) + ".x"
	tokens := kube.New(kube.Options{Config: func() (*rest.Config, error) {
		return &rest.Config{Host: "http://api", BearerToken: token, Transport: s}, nil
	}})
	t.Cleanup(tokens.Close)
	return tokens.Keys()
}

func TestNodesThatStartTogetherAgreeOnOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &secretServer{kept: map[string]core.Secret{}, answers: time.Second}
		found := make([]secret.Bytes, 10)
		var nodes sync.WaitGroup
		for i := range found {
			nodes.Go(func() {
				time.Sleep(time.Duration(i) * 300 * time.Millisecond)
				var err error
				if found[i], err = s.keys(t).Key(t.Context(), "versions"); err != nil {
					t.Errorf("node %d: %v", i, err)
				}
			})
		}
		nodes.Wait()
		for i := range found {
			if found[i].Len() != 32 || !bytes.Equal(found[i].Reveal(), found[0].Reveal()) {
				t.Errorf("node %d has another key, or one of %d bytes", i, found[i].Len())
			}
		}
		if !bytes.Equal(s.kept["versions"].Data["key"], found[0].Reveal()) {
			t.Error("the Secret holds another key")
		}
	})
}

func TestAKeyThatIsKnownIsNotReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &secretServer{kept: map[string]core.Secret{}}
		keys := s.keys(t)
		keys.Begin("versions")
		for range 3 {
			if _, err := keys.Key(t.Context(), "versions"); err != nil {
				t.Fatal(err)
			}
		}
		s.set(func() { s.down = true })
		if _, err := keys.Key(t.Context(), "versions"); err != nil {
			t.Error(err)
		}
		if got := strings.Join(s.calls, " "); got != "GET POST" {
			t.Errorf("calls %s", got)
		}
	})
}

func TestAKeyIsTriedForUntilTheAPIServerAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &secretServer{kept: map[string]core.Secret{}, down: true}
		keys := s.keys(t)
		began := time.Now()
		for time.Since(began) < 10*time.Minute {
			if _, err := keys.Key(t.Context(), "versions"); !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "for Secret versions in namespace system: connection refused") {
				t.Fatalf("error %v", err)
			}
			time.Sleep(time.Second)
		}
		if len(s.calls) < 10 || len(s.calls) > 20 {
			t.Errorf("%d calls in ten minutes, want about one a minute", len(s.calls))
		}
		s.set(func() { s.down = false })
		time.Sleep(time.Minute)
		if key, err := keys.Key(t.Context(), "versions"); err != nil || key.Len() != 32 {
			t.Errorf("%d bytes, %v", key.Len(), err)
		}
	})
}

func TestWhoAsksForAKeyWaitsNoLongerThanItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &secretServer{kept: map[string]core.Secret{}, answers: 5 * time.Second}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.keys(t).Key(ctx, "versions"); !errors.Is(err, fault.ErrUnavailable) {
			t.Errorf("error %v", err)
		}
	})
}

func TestASecretThatIsNoKeyIsRefusedWithTheRemedy(t *testing.T) {
	for name, c := range map[string]struct {
		server *secretServer
		says   string
	}{
		"no right":  {&secretServer{status: 403}, "grant its service account get on this Secret and create on secrets there"},
		"failing":   {&secretServer{status: 500}, `status 500 (it says "because")`},
		"no key":    {&secretServer{kept: map[string]core.Secret{"versions": {ObjectMeta: meta.ObjectMeta{Name: "versions"}}}}, "its field key has 0 bytes"},
		"a short":   {&secretServer{kept: map[string]core.Secret{"versions": {ObjectMeta: meta.ObjectMeta{Name: "versions"}, Data: map[string][]byte{"key": []byte("planted")}}}}, "its field key has 7 bytes"},
		"another's": {&secretServer{kept: map[string]core.Secret{"versions": {ObjectMeta: meta.ObjectMeta{Name: "other"}, Data: map[string][]byte{"key": make([]byte, 32)}}}}, "no such Secret"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := c.server.keys(t).Key(t.Context(), "versions")
				if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "Secret versions in namespace system") || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "planted") {
					t.Errorf("error %v, want %q", err, c.says)
				}
			})
		})
	}
}

package kube_test

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/identity/kube"
)

func TestNoTokenForTheAPIServerItselfIsAskedFor(t *testing.T) {
	asked := roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("asked the API server") })
	for name, c := range map[string]struct {
		claims, audience string
		refused          bool
	}{
		"its audience":        {`{"iss":"https://cluster","aud":["https://api","k3s"]}`, "k3s", true},
		"its only audience":   {`{"iss":"https://cluster","aud":"https://api"}`, "https://api", true},
		"its issuer":          {`{"iss":"https://cluster","aud":["https://api"]}`, "https://cluster", true},
		"another audience":    {`{"iss":"https://cluster","aud":["https://api"]}`, "vault", false},
		"no token of its own": {``, "vault", false},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "token")
			token := "x." + base64.RawURLEncoding.EncodeToString([]byte(c.claims)) + ".x"
			if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
				t.Fatal(err)
			}
			tokens := kube.New(kube.Options{
				Enabled: func() bool { return true },
				Config: func() (*rest.Config, error) {
					return &rest.Config{Host: "http://api", BearerTokenFile: file, Transport: asked}, nil
				},
			})
			defer tokens.Close()
			pod := identity.Identity{Namespace: "prod", ServiceAccount: "web", Pod: "web-0", PodUID: "uid"}
			_, err := tokens.Token(t.Context(), pod, c.audience)
			if refused := errors.Is(err, identity.ErrNoToken); refused != c.refused || err == nil {
				t.Errorf("error %v, want refused %v", err, c.refused)
			}
			if c.refused && (!strings.Contains(err.Error(), "an audience of its own") || strings.Contains(err.Error(), token)) {
				t.Errorf("error %q does not say what to do", err)
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// A client certificate does not say who the API server is, and the token that it issues
// does.
func TestNoTokenThatTheAPIServerAcceptsIsHandedOn(t *testing.T) {
	issued := "x." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://cluster","aud":["https://cluster"]}`)) + ".x"
	tokens := kube.New(kube.Options{
		WithoutPods: true,
		Config: func() (*rest.Config, error) {
			return &rest.Config{Host: "http://api", Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusCreated, Body: io.NopCloser(strings.NewReader(`{"status":{"token":"` + issued + `"}}`))}, nil
			})}, nil
		},
	})
	defer tokens.Close()
	for audience, refused := range map[string]bool{"https://cluster": true, "vault": false} {
		_, err := tokens.Token(t.Context(), identity.Identity{Namespace: "prod", ServiceAccount: "web"}, audience)
		if (err != nil) != refused || refused && (!errors.Is(err, identity.ErrNoToken) || strings.Contains(err.Error(), issued)) {
			t.Errorf("%s: %v", audience, err)
		}
	}
}

package kube_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity/kube"
)

// objects are those of an API server that answers with handler, asked with a
// token that has these claims.
func objects(t *testing.T, claims string, allowed bool, handler http.HandlerFunc) *kube.Objects {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	tokens := kube.New(kube.Options{Config: func() (*rest.Config, error) {
		return &rest.Config{Host: server.URL, BearerToken: "x." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".x"}, nil
	}})
	t.Cleanup(tokens.Close)
	return tokens.Objects(func() bool { return allowed })
}

const onNode = `{"kubernetes.io":{"node":{"name":"node-1"}}}`

func TestAnnotationsAndLabelsAreThoseOfTheObjectsMetadata(t *testing.T) {
	o := objects(t, onNode, true, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadata") {
			t.Errorf("more than metadata is asked for: %s", r.Header.Get("Accept"))
		}
		switch r.URL.Path {
		case "/api/v1/namespaces/prod/serviceaccounts/web":
			_, _ = w.Write([]byte(`{"metadata":{"annotations":{"role":"reader"}}}`))
		case "/api/v1/nodes/node-1":
			_, _ = w.Write([]byte(`{"metadata":{"labels":{"region":"eu-west-1"}}}`))
		default:
			http.NotFound(w, r)
		}
	})
	for name, want := range map[string]string{"role": "reader", "other": ""} {
		if got, err := o.Annotation(t.Context(), "prod", "web", name); err != nil || got != want {
			t.Errorf("annotation %s = %q, %v; want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]string{"region": "eu-west-1", "other": ""} {
		if got, err := o.NodeLabel(t.Context(), name); err != nil || got != want {
			t.Errorf("label %s = %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestWhyAnObjectCannotBeRead(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = w.Write([]byte(`{"kind":"Status","message":"the server's own words"}`))
		}
	}
	for name, test := range map[string]struct {
		claims  string
		allowed bool
		handler http.HandlerFunc
		account string
		kind    error
		texts   []string
	}{
		"not allowed":     {onNode, false, status(500), "web", fault.ErrInvalid, []string{"policy.readObjects"}},
		"forbidden":       {onNode, true, status(403), "web", fault.ErrInvalid, []string{"grant its own service account get on", "the server's own words"}},
		"gone":            {onNode, true, status(404), "web", fault.ErrInvalid, []string{"knows no"}},
		"failing":         {onNode, true, status(503), "web", fault.ErrUnavailable, []string{"status 503"}},
		"no JSON":         {onNode, true, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "web", fault.ErrUnavailable, []string{"cannot be read"}},
		"no such name":    {`{"kubernetes.io":{"node":{"name":"../x"}}}`, true, status(500), "../web", fault.ErrInvalid, nil},
		"no node":         {`{}`, true, status(404), "web", fault.ErrInvalid, nil},
		"no token at all": {`x`, true, status(404), "web", fault.ErrInvalid, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := objects(t, test.claims, test.allowed, test.handler)
			_, ofAccount := o.Annotation(t.Context(), "prod", test.account, "role")
			_, ofNode := o.NodeLabel(t.Context(), "region")
			for _, err := range []error{ofAccount, ofNode} {
				if !errors.Is(err, test.kind) {
					t.Errorf("error %v, want %v", err, test.kind)
				}
				for _, text := range test.texts {
					if err == nil || !strings.Contains(err.Error(), text) {
						t.Errorf("%q is not in: %v", text, err)
					}
				}
			}
		})
	}
}

func TestAReadOfAnObjectEndsWithItsCaller(t *testing.T) {
	o := objects(t, onNode, true, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.Annotation(ctx, "prod", "web", "role"); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("error %v, want unavailable", err)
	}
}

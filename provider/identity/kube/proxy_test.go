package kube

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"k8s.io/client-go/rest"
)

// No proxy, of the environment or elsewhere, sees the tokens of pods.
func TestTheAPIServerIsCalledDirectly(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	a, err := newAPI(func() (*rest.Config, error) {
		return &rest.Config{Host: server.URL, Proxy: func(*http.Request) (*url.URL, error) {
			t.Error("a proxy is looked for")
			return nil, nil
		}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	a.client.CloseIdleConnections()
}

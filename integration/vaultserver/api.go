package vaultserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// Answer is what the API answers to most requests.
type Answer struct {
	Data          map[string]any `json:"data"`
	LeaseID       string         `json:"lease_id"`
	LeaseDuration int            `json:"lease_duration"`
	Renewable     bool           `json:"renewable"`
	Auth          *Auth          `json:"auth"`
}

// Auth is what a login answers.
type Auth struct {
	ClientToken   string   `json:"client_token"`
	Accessor      string   `json:"accessor"`
	Policies      []string `json:"policies"`
	LeaseDuration int      `json:"lease_duration"`
	Renewable     bool     `json:"renewable"`
}

// Call makes one request with the root token. path is without "/v1/"; body is
// sent as JSON unless it is nil; the answer is decoded into answer unless that
// is nil. The error holds the server's own text.
func (s *Server) Call(ctx context.Context, method, path string, body any, answer *Answer) error {
	return s.CallAs(ctx, s.RootToken, method, path, body, answer)
}

// CallAs is Call with another token; empty sends none.
func (s *Server) CallAs(ctx context.Context, token, method, path string, body any, answer *Answer) error {
	var encoded io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		encoded = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.Address+"/v1/"+path, encoded)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it has been read
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if answer == nil || len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// Must is Call for tests, which it ends if the call fails.
func (s *Server) Must(t testing.TB, method, path string, body any) Answer {
	t.Helper()
	var answer Answer
	if err := s.Call(context.Background(), method, path, body, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// newClient trusts rootCA alone, if there is one.
func newClient(rootCA []byte) (*http.Client, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second}
	if rootCA != nil {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(rootCA) {
			return nil, errors.New("RootCA holds no certificate in PEM")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: transport, Timeout: time.Minute}, nil
}

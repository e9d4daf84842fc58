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
	"strings"
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
	Version       string         `json:"version"` // of the server, from sys/health
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

// enginePatience is how long a KV engine may take to be there once it was
// mounted. Until then it refuses calls with a text that begins with starting.
// https://developer.hashicorp.com/vault/docs/secrets/kv/kv-v2/upgrade
const (
	enginePatience = time.Minute
	starting       = `{"errors":["Upgrading from non-versioned`
)

// CallAs is Call with another token; empty sends none. It calls again while the
// engine is starting.
func (s *Server) CallAs(ctx context.Context, token, method, path string, body any, answer *Answer) error {
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(enginePatience); ; {
		status, text, err := s.send(ctx, token, method, path, encoded)
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(string(text), starting) && time.Now().Before(deadline):
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(20 * time.Millisecond):
			}
		case status >= http.StatusMultipleChoices:
			return fmt.Errorf("%s %s: %d %s: %s", method, path, status, http.StatusText(status), text)
		case answer == nil || len(text) == 0:
			return nil
		default:
			return json.Unmarshal(text, answer)
		}
	}
}

// send makes one request and returns the answer's status and body.
func (s *Server) send(ctx context.Context, token, method, path string, body []byte) (status int, text []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, s.Address+"/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it has been read
	text, err = io.ReadAll(resp.Body)
	return resp.StatusCode, text, err
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

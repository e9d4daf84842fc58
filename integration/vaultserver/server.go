// Package vaultserver runs a real Vault for tests and benchmarks: it builds
// the module integration/vault once, keeps the binary in a cache, and starts
// it on a free port of 127.0.0.1 with nothing in it but Vault's own mounts.
//
// Tests start with New, programs with Start. What a server is to hold is put
// there with Call or Must, over its HTTP API. To make it fail, put a
// faultproxy.Proxy before it.
package vaultserver

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"testing"
	"time"
)

// startTimeout is how long a started server may take to be ready; it takes
// about a second.
const startTimeout = time.Minute

// Options say how a server is started.
type Options struct {
	// CertFile and KeyFile are PEM files for HTTPS; both or neither. Client
	// certificates are asked for and passed to the cert auth method.
	CertFile, KeyFile string
	// RootCA is the PEM of what signed CertFile, for Call and Must.
	RootCA []byte
	// Log is where the server's errors go; nil drops them.
	Log io.Writer
}

// Server is a running Vault.
type Server struct {
	// Address is the URL of the API, without a path.
	Address string `json:"address"`
	// RootToken may do everything.
	RootToken string `json:"rootToken"`
	// UnsealKey is the one key share that unseals the server after sys/seal.
	UnsealKey string `json:"unsealKey"`

	client  *http.Client
	process *exec.Cmd
	stdin   io.Closer
}

// New starts a server that ends with the test.
func New(t testing.TB, opts Options) *Server {
	t.Helper()
	if opts.Log == nil {
		opts.Log = t.Output()
	}
	server, err := Start(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// Start starts a server, building it first if need be, and waits until it is
// ready or ctx ends. It runs until Close, or until this process ends.
func Start(ctx context.Context, opts Options) (*Server, error) {
	binary, err := Binary(ctx)
	if err != nil {
		return nil, err
	}
	client, err := newClient(opts.RootCA)
	if err != nil {
		return nil, err
	}
	args := []string{"-listen", "127.0.0.1:0", "-end-with-stdin"}
	if opts.CertFile != "" {
		args = append(args, "-tls-cert", opts.CertFile, "-tls-key", opts.KeyFile)
	}
	cmd := exec.Command(binary, args...) //nolint:gosec,noctx // the binary is built here, and runs until Close
	cmd.Stderr = opts.Log
	// Closing its standard input ends the server; so does the end of this
	// process, which closes it too.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	server := &Server{client: client, process: cmd, stdin: stdin}
	if err := server.awaitReady(ctx, stdout); err != nil {
		server.Close()
		return nil, err
	}
	return server, nil
}

// awaitReady reads the line that the server prints when it is ready.
func (s *Server) awaitReady(ctx context.Context, stdout io.Reader) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	type result struct {
		line []byte
		err  error
	}
	read := make(chan result, 1)
	go func() { // ends when the process does at the latest
		line, err := bufio.NewReader(stdout).ReadBytes('\n')
		read <- result{line, err}
	}()
	select {
	case got := <-read:
		if got.err != nil {
			return fmt.Errorf("vault ended before it was ready: %w", got.err)
		}
		return json.Unmarshal(got.line, s)
	case <-ctx.Done():
		return fmt.Errorf("vault is not ready: %w", ctx.Err())
	}
}

// Close ends the server and waits for its end.
func (s *Server) Close() {
	s.stdin.Close() //nolint:errcheck,gosec // if it did not end the server, Kill does
	done := make(chan struct{})
	go func() {
		s.process.Wait() //nolint:errcheck,gosec // however it ends
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		s.process.Process.Kill() //nolint:errcheck,gosec // it may have ended just now
		<-done
	}
	s.client.CloseIdleConnections()
}

// Connect is for a server that another program started: ready is the line that
// it printed, rootCA as in Options. Close must not be called.
func Connect(ready, rootCA []byte) (*Server, error) {
	client, err := newClient(rootCA)
	if err != nil {
		return nil, err
	}
	server := &Server{client: client}
	return server, json.Unmarshal(ready, server)
}

// Seal seals the server, as an operator would.
func (s *Server) Seal(ctx context.Context) error {
	return s.Call(ctx, http.MethodPut, "sys/seal", nil, nil)
}

// Unseal unseals the server and waits until it serves requests again.
func (s *Server) Unseal(ctx context.Context) error {
	if err := s.Call(ctx, http.MethodPut, "sys/unseal", map[string]any{"key": s.UnsealKey}, nil); err != nil {
		return err
	}
	for {
		err := s.Call(ctx, http.MethodGet, "sys/health", nil, nil)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

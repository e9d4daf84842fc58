// Command vault is a real Vault server for tests: the code of
// github.com/hashicorp/vault started as a library, with the engines and auth
// methods that Lanyard's tests use, storage in memory, initialized and
// unsealed. Whatever a test needs beyond that it does through the HTTP API.
//
// When it is ready it prints one line of JSON, a ready, to standard output. It
// logs to standard error, and ends on SIGINT or SIGTERM.
//
// It is a module of its own because Vault's requirements do not agree with
// those of anything else here. Tests do not run it themselves: they use
// integration/vaultserver, which builds, caches and starts it.
package main

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/vault"
)

// ready is what a test needs to use the server.
type ready struct {
	// Address is the URL of the API, without a path.
	Address string `json:"address"`
	// RootToken may do everything.
	RootToken string `json:"rootToken"`
	// UnsealKey unseals the server after sys/seal; hexadecimal, one share.
	UnsealKey string `json:"unsealKey"`
}

func main() {
	var (
		listen  = flag.String("listen", "127.0.0.1:0", "`address` to listen on; port 0 takes a free one")
		certPEM = flag.String("tls-cert", "", "`file` with the server's certificates in PEM; with it and -tls-key the API is HTTPS")
		keyPEM  = flag.String("tls-key", "", "`file` with the private key in PEM")
		level   = flag.String("log-level", "error", "trace, debug, info, warn or error")
		orphan  = flag.Bool("end-with-stdin", false, "end when standard input does, so as never to outlive the parent")
	)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	if *orphan {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) //nolint:errcheck // an error is an end as well
			stop()
		}()
	}
	logger := hclog.New(&hclog.LoggerOptions{Name: "vault", Level: hclog.LevelFromString(*level), Output: os.Stderr})
	err := run(ctx, logger, *listen, *certPEM, *keyPEM)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "vault: %v\n", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, logger hclog.Logger, listen, certPEM, keyPEM string) error {
	core, err := newCore(logger)
	if err != nil {
		return err
	}
	listener, address, err := listenOn(ctx, listen, certPEM, keyPEM)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: vaulthttp.Handler(&vault.HandlerProperties{
			Core: core,
			ListenerConfig: &configutil.Listener{
				MaxRequestSize:     vaulthttp.DefaultMaxRequestSize,
				MaxRequestDuration: vault.DefaultMaxRequestDuration,
			},
		}),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          logger.StandardLogger(&hclog.StandardLoggerOptions{InferLevels: true}),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	rootToken, unsealKey, err := initialize(ctx, core)
	if err != nil {
		return err
	}
	line := ready{Address: address, RootToken: rootToken, UnsealKey: hex.EncodeToString(unsealKey)}
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		return err
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	if err := server.Close(); err != nil {
		return err
	}
	if err := core.Shutdown(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// listenOn opens the listener. Client certificates are asked for but not
// verified here: that is the cert auth method's to do.
func listenOn(ctx context.Context, listen, certPEM, keyPEM string) (net.Listener, string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return nil, "", err
	}
	if certPEM == "" && keyPEM == "" {
		return listener, "http://" + listener.Addr().String(), nil
	}
	pair, err := tls.LoadX509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, "", err
	}
	listener = tls.NewListener(listener, &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequestClientCert,
		NextProtos:   []string{"h2", "http/1.1"},
		MinVersion:   tls.VersionTLS12,
	})
	return listener, "https://" + listener.Addr().String(), nil
}

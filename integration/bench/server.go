package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	secretsstore "sigs.k8s.io/secrets-store-csi-driver/pkg/secrets-store"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// provider is the name under which the driver finds a server's socket: the
// provider's, and the floor's in a directory of its own.
const provider = "lanyard"

// server is the provider or the floor, with the driver's client before it.
type server struct {
	*process
	builder *secretsstore.PluginClientBuilder
	client  v1alpha1.CSIDriverProviderClient
}

// startProvider starts the binary under test with the configuration.
func (l *lab) startProvider(ctx context.Context, config string) (*server, error) {
	dir, err := l.newDir()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "lanyard.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	p, err := startProcess(dir, l.binary, "serve", "--config", file, "--socket-dir", dir, "--admin-address", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return connect(ctx, p, dir)
}

// connect waits for the server and makes the driver's client for it.
func connect(ctx context.Context, p *process, dir string) (*server, error) {
	s := &server{process: p, builder: secretsstore.NewPluginClientBuilder([]string{dir})}
	err := p.awaitSocket(ctx, filepath.Join(dir, provider+".sock"))
	if err == nil {
		s.client, err = s.builder.Get(ctx, provider)
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *server) stop() {
	s.builder.Cleanup()
	if s.process != nil { // else somebody else has started it
		s.process.stop()
	}
}

// mount is one mount as the driver asks for it, without writing the files. A
// response without the number of files that is wanted is an error, so that
// nothing else than what was meant is measured.
func (s *server) mount(ctx context.Context, request *v1alpha1.MountRequest, files int) (*v1alpha1.MountResponse, error) {
	response, err := s.client.Mount(ctx, request)
	switch {
	case err != nil && s.process == nil:
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w\n%s", err, s.printed())
	}
	if got := len(response.GetFiles()); got != files {
		return nil, fmt.Errorf("a mount answered %d files, want %d", got, files)
	}
	return response, nil
}

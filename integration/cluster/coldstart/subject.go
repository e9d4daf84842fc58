package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/kmsplugin"
)

// subject is an API server whose etcd holds the Secrets.
type subject struct {
	plane  *cluster.Plane
	server *cluster.APIServer
	plugin *kmsplugin.Plugin // nil if they are not encrypted
}

// newSubject fills an etcd below the directory.
func newSubject(ctx context.Context, directory string, plugin *kmsplugin.Plugin) (_ *subject, err error) {
	own, err := os.MkdirTemp(directory, "plane-")
	if err != nil {
		return nil, err
	}
	s := &subject{plugin: plugin}
	if s.plane, err = cluster.NewPlane(ctx, own); err != nil {
		return nil, err
	}
	fill := s.fill
	var flags []string
	if plugin != nil {
		path := filepath.Join(own, "encryption.yaml")
		config := fmt.Sprintf("apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n  - kms: {apiVersion: v2, name: %s, endpoint: \"unix://%s\", timeout: 3s}\n", provider, plugin.Socket)
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			return nil, errors.Join(err, s.close())
		}
		flags = append(flags, "--encryption-provider-config="+path)
	}
	s.server, err = s.plane.APIServer(flags...)
	if err = errors.Join(err, fill(ctx)); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *subject) close() error { return s.plane.Close(context.Background()) }

// start starts the API server, and stops it when it has listed all Secrets out
// of its cache.
func (s *subject) start(ctx context.Context) (took time.Duration, decrypts int, err error) {
	before, err := s.decrypts()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := s.server.Start(ctx); err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, s.server.Stop(context.Background())) }()
	if err := s.server.Await(ctx); err != nil {
		return 0, 0, err
	}
	listed, err := s.server.Get(ctx, "/api/v1/secrets?resourceVersion=0")
	if err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	if n := strings.Count(listed, `"`+encodedValue+`"`); n != secrets {
		return 0, 0, fmt.Errorf("%d of %d Secrets were listed", n, secrets)
	}
	after, err := s.decrypts()
	return took, after - before, err
}

// decrypts is how often API servers have had the plugin decrypt.
func (s *subject) decrypts() (int, error) {
	if s.plugin == nil {
		return 0, nil
	}
	return s.plugin.Calls(context.Background(), "decrypt")
}

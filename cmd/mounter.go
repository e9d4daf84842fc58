package cmd

import (
	"context"
	"fmt"
	"maps"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/server/rpc"
)

// mounter mounts a class for a pod once.
type mounter interface {
	mount(ctx context.Context, class classManifest, pod podInput) (*engine.Volume, error)
	close()
}

// newMounter returns the running provider behind the socket, or without one an
// engine under the configuration file.
func newMounter(path, config string) (mounter, error) {
	if path == "" {
		localEngine, err := loadEngine(config)
		if err != nil {
			return nil, err
		}
		return embedded{localEngine}, nil
	}
	if _, err := os.Stat(path); err != nil {
		return nil, usagef("--socket: %w; a provider makes its socket when it starts, see lanyard serve --socket-dir", unnamed(path, err))
	}
	// The pod's tokens go to root's provider or to the caller's own, no other.
	conn, err := rpc.Dial(path)
	if err != nil {
		return nil, usagef("--socket: %w", err)
	}
	return socketProvider{path, conn}, nil
}

// embedded does the work in this process.
type embedded struct{ engine *localEngine }

func (m embedded) mount(ctx context.Context, class classManifest, pod podInput) (*engine.Volume, error) {
	parameters := map[string]string{}
	maps.Copy(parameters, class.parameters)
	maps.Copy(parameters, pod.attributes)
	return m.engine.Mount(ctx, engine.Request{Dialect: class.provider, Parameters: parameters, Identity: pod.identity})
}

func (m embedded) close() { m.engine.Close() }

// remote asks a running provider in the driver's protocol.
type socketProvider struct {
	path string
	conn *grpc.ClientConn
}

func (m socketProvider) mount(ctx context.Context, class classManifest, pod podInput) (*engine.Volume, error) {
	request, err := mountRequest(class, pod)
	if err != nil {
		return nil, err
	}
	response, err := v1alpha1.NewCSIDriverProviderClient(m.conn).Mount(ctx, request)
	if err != nil && m.conn.GetState() == connectivity.TransientFailure {
		return nil, fmt.Errorf("%s: no provider answers on this socket; it has ended, or is another user's (%s)", m.path, status.Convert(err).Message())
	}
	if err != nil {
		return nil, fmt.Errorf("%s (%s)", status.Convert(err).Message(), status.Code(err))
	}
	return volumeOf(response), nil
}

func (m socketProvider) close() {
	// Nothing is in flight any more that a failing close could harm.
	_ = m.conn.Close() //nolint:errcheck // see above
}

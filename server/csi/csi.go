// Package csi answers the Secrets Store CSI driver: it serves the driver's
// v1alpha1 provider protocol on one socket for each dialect, turns a mount
// request into a engine.Request and a engine.Volume into files. It reads no
// store, decides nothing about access, and never writes a file itself; the
// target path is not even looked at, because the driver's sync controller sends
// one that does not exist.
//
// Start with New and Server.Mount's way through request.go and status.go.
// The protocol is that of sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1.
package csi

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"k8s.io/klog/v2"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/server/recovery"
	"github.com/lanyardhq/lanyard/server/socket"
)

const (
	// maxMessage is the largest message that is read at all. It is above every
	// bound on requests, so that what exceeds the bound is refused in words.
	maxMessage = config.MaxRequestBytes + 1<<20
	// maxStreams is the most calls that one connection may have in flight; the
	// driver has one connection, and its further mounts wait at its end.
	maxStreams = 1024
	// handshakeTimeout is how long a new connection may say nothing.
	handshakeTimeout = 10 * time.Second
)

// Mounter is the engine, as this package sees it.
type Mounter interface {
	// Mount returns the files of a volume, which are not changed. The error is
	// a *provider.MountError.
	Mount(ctx context.Context, req engine.Request) (*engine.Volume, error)
}

// Options are what a Server is made of.
type Options struct {
	// Dialect is the syntax of the classes that arrive here: the provider name
	// that they say.
	Dialect string
	// Mounter does the work.
	Mounter Mounter
	// Version is the build's version, which the driver shows.
	Version string
	// RequestBytes is the most that a request may hold, to begin with; see
	// SetRequestBytes.
	RequestBytes int64
	// PeerUIDs are users that may connect besides root and the process's own.
	PeerUIDs []uint32
	// Metrics counts what happens; several servers may share one.
	Metrics *Metrics
}

// Server serves one dialect. It is safe for concurrent use.
type Server struct {
	grpc    *grpc.Server
	service *service
}

// service has the methods that the driver calls.
type service struct {
	dialect      string
	mounter      Mounter
	version      string
	metrics      *Metrics
	requestBytes atomic.Int64
}

// New returns a Server that waits for Serve.
func New(opts Options) *Server {
	s := &service{dialect: opts.Dialect, mounter: opts.Mounter, version: runtimeVersion(opts.Version), metrics: opts.Metrics}
	s.requestBytes.Store(opts.RequestBytes)
	server := grpc.NewServer(
		grpc.Creds(socket.Credentials(socket.Peers{UIDs: opts.PeerUIDs, Refused: s.refused})),
		grpc.ChainUnaryInterceptor(s.observe, recovery.Interceptor("internal error: the provider panicked; its log on this node says where", s.panicked)),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(handshakeTimeout),
		// Nothing is gained by pings on a unix socket, but a client that sends
		// them is not worth breaking the connection for.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		// Workers keep their grown stacks, which saves a cached mount more time
		// than its work takes. When all are busy gRPC starts a goroutine for
		// each call, as it does without them.
		grpc.NumStreamWorkers(uint32(runtime.GOMAXPROCS(0))), //nolint:gosec // a small positive number
		// The engine may be closed when Stop returns.
		grpc.WaitForHandlers(true),
	)
	v1alpha1.RegisterCSIDriverProviderServer(server, s)
	grpc_health_v1.RegisterHealthServer(server, health{})
	return &Server{grpc: server, service: s}
}

// SetRequestBytes changes the most that a request may hold for the mounts that
// begin from now on. Above provider.MaxRequestBytes it has no effect.
func (s *Server) SetRequestBytes(n int64) { s.service.requestBytes.Store(n) }

// Serve answers on l, which it closes, until Stop; then the error is nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.grpc.Serve(l); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil // stopped before it began
}

// Stop takes no more calls and returns when those in flight have ended. When
// ctx ends, they are cancelled.
func (s *Server) Stop(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.grpc.GracefulStop()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.grpc.Stop()
		<-done
	}
}

// Version tells the driver who answers. The driver sends its own version and
// compares nothing.
func (s *service) Version(context.Context, *v1alpha1.VersionRequest) (*v1alpha1.VersionResponse, error) {
	return &v1alpha1.VersionResponse{Version: "v1alpha1", RuntimeName: "lanyard", RuntimeVersion: s.version}, nil
}

func (s *service) refused(peer socket.Peer) {
	s.metrics.refused.Inc()
	klog.ErrorS(nil, "Refused a connection: only root, the provider's own user and those of --allow-peer-uid may connect", "dialect", s.dialect, "uid", peer.UID, "pid", peer.PID)
}

// Package csi answers the Secrets Store CSI driver: it serves the driver's
// v1alpha1 provider protocol on one socket for each dialect, turns a mount
// request into an engine.Request and an engine.Volume into files. It reads no
// store, decides nothing about access, and never writes a file itself; the
// target path is not even looked at, because the driver's sync controller sends
// one that does not exist.
//
// Start with New; request.go and status.go translate between the protocols.
// The protocol is that of sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1.
package csi

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/server/rpc"
)

const (
	// maxMessage is the largest message that is read at all. It is above every
	// bound on requests, so that what exceeds the bound is refused in words.
	maxMessage = config.MaxRequestBytes + 1<<20
	// maxStreams is how many calls one connection may have in flight; the driver
	// has one connection, and its further mounts wait at its end.
	maxStreams = 1024
	// program is what messages call this process.
	program = "provider"
)

// Mounter is the engine, as this package sees it.
type Mounter interface {
	// Mount returns the files of a volume, which are not changed. The error is
	// an *engine.MountError.
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
	// RequestBytes is the maximum size of a request at first; see
	// Server.SetRequestBytes.
	RequestBytes int64
	// PeerUIDs are users that may connect besides root and the process's own.
	PeerUIDs []uint32
	// Metrics counts what happens; several servers may share one.
	Metrics *Metrics
}

// Server serves one dialect. It is safe for concurrent use.
type Server struct {
	*rpc.Server
	service *service
}

// service has the methods that the driver calls.
type service struct {
	dialect      string
	mounter      Mounter
	version      string
	metrics      dialectMetrics
	requestBytes atomic.Int64
	recent       recent
}

// New returns a Server that waits for Serve.
func New(opts Options) *Server {
	s := &service{dialect: opts.Dialect, mounter: opts.Mounter, version: runtimeVersion(opts.Version), metrics: opts.Metrics.of(opts.Dialect)}
	s.requestBytes.Store(opts.RequestBytes)
	server := rpc.New(rpc.Options{
		Program: program, PeerUIDs: opts.PeerUIDs, MaxMessage: maxMessage, MaxStreams: maxStreams,
		Observe: s.observe, Metrics: opts.Metrics.rpc, Log: []any{"dialect", opts.Dialect},
	}, func(registrar grpc.ServiceRegistrar) {
		v1alpha1.RegisterCSIDriverProviderServer(registrar, s)
		grpc_health_v1.RegisterHealthServer(registrar, health{})
	})
	return &Server{Server: server, service: s}
}

// SetRequestBytes changes the maximum size of a request for the mounts that
// begin from now on. Above config.MaxRequestBytes it has no effect.
func (s *Server) SetRequestBytes(n int64) { s.service.requestBytes.Store(n) }

// Version tells the driver who answers. The driver sends its own version and
// compares nothing.
func (s *service) Version(context.Context, *v1alpha1.VersionRequest) (*v1alpha1.VersionResponse, error) {
	return &v1alpha1.VersionResponse{Version: "v1alpha1", RuntimeName: "lanyard", RuntimeVersion: s.version}, nil
}

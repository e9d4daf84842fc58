// Package rpc starts and stops the gRPC server of a front door on a unix socket.
// It refuses foreign peers, lets a panic fail one call alone, and drains calls
// in flight when it stops. It knows no protocol.
//
// Start with New.
package rpc

import (
	"context"
	"errors"
	"net"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/stats"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/server/socket"
)

// handshakeTimeout is how long a new connection may say nothing.
const handshakeTimeout = 10 * time.Second

// Metrics count what goes wrong below the protocol.
type Metrics struct{ panics, refused prometheus.Counter }

// NewMetrics registers the metrics of a process that its operators call program.
// A process can do so once for a registry.
func NewMetrics(registry prometheus.Registerer, program string) *Metrics {
	m := &Metrics{
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lanyard_panics_total",
			Help: "Calls that failed because the " + program + " panicked.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lanyard_refused_peers_total",
			Help: "Connections refused because of the user at the other end.",
		}),
	}
	registry.MustRegister(m.panics, m.refused)
	return m
}

// Options are what a Server is made of.
type Options struct {
	// Program is what the texts for operators call the process: provider or plugin.
	Program string
	// PeerUIDs are users that may connect besides root and the process's own.
	PeerUIDs []uint32
	// MaxMessage is the largest request in bytes that the server receives.
	MaxMessage int
	// MaxStreams is how many calls one connection may have in flight; its further
	// calls wait at the client.
	MaxStreams uint32
	// Observe sees each call and its outcome, a panic's too.
	Observe grpc.UnaryServerInterceptor
	// Stats, if set, is told of the events of each call.
	Stats stats.Handler
	// Metrics counts panics and refused peers; several servers may share one.
	Metrics *Metrics
	// Log are keys and values for each line that the server logs.
	Log []any
}

// Server is the gRPC server of one socket. It is safe for concurrent use.
type Server struct{ grpc *grpc.Server }

// New returns a Server that waits for Serve, with the services that register
// registers.
func New(opts Options, register func(grpc.ServiceRegistrar)) *Server {
	refused := func(peer socket.Peer) {
		opts.Metrics.refused.Inc()
		klog.ErrorS(nil, "Refused a connection: only root, the "+opts.Program+"'s own user and those of --allow-peer-uid may connect", append(opts.Log[:len(opts.Log):len(opts.Log)], "uid", peer.UID, "pid", peer.PID)...)
	}
	options := []grpc.ServerOption{
		grpc.Creds(socket.Credentials(socket.Peers{UIDs: opts.PeerUIDs, Refused: refused})),
		grpc.ChainUnaryInterceptor(opts.Observe, opts.recovery),
		grpc.MaxRecvMsgSize(opts.MaxMessage),
		grpc.MaxConcurrentStreams(opts.MaxStreams),
		grpc.ConnectionTimeout(handshakeTimeout),
		// Nothing is gained by pings on a unix socket, but a client that sends
		// them is not worth breaking the connection for.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		// Workers keep their grown stacks, which saves a cached mount more time
		// than its work takes. When all are busy gRPC starts a goroutine for
		// each call, as it does without them.
		grpc.NumStreamWorkers(uint32(runtime.GOMAXPROCS(0))), //nolint:gosec // a small positive number
		// What the handlers use may be closed when Stop returns.
		grpc.WaitForHandlers(true),
	}
	if opts.Stats != nil {
		options = append(options, grpc.StatsHandler(opts.Stats))
	}
	server := grpc.NewServer(options...)
	register(server)
	return &Server{server}
}

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

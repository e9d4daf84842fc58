// Package rpc starts and stops the gRPC server of a front door on a unix socket.
// It refuses foreign peers, lets a panic fail one call alone, and drains calls
// in flight when it stops. It knows no protocol.
//
// Start with New.
package rpc

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/server/socket"
)

const (
	// handshakeTimeout is how long a new connection may say nothing.
	handshakeTimeout = 10 * time.Second
	// maxIdle is how long a connection may be open without a call.
	maxIdle = 15 * time.Minute
	// maxConnections is how many connections a socket has. Drivers and API servers
	// keep one each, and a probe makes one for a moment.
	maxConnections = 128
	// maxHeader is the largest header of a call in bytes.
	maxHeader = 16 << 10
	// refusedLog is how often a refused connection is logged after the first ten.
	refusedLog = 10 * time.Second
)

// Metrics count what goes wrong below the protocol.
type Metrics struct {
	panics, refused, full, losses prometheus.Counter
	lost                          prometheus.Gauge
}

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
		full: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lanyard_refused_connections_total",
			Help: "Connections refused because the socket had as many as it may have.",
		}),
		losses: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lanyard_socket_losses_total",
			Help: "Times that a socket's file was found removed or replaced while the " + program + " ran; it is made again.",
		}),
		lost: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "lanyard_sockets_lost",
			Help: "Sockets that nobody can connect to now, because the file is lost and could not be made again yet.",
		}),
	}
	registry.MustRegister(m.panics, m.refused, m.full, m.losses, m.lost)
	return m
}

// reachable counts a socket that was lost, or is there again.
func (m *Metrics) reachable(is bool) {
	if is {
		m.lost.Dec()
		return
	}
	m.lost.Inc()
	m.losses.Inc()
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
	// Metrics counts panics and refused peers; several servers may share one.
	Metrics *Metrics
	// Log are keys and values for each line that the server logs.
	Log []any
}

// Server is the gRPC server of one socket. It is safe for concurrent use.
type Server struct {
	grpc *grpc.Server
	opts Options
	log  rate.Sometimes
}

// New returns a Server that waits for Serve, with the services that register
// registers.
func New(opts Options, register func(grpc.ServiceRegistrar)) *Server {
	server := grpc.NewServer(
		grpc.Creds(socket.Credentials(socket.Peers{UIDs: opts.PeerUIDs})),
		grpc.UnaryInterceptor(opts.intercept),
		grpc.MaxRecvMsgSize(opts.MaxMessage),
		grpc.MaxConcurrentStreams(opts.MaxStreams),
		grpc.MaxHeaderListSize(maxHeader),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: maxIdle}),
		// Nothing is gained by pings on a unix socket, but a client that sends
		// them is not worth breaking the connection for.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		// Workers keep their grown stacks, which saves a cached mount more time
		// than its work takes. When all are busy gRPC starts a goroutine for
		// each call, as it does without them.
		grpc.NumStreamWorkers(uint32(runtime.GOMAXPROCS(0))), //nolint:gosec // a small positive number
		// What the handlers use may be closed when Stop returns.
		grpc.WaitForHandlers(true),
	)
	register(server)
	return &Server{grpc: server, opts: opts, log: rate.Sometimes{First: 10, Interval: refusedLog}}
}

// Serve answers on l, which it closes, until Stop; then the error is nil. It listens
// again when the socket's file is lost; the error says if only a new process can.
func (s *Server) Serve(l *socket.Listener) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	lost := make(chan error, 1)
	go func() {
		err := l.Watch(ctx, len(s.opts.PeerUIDs) > 0, s.opts.Metrics.reachable)
		if err != nil {
			err = errors.Join(err, l.Close())
		}
		lost <- err
	}()
	peers := socket.Peers{UIDs: s.opts.PeerUIDs, Refused: s.refused}
	err := s.grpc.Serve(socket.Bound(l, peers, maxConnections, s.full))
	cancel()
	if err := <-lost; err != nil {
		return err
	}
	if !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil // stopped before it began
}

// refused counts and logs a peer that may not connect.
func (s *Server) refused(peer socket.Peer) {
	s.opts.Metrics.refused.Inc()
	s.logSometimes("Refused a connection: only root, the "+s.opts.Program+"'s own user and those of --allow-peer-uid may connect", "uid", peer.UID, "pid", peer.PID)
}

// full counts and logs a connection beyond maxConnections.
func (s *Server) full() {
	s.opts.Metrics.full.Inc()
	s.logSometimes("Refused a connection: the socket has as many as it may have", "connections", maxConnections)
}

// logSometimes logs what a process that connects in a loop would repeat for ever.
func (s *Server) logSometimes(text string, keysAndValues ...any) {
	s.log.Do(func() {
		klog.ErrorS(nil, text, append(s.opts.Log[:len(s.opts.Log):len(s.opts.Log)], keysAndValues...)...)
	})
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

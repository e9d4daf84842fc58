// Package kms answers the Kubernetes API server: it serves KMS v2 on a unix
// socket from a key ring. Encrypt uses the ring's write key, Decrypt the one
// key that the request's key ID names. Status answers from memory what a probe
// in the background and the calls themselves have found.
//
// It never tries one key after another, never answers with an empty or guessed
// plaintext, and names a key only after it has read with it what it had
// written. It keeps no plaintext longer than a call, and neither logs nor
// counts by anything that a request can choose.
//
// Start with New; the methods of the protocol are in service.go, what Status
// knows is in current.go.
// The protocol: https://kubernetes.io/docs/tasks/administer-cluster/kms-provider/
// and k8s.io/kms/apis/v2.
package kms

import (
	"context"
	"errors"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"k8s.io/klog/v2"
	kmsapi "k8s.io/kms/apis/v2"

	"github.com/lanyardhq/lanyard/provider/kmsring"
	"github.com/lanyardhq/lanyard/server/recovery"
	"github.com/lanyardhq/lanyard/server/socket"
)

const (
	// DefaultProbe is how often the write key is tried.
	DefaultProbe = 10 * time.Second
	// maxMessage is above the 34 KiB that a request can hold by the contract:
	// annotations, ciphertext and key ID.
	maxMessage = 128 << 10
	// maxStreams is the most calls that one connection may have in flight; more
	// wait at its other end.
	maxStreams = 256
	// handshakeTimeout is how long a new connection may say nothing.
	handshakeTimeout = 10 * time.Second
)

// Options are what a Server is made of.
type Options struct {
	// Ring is the key ring to begin with. Whoever made it closes it, after
	// Stop and Run have returned.
	Ring *kmsring.Ring
	// Probe is how often the write key is tried: one Encrypt and one Decrypt.
	// Zero is DefaultProbe.
	Probe time.Duration
	// PeerUIDs are users that may connect besides root and the process's own.
	PeerUIDs []uint32
	// Metrics counts what happens.
	Metrics *Metrics
}

// Server is a KMS plugin. It is safe for concurrent use.
type Server struct {
	grpc    *grpc.Server
	service *service
}

// New returns a Server that waits for Serve and Run.
func New(opts Options) *Server {
	if opts.Probe <= 0 {
		opts.Probe = DefaultProbe
	}
	s := &service{
		current: newCurrent(opts.Ring, opts.Metrics),
		metrics: opts.Metrics, interval: opts.Probe,
		kicks: make(chan struct{}, 1),
	}
	server := grpc.NewServer(
		grpc.Creds(socket.Credentials(socket.Peers{UIDs: opts.PeerUIDs, Refused: s.refused})),
		grpc.ChainUnaryInterceptor(
			s.observe,
			recovery.Interceptor("internal error: the plugin panicked; its log says where", s.panicked),
		),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		// The ring may be closed when Stop returns.
		grpc.WaitForHandlers(true),
	)
	kmsapi.RegisterKeyManagementServiceServer(server, s)
	return &Server{grpc: server, service: s}
}

// Serve answers on l, which it closes, until Stop; then the error is nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.grpc.Serve(l); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil // stopped before it began
}

// Run tries the write key in the background until ctx ends. Without it Status
// does not come to know of a key, nor of its loss.
func (s *Server) Run(ctx context.Context) { s.service.watch(ctx) }

// SetRing makes another ring hold, one that follows the ring before. When it
// returns nil, no call begins to use the ring before. The error is that the new
// ring cannot read with the key that API servers write with, because the one
// that they were to write with has not worked yet; then nothing has changed.
func (s *Server) SetRing(ring *kmsring.Ring) error {
	if err := s.service.current.setRing(ring); err != nil {
		return err
	}
	s.service.kick()
	return nil
}

// Healthy returns nil if the API server would be told that all is well, and
// the cause if not.
func (s *Server) Healthy() error {
	_, err := s.service.current.status(time.Now(), s.service.interval)
	return err
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

func (s *service) refused(peer socket.Peer) {
	s.metrics.refused.Inc()
	klog.ErrorS(nil, "Refused a connection: only root, the plugin's own user and those of --allow-peer-uid may connect", "uid", peer.UID, "pid", peer.PID)
}

func (s *service) panicked(p recovery.Panic) {
	s.metrics.panics.Inc()
	klog.ErrorS(nil, "Panic; the call failed, the plugin goes on; please report this", "method", p.Method, "type", p.Type, "stack", p.Stack)
}

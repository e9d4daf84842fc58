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
	"time"

	"google.golang.org/grpc"
	kmsapi "k8s.io/kms/apis/v2"

	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/kmsring"
	"github.com/lanyardhq/lanyard/provider/tracing"
	"github.com/lanyardhq/lanyard/server/rpc"
)

const (
	// DefaultProbe is how often the write key is tried.
	DefaultProbe = 10 * time.Second
	// maxMessage is above the 34 KiB that a request can hold by the contract:
	// annotations, ciphertext and key ID.
	maxMessage = 128 << 10
	// maxStreams is how many calls one connection may have in flight; more wait
	// at its other end.
	maxStreams = 256
	// program is what messages call this process.
	program = "plugin"
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
	// Audit has a record of each Encrypt and Decrypt; nil for none.
	Audit *audit.Log
	// Tracer has a span of each Encrypt and Decrypt; nil for none.
	Tracer *tracing.Tracer
}

// Server is a KMS plugin. It is safe for concurrent use.
type Server struct {
	*rpc.Server
	service *service
}

// New returns a Server that waits for Serve and Run.
func New(opts Options) *Server {
	if opts.Probe <= 0 {
		opts.Probe = DefaultProbe
	}
	s := &service{
		current: newCurrent(opts.Ring, opts.Metrics),
		metrics: opts.Metrics, audit: opts.Audit, tracer: opts.Tracer, interval: opts.Probe,
		probes: make(chan struct{}, 1),
	}
	server := rpc.New(rpc.Options{
		Program: program, PeerUIDs: opts.PeerUIDs, MaxMessage: maxMessage, MaxStreams: maxStreams,
		Observe: s.observe, Metrics: opts.Metrics.rpc,
	}, func(registrar grpc.ServiceRegistrar) { kmsapi.RegisterKeyManagementServiceServer(registrar, s) })
	return &Server{Server: server, service: s}
}

// Run probes the write key in the background until ctx ends. Without it Status learns
// neither that a key works nor that it has stopped working.
func (s *Server) Run(ctx context.Context) { s.service.watch(ctx) }

// SetRing replaces the ring by its successor. After it has returned nil, no new call
// uses the ring before. It returns an error and changes nothing if the new ring
// cannot decrypt with the current key, which happens while the write key before has
// not worked yet.
func (s *Server) SetRing(ring *kmsring.Ring) error {
	if err := s.service.current.setRing(ring); err != nil {
		return err
	}
	s.service.requestProbe()
	return nil
}

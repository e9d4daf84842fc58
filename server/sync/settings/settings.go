// Package settings is what the operator says of the sync controller. It stands apart so
// that the command line can read it without the controller's libraries.
package settings

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/tracing"
	"github.com/lanyardhq/lanyard/server/status"
)

// Engine reads what classes name.
type Engine interface {
	Mount(ctx context.Context, req engine.Request) (*engine.Volume, error)
}

// Settings are what the controller is made of.
type Settings struct {
	// Engine reads values for service accounts, without pods.
	Engine Engine
	// Registry is where the controller's metrics are registered.
	Registry *prometheus.Registry
	// Audit has a record of each Secret that is written or removed; nil for none.
	Audit *audit.Log
	// Facts is told what adds the controller's facts; nil for nobody.
	Facts func(add func(*status.Facts))
	// Tracer has a span of each pass over an object; nil for none.
	Tracer *tracing.Tracer
	// Ready is told once the controller's caches are filled.
	Ready func()

	// Kubeconfig is the file with the access to the API server; empty in a pod.
	Kubeconfig string
	// Namespace is where the Lease of the leader lies; empty means the pod's own.
	Namespace string
	// LeaderElection lets one of several controllers work.
	LeaderElection bool

	// Interval is after about how long each object is looked at again. How old a value
	// may be, the engine decides.
	Interval time.Duration
	// DriftInterval is after about how long a Secret is written again though its values
	// are the same, which puts right what others changed in it.
	DriftInterval time.Duration
	// Workers is the number of objects that are worked on at a time.
	Workers int
	// SecretTypes are the types that a Secret may be of.
	SecretTypes []string
	// SecretSyncs has SecretSync objects followed, once their definition is installed.
	SecretSyncs bool
	// ControllerName is the secretSyncControllerName of the SecretSyncs that are this
	// controller's.
	ControllerName string

	// Restart says how workloads are rolled out whose secrets changed.
	Restart Restart
}

// Restart is how workloads are rolled out that ask for it.
type Restart struct {
	// Enabled has it done at all.
	Enabled bool
	// Max and MaxNamespace are how many rollouts there may be at a time, in the cluster
	// and in a namespace.
	Max, MaxNamespace int
	// Pause is how long nothing else is rolled out for a change after a rollout that did
	// not get ready.
	Pause time.Duration
	// Window is when rollouts may begin; empty means always.
	Window string
}

// Bounds and defaults of Settings.
const (
	DefaultInterval      = 30 * time.Second
	MinInterval          = time.Second
	DefaultDriftInterval = 10 * time.Minute
	DefaultWorkers       = 32
	MaxWorkers           = 512

	DefaultRestartMax          = 10
	DefaultRestartMaxNamespace = 3
	DefaultRestartPause        = 10 * time.Minute
)

// DefaultSecretTypes are those that hold nothing that Kubernetes itself trusts.
func DefaultSecretTypes() []string {
	return []string{"Opaque", "kubernetes.io/tls", "kubernetes.io/dockerconfigjson", "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth"}
}

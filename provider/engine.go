package provider

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/store"
)

// Options are what an Engine is made of.
type Options struct {
	// Config is the operator's, to begin with.
	Config Config
	// Dialects are the syntaxes that requests may name.
	Dialects map[string]Dialect
	// Types are the kinds of store.
	Types []store.Type
	// Calls bounds the calls of Types; the engine sets its limit from Config.
	Calls *store.Calls
	// Metrics is where the engine's metrics are registered.
	Metrics prometheus.Registerer
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Engine serves requests. It is safe for concurrent use.
type Engine struct{}

// New returns an Engine that runs until Close. The error is a Problems if the
// configuration is wrong.
func New(opts Options) (*Engine, error) { return &Engine{}, nil }

// Configure makes config hold for all mounts that begin from now on; those in
// flight finish under the old one. If config is wrong nothing changes and the
// error is a Problems.
func (e *Engine) Configure(config Config) error { return nil }

// Check says without any remote call whether a class can be served: its
// syntax, its objects and its stores' settings. The error is a Problems.
func (e *Engine) Check(dialect string, parameters map[string]string) error { return nil }

// Mount returns the files of the volume that req asks for. The error is a
// *MountError.
func (e *Engine) Mount(ctx context.Context, req Request) (*Volume, error) { return nil, nil }

// Close waits for the engine's own work to end and forgets every value. No
// Mount may be running or follow.
func (e *Engine) Close() {}

// Package gcp is the store of Google Secret Manager, global and regional. It
// reads as the pod, with the access tokens of package provider/backend/gcp.
//
// It never hands on a payload whose checksum does not fit or that belongs to
// another secret, and never repeats a token or a value in an error.
//
// Start with Type and store.Read; access.go is the call and what its failures
// mean, value.go what an answer becomes. The generated stubs of
// cloud.google.com/go/secretmanager are used over connections of provider/backend/gcp: the high-level client above them adds 3 MB to the binary, reads the
// environment whatever options it is given, and waits two seconds before it
// repeats a throttled call.
package gcp

import (
	"time"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/gcp"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// typeName is the type's name in configuration files and classes.
const typeName = "google-secret-manager"

// Options are what a Type is made of.
type Options struct {
	// Tokens gets the pods' service account tokens; nil takes those that the
	// driver passed.
	Tokens identity.TokenSource
	// Cluster tells the annotations of service accounts; nil means that none
	// are followed.
	Cluster gcp.Cluster
	// ClusterAllowed reports whether the operator lets Cluster be asked now; nil
	// means yes.
	ClusterAllowed func() bool
	// Calls bounds the calls in flight; nil allows 64 at each address.
	Calls *remote.Calls
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Type is the kind of store. It holds the connections, which all stores with
// the same endpoints and authorities share.
type Type struct {
	tokens         identity.TokenSource
	cluster        gcp.Cluster
	clusterAllowed func() bool
	links          *gcp.Links
}

// NewType returns a Type without connections.
func NewType(opts Options) *Type {
	remote.Defaults(&opts.Tokens, &opts.Calls, &opts.Now)
	return &Type{tokens: opts.Tokens, cluster: opts.Cluster, clusterAllowed: opts.ClusterAllowed, links: gcp.NewLinks(typeName, opts.Calls, opts.Now, false)}
}

// Name is "google-secret-manager".
func (t *Type) Name() string { return typeName }

// WorkloadSettings are those with which Google itself decides what the pod may
// have: where its secrets are, and which service account it acts as. The
// latter goes with the pod's own identity alone.
func (t *Type) WorkloadSettings() []string {
	return []string{"project", "location", "auth.serviceAccount", "auth.delegates"}
}

// ReadsAsNode implements store.NodeReader.
func (t *Type) ReadsAsNode(given store.Settings) bool {
	config := &settings{Auth: gcp.DefaultAuth()}
	_ = strict.DecodeMap(given.Fields, config) //nolint:errcheck // Open tells what cannot be read
	return config.Auth.UsesNode()
}

// NodeSettings implements store.NodeReader: where the secrets are, which the name
// of a secret can say as well.
func (t *Type) NodeSettings() []string { return []string{"project", "location"} }

// Open checks the settings, which docs/stores/google.md lists, and reads the
// file of authorities if they name one. It makes no call.
func (t *Type) Open(settings store.Settings) (store.Store, error) {
	config, problems := parseSettings(settings)
	if len(problems) > 0 {
		return nil, problems.Err()
	}
	link, release, err := t.links.Acquire(config.way)
	if err != nil {
		return nil, err
	}
	return t.newStore(config, link, release), nil
}

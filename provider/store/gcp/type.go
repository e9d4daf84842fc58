// Package gcp is the store of Google Secret Manager and Parameter Manager, global and
// regional. It reads as the pod, with the access tokens of package provider/backend/gcp.
//
// It never hands on a payload whose checksum does not fit or that belongs to
// another secret, and never repeats a token or a value in an error.
//
// Start with Type and store.Read; access.go is the call and what its failures
// mean, parameter.go that to Parameter Manager, value.go what an answer becomes. The
// generated stubs of cloud.google.com/go are used over connections of
// provider/backend/gcp: the high-level client above them adds 3 MB to the binary, reads
// the environment whatever options it is given, and waits two seconds before it
// repeats a throttled call.
package gcp

import (
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/gcp"
	"github.com/lanyardhq/lanyard/provider/store"
)

// typeName is the type's name in configuration files and classes.
const typeName = "google-secret-manager"

// Options are what a Type is made of.
type Options = gcp.Options

// Type is the kind of store. It holds the connections, which all stores with
// the same endpoints and authorities share.
type Type struct {
	opts  Options
	links *gcp.Links
}

// NewType returns a Type without connections.
func NewType(opts Options) *Type {
	links := gcp.NewLinks(typeName, &opts)
	return &Type{opts: opts, links: links}
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

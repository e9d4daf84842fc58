// Package gcp is the key service of Google's Cloud KMS, with symmetric keys of
// any protection level. The context goes with each call as additional
// authenticated data, so that Cloud KMS refuses another one, and every message
// has a checksum that both ends compare.
//
// It reads the version from the name in the answer to each encryption, and
// never asks for the key's primary version: a rotation takes hours to be seen
// everywhere, and the two would not agree. Identities, connections and calls
// are provider/backend/gcp's to know; it uses as the client the stubs that Google
// generates, for the reasons that the store of Secret Manager tells.
//
// Start with Type, then key.go; call.go is the calls and what their failures
// mean. docs/keys/gcp.md is the page for users.
package gcp

import (
	"github.com/lanyardhq/lanyard/provider/backend/gcp"
	"github.com/lanyardhq/lanyard/provider/key"
)

// Options are what a Type is made of.
type Options = gcp.Options

// Type is the kind of key service named "gcp". It holds the connections, which
// all keys with the same endpoint and authorities share.
type Type struct {
	opts  Options
	links *gcp.Links
}

// NewType returns a Type without connections.
func NewType(opts Options) *Type {
	links := gcp.NewLinks("key-gcp", &opts)
	return &Type{opts: opts, links: links}
}

// Name is "gcp".
func (t *Type) Name() string { return "gcp" }

// Open checks the settings, which docs/keys/gcp.md lists, and reads the file of
// authorities if they name one. It makes no call.
func (t *Type) Open(given key.Settings) (key.Key, error) {
	config, problems := parseSettings(given, t.opts.Person != nil)
	if len(problems) > 0 {
		return nil, problems.Err()
	}
	if given.NameOnly {
		return key.Named((&kmsKey{config: config}).Name(), ""), nil
	}
	return t.open(config)
}

func (t *Type) open(config *settings) (key.Key, error) {
	link, release, err := t.links.Acquire(config.way)
	if err != nil {
		return nil, err
	}
	conn, err := link.Connect(config.Endpoint, config.way.Global, gcp.MaxAnswerBytes)
	if err != nil {
		release()
		return nil, err
	}
	return &kmsKey{
		config: config, conn: conn, release: release,
		login: gcp.NewLogin(gcp.LoginOptions{Options: t.opts, Auth: config.Auth, Link: link, Timeout: config.Timeout, Retries: config.Retries}),
	}, nil
}

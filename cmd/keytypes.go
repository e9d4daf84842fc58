package cmd

import (
	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/backend/azure"
	"github.com/lanyardhq/lanyard/provider/backend/gcp"
	"github.com/lanyardhq/lanyard/provider/backend/person"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	keyaws "github.com/lanyardhq/lanyard/provider/key/aws"
	keyazure "github.com/lanyardhq/lanyard/provider/key/azure"
	keygcp "github.com/lanyardhq/lanyard/provider/key/gcp"
	keylocal "github.com/lanyardhq/lanyard/provider/key/local"
	keyvault "github.com/lanyardhq/lanyard/provider/key/vault"
	storegcp "github.com/lanyardhq/lanyard/provider/store/gcp"
)

// keyTypes are all kinds of key service, for a process that serves a node. A new
// one is one line here and in the two functions below.
func keyTypes(tokens identity.TokenSource, calls *remote.Calls) []key.Type {
	return []key.Type{
		keyvault.NewType(keyvault.Options{Tokens: tokens, Calls: calls}),
		keyaws.NewType(aws.New(aws.Options{Tokens: tokens, Calls: calls})),
		keyazure.NewType(keyazure.Options{Tokens: tokens, Calls: calls}),
		keygcp.NewType(keygcp.Options{Tokens: tokens, Calls: calls}),
		keylocal.NewType(),
	}
}

// podKeyTypes are the same for a process whose keys pods use: what the stores
// know of the clouds and the cluster, the keys know too.
func podKeyTypes(tokens identity.TokenSource, calls *remote.Calls, amazon *aws.Platform, google storegcp.Options) []key.Type {
	return []key.Type{
		keyvault.NewType(keyvault.Options{Tokens: tokens, Calls: calls}),
		keyaws.NewType(amazon),
		keyazure.NewType(keyazure.Options{Tokens: tokens, Calls: calls}),
		keygcp.NewType(keygcp.Options{Tokens: tokens, Calls: calls, Cluster: google.Cluster, ClusterAllowed: google.ClusterAllowed}),
		keylocal.NewType(),
	}
}

// personKeyTypes are the same for a command, where a key that says nothing of
// credentials is used with those of who runs the command.
func personKeyTypes() []key.Type {
	return []key.Type{
		keyvault.NewType(keyvault.Options{Person: person.Vault()}),
		keyaws.NewType(aws.New(aws.Options{Person: person.AWS()})),
		keyazure.NewType(keyazure.Options{Person: &azure.Person{Credential: person.Azure()}}),
		keygcp.NewType(keygcp.Options{Person: &gcp.Person{Source: person.Google(gcp.Scope)}}),
		keylocal.NewType(),
	}
}

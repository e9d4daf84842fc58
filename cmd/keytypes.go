package cmd

import (
	"github.com/lanyardhq/lanyard/provider/aws"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	keyaws "github.com/lanyardhq/lanyard/provider/key/aws"
	keyazure "github.com/lanyardhq/lanyard/provider/key/azure"
	keygcp "github.com/lanyardhq/lanyard/provider/key/gcp"
	keylocal "github.com/lanyardhq/lanyard/provider/key/local"
	keyvault "github.com/lanyardhq/lanyard/provider/key/vault"
	"github.com/lanyardhq/lanyard/provider/store"
)

// keyTypes are all kinds of key service. A new one is one line here.
func keyTypes(tokens identity.TokenSource, calls *store.Calls) []key.Type {
	return []key.Type{
		keyvault.NewType(keyvault.Options{Tokens: tokens, Calls: calls}),
		keyaws.NewType(aws.New(aws.Options{Tokens: tokens, Calls: calls})),
		keyazure.NewType(keyazure.Options{Tokens: tokens, Calls: calls}),
		keygcp.NewType(keygcp.Options{Tokens: tokens, Calls: calls}),
		keylocal.NewType(),
	}
}

package cmd

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	awsdialect "github.com/lanyardhq/lanyard/provider/dialect/aws"
	azuredialect "github.com/lanyardhq/lanyard/provider/dialect/azure"
	gcpdialect "github.com/lanyardhq/lanyard/provider/dialect/gcp"
	"github.com/lanyardhq/lanyard/provider/dialect/lanyard"
	vaultdialect "github.com/lanyardhq/lanyard/provider/dialect/vault"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/identity/kube"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/awskms"
	"github.com/lanyardhq/lanyard/provider/store/awsparameters"
	"github.com/lanyardhq/lanyard/provider/store/awssecrets"
	"github.com/lanyardhq/lanyard/provider/store/azure"
	"github.com/lanyardhq/lanyard/provider/store/file"
	"github.com/lanyardhq/lanyard/provider/store/gcp"
	"github.com/lanyardhq/lanyard/provider/store/sealed"
	"github.com/lanyardhq/lanyard/provider/store/vault"
)

// dialects are the syntaxes of classes by the provider's name. A new one is one
// line here.
func dialects() map[string]spec.Dialect {
	return map[string]spec.Dialect{
		lanyard.Name:      lanyard.Parse,
		vaultdialect.Name: vaultdialect.Parse,
		awsdialect.Name:   awsdialect.Parse,
		gcpdialect.Name:   gcpdialect.Parse,
		azuredialect.Name: azuredialect.Parse,
	}
}

// storeTypes are all kinds of store. A new one is one line here.
func storeTypes(tokens identity.TokenSource, calls *remote.Calls, amazon *aws.Platform, google gcp.Options) []store.Type {
	return []store.Type{
		vault.NewType(vault.Options{Tokens: tokens, Calls: calls}),
		awssecrets.NewType(amazon),
		awsparameters.NewType(amazon),
		awskms.NewType(amazon),
		azure.NewType(azure.Options{Tokens: tokens, Calls: calls}),
		gcp.NewType(google),
		sealed.NewType(sealed.Options{KeyTypes: podKeyTypes(tokens, calls, amazon, google)}),
		file.NewType(),
	}
}

// engine is the provider's engine with what it stands on.
type localEngine struct {
	*engine.Engine
	tokens *kube.Tokens
	amazon *aws.Platform
}

// newEngine returns an engine with every dialect and store. Its error is a
// spec.Problems.
func newEngine(config config.Config, registry prometheus.Registerer) (*localEngine, error) {
	e := &localEngine{}
	e.tokens = kube.New(kube.Options{Enabled: func() bool { return e.Engine.Config().Policy.TokenRequest }})
	calls := remote.NewCalls(config.Bounds.StoreCalls)
	mayRead := func() bool { return e.Engine.Config().Policy.ReadObjects }
	objects := e.tokens.Objects(mayRead)
	e.amazon = aws.New(aws.Options{Tokens: e.tokens, Calls: calls, Cluster: objects})
	google := gcp.Options{Tokens: e.tokens, Calls: calls, Cluster: objects, ClusterAllowed: mayRead}
	var err error
	e.Engine, err = engine.New(engine.Options{
		Config: config, Dialects: dialects(), Types: storeTypes(e.tokens, calls, e.amazon, google), Calls: calls, Metrics: registry,
	})
	if err != nil {
		e.amazon.Close()
		e.tokens.Close()
		return nil, err
	}
	return e, nil
}

// loadEngine returns an engine under the configuration file, or under the
// defaults if path is empty. A configuration that cannot be used is a usage
// error with the file's lines.
func loadEngine(path string) (*localEngine, error) {
	if path == "" {
		return newEngine(config.Default(), prometheus.NewRegistry())
	}
	file, err := config.Load(path)
	if err != nil {
		return nil, usageError{err}
	}
	e, err := newEngine(file.Config, prometheus.NewRegistry())
	if err != nil {
		return nil, usageError{file.Explain(err)}
	}
	return e, nil
}

// Close ends the engine and what it stands on. No mount may be running.
func (e *localEngine) Close() {
	e.Engine.Close()
	e.amazon.Close()
	e.tokens.Close()
}

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
	"github.com/lanyardhq/lanyard/provider/dialect/openbao"
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
// line here. settings are the operator's in force.
func dialects(settings func() config.Dialects) map[string]spec.Dialect {
	return map[string]spec.Dialect{
		lanyard.Name:      lanyard.Parse,
		vaultdialect.Name: vaultdialect.Parse,
		openbao.Name:      openbao.Parse,
		awsdialect.Name:   awsdialect.Parse,
		gcpdialect.Name:   gcpdialect.Parse,

		gcpdialect.AddOnName: gcpdialect.Parse,
		azuredialect.Name: func(parameters map[string]string) (*spec.Class, error) {
			return azuredialect.Options(settings().Azure).Parse(parameters)
		},
	}
}

// storeTypes are all kinds of store. A new one is one line here.
func storeTypes(tokens identity.TokenSource, calls *remote.Calls, amazon *aws.Platform, microsoft azure.Options, google gcp.Options, elsewhere bool) []store.Type {
	return []store.Type{
		vault.NewType(vault.Options{Tokens: tokens, Calls: calls}),
		awssecrets.NewType(amazon),
		awsparameters.NewType(amazon),
		awskms.NewType(amazon),
		azure.NewType(microsoft),
		gcp.NewType(google),
		sealed.NewType(sealed.Options{Elsewhere: elsewhere, KeyTypes: podKeyTypes(tokens, calls, amazon, google)}),
		file.NewType(),
	}
}

// engine is the provider's engine with what it stands on.
type localEngine struct {
	*engine.Engine
	// written is the configuration as it was given, files of the node included.
	written config.Config
	tokens  *kube.Tokens
	keys    *kube.Keys // of a provider that serves a cluster; else nil
	amazon  *aws.Platform
}

// serving is what an engine has that serves a cluster.
type serving struct {
	memoryTaken func(bytes int64)
}

// newEngine returns an engine with every dialect and store: one that serves a cluster,
// or with nil one of a command. Its error is a spec.Problems.
func newEngine(config config.Config, registry prometheus.Registerer, cluster *serving) (*localEngine, error) {
	return engineFor(config, registry, cluster, false)
}

// engineFor is newEngine. elsewhere says that the configuration is for another machine,
// whose files may be missing here.
func engineFor(config config.Config, registry prometheus.Registerer, cluster *serving, elsewhere bool) (*localEngine, error) {
	e := &localEngine{written: config}
	e.tokens = kube.New(kube.Options{Enabled: func() bool { return e.Engine.Config().Policy.TokenRequest }})
	calls := remote.NewCalls(config.Bounds.StoreCalls)
	mayRead := func() bool { return e.Engine.Config().Policy.ReadObjects }
	objects := e.tokens.Objects(mayRead)
	e.amazon = aws.New(aws.Options{Tokens: e.tokens, Calls: calls, Cluster: objects})
	google := gcp.Options{Tokens: e.tokens, Calls: calls, Cluster: objects, ClusterAllowed: mayRead}
	microsoft := azure.Options{Tokens: e.tokens, Calls: calls, Cluster: objects, ClusterAllowed: mayRead}
	options := engine.Options{
		Config: config, Dialects: dialects(e.dialectSettings), Types: storeTypes(e.tokens, calls, e.amazon, microsoft, google, elsewhere), Calls: calls, Metrics: registry,
		Once: cluster == nil,
	}
	if cluster != nil {
		e.keys = e.tokens.Keys()
		options.VersionKey, options.MemoryTaken = e.keys.Key, cluster.memoryTaken
	}
	var err error
	e.Engine, err = engine.New(options)
	if err != nil {
		e.amazon.Close()
		e.tokens.Close()
		return nil, err
	}
	return e, nil
}

// dialectSettings are the operator's in force.
func (e *localEngine) dialectSettings() config.Dialects { return e.Config().Dialects }

// loadEngine returns an engine under the configuration file, or under the
// defaults if path is empty. Then a person tries a class out, and its server may be on
// the person's own machine. A configuration that cannot be used is a usage
// error with the file's lines.
func loadEngine(path string) (*localEngine, error) {
	if path == "" {
		defaults := config.Default()
		defaults.Policy.ClassStores = append(defaults.Policy.ClassStores, "127.0.0.0/8", "::1")
		return newEngine(defaults, prometheus.NewRegistry(), nil)
	}
	file, err := config.Load(path)
	if err != nil {
		return nil, usageError{err}
	}
	e, err := newEngine(file.Config, prometheus.NewRegistry(), nil)
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

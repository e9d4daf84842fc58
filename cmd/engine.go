package cmd

import (
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/dialect"
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

// pins say how the classes of each dialect name versions.
var pins = map[string]dialect.Pin{
	lanyard.Name:      lanyard.Pin,
	vaultdialect.Name: vaultdialect.Pin,
	openbao.Name:      vaultdialect.Pin,
	awsdialect.Name:   awsdialect.Pin,
	gcpdialect.Name:   gcpdialect.Pin,
	azuredialect.Name: azuredialect.Pin,

	gcpdialect.AddOnName: gcpdialect.Pin,
}

// storeTypes are all kinds of store. A new one is one line here.
func storeTypes(tokens identity.TokenSource, calls *remote.Calls, amazon *aws.Platform, microsoft azure.Options, google gcp.Options, use local) []store.Type {
	return []store.Type{
		vault.NewType(vault.Options{Tokens: tokens, Calls: calls, RevokeLeases: use.revoke}),
		awssecrets.NewType(amazon),
		awsparameters.NewType(amazon),
		awskms.NewType(amazon),
		azure.NewType(microsoft),
		gcp.NewType(google),
		sealed.NewType(sealed.Options{Elsewhere: use.elsewhere, KeyTypes: podKeyTypes(tokens, calls, amazon, google)}),
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
	// withoutPods says that values are read for service accounts and not for pods.
	withoutPods bool
	telemetry
	kubeconfig string // the access to the API server; empty in a pod
}

// local is what an engine of a command has that works for a person.
type local struct {
	// elsewhere says that the configuration is for another machine, whose files may be
	// missing here.
	elsewhere bool
	// access is how the person reaches the API server, which gives tokens of service accounts that
	// need no pod; nil leaves it at the tokens that the request has.
	access *rest.Config
	// versionKey is a file with the installation's key of versions; empty leaves it to
	// the configuration.
	versionKey string
	// stays says that the engine mounts again and again, so that its log tells of stores
	// that go down and come back.
	stays bool
	// revoke has the leases of values end with the engine.
	revoke bool
	// telemetry is that of a command that serves a pod, or nothing.
	telemetry
}

// newEngine returns an engine with every dialect and store: one that serves a cluster,
// or with nil one of a command. Its error is a spec.Problems.
func newEngine(config config.Config, registry prometheus.Registerer, cluster *serving) (*localEngine, error) {
	return engineFor(config, registry, cluster, local{})
}

// engineFor is newEngine for a person.
func engineFor(config config.Config, registry prometheus.Registerer, cluster *serving, person local) (*localEngine, error) {
	if person.versionKey != "" {
		config.Cache.VersionKeyFile, config.Cache.VersionKeySecret = person.versionKey, ""
	}
	e := &localEngine{written: config}
	access := kube.Options{Passed: identity.PodTokens{FromFiles: cluster == nil}, Enabled: func() bool { return e.Engine.Config().Policy.TokenRequest }}
	if cluster != nil {
		access.WithoutPods = cluster.withoutPods
		if cluster.kubeconfig != "" {
			access.Config = func() (*rest.Config, error) { return clientcmd.BuildConfigFromFlags("", cluster.kubeconfig) }
		}
	}
	if person.access != nil {
		access.WithoutPods, access.Config = true, func() (*rest.Config, error) { return person.access, nil }
	}
	e.tokens = kube.New(access)
	calls := remote.NewCalls(config.Bounds.StoreCalls)
	mayRead := func() bool { return e.Engine.Config().Policy.ReadObjects }
	objects := e.tokens.Objects(mayRead)
	e.amazon = aws.New(aws.Options{Tokens: e.tokens, Calls: calls, Cluster: objects})
	google := gcp.Options{Tokens: e.tokens, Calls: calls, Cluster: objects, ClusterAllowed: mayRead}
	microsoft := azure.Options{Tokens: e.tokens, Calls: calls, Cluster: objects, ClusterAllowed: mayRead}
	options := engine.Options{
		Config: config, Dialects: dialects(e.dialectSettings), Types: storeTypes(e.tokens, calls, e.amazon, microsoft, google, person), Calls: calls, Metrics: registry,
		Once: cluster == nil && !person.stays, Audit: person.trail, Tracer: person.tracer,
	}
	if cluster != nil {
		e.keys = e.tokens.Keys()
		options.VersionKey, options.MemoryTaken, options.Cluster = e.keys.Key, cluster.memoryTaken, cluster.withoutPods
		options.Audit, options.Tracer = cluster.trail, cluster.tracer
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

// forOneself lets classes use servers of the machine or pod itself: who wrote the class
// runs the program, and reaches them anyway.
func forOneself(defaults config.Config) config.Config {
	defaults.Policy.ClassStores = append(defaults.Policy.ClassStores, "127.0.0.0/8", "::1")
	return defaults
}

// dialectSettings are the operator's in force.
func (e *localEngine) dialectSettings() config.Dialects { return e.Config().Dialects }

// loadEngine returns an engine under the configuration file, or under the
// defaults if path is empty. Then a person tries a class out, and its server may be on
// the person's own machine. A configuration that cannot be used is a usage
// error with the file's lines.
func loadEngine(path string) (*localEngine, error) { return loadEngineFor(path, local{}) }

func loadEngineFor(path string, person local) (*localEngine, error) {
	if path == "" {
		e, err := engineFor(forOneself(config.Default()), prometheus.NewRegistry(), nil, person)
		if err != nil {
			return nil, usageError{err}
		}
		return e, nil
	}
	file, err := config.Load(path)
	if err != nil {
		return nil, usageError{withStores(err)}
	}
	e, err := engineFor(file.Config, prometheus.NewRegistry(), nil, person)
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

package cmd

import (
	"context"
	"time"

	"github.com/spf13/pflag"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/manifest"
)

// addKubeconfig adds the flags that say which API server is meant.
func addKubeconfig(flags *pflag.FlagSet, kubeconfig, context *string) {
	flags.StringVar(kubeconfig, "kubeconfig", "", "`FILE` to reach the API server with; without it $KUBECONFIG, ~/.kube/config or the pod's own")
	flags.StringVar(context, "context", "", "`NAME` of the kubeconfig's context, if not its current one")
}

// apiServer is how kubectl would reach the API server.
func apiServer(kubeconfig, context, agent string) (*rest.Config, error) {
	config, err := kubeSettings(kubeconfig, context).ClientConfig()
	if err != nil {
		return nil, usagef("no API server is known: %w; name a kubeconfig with --kubeconfig, where the command has it, or $KUBECONFIG", err)
	}
	config.UserAgent = agent + "/" + thisBuild().Version
	return config, nil
}

// kubeSettings are the settings that kubectl would take.
func kubeSettings(kubeconfig, context string) clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: context})
}

// listPage is how many objects are listed at a time, and listTime how long the API server
// may take for them: one that accepts connections and says nothing keeps nobody waiting.
const (
	listPage = 500
	listTime = time.Minute
)

// What history and status read in a cluster. docs/operations.md and docs/status.md have the
// roles that allow it.
var (
	classResource  = schema.GroupVersionResource{Group: manifest.Group, Version: "v1", Resource: "secretproviderclasses"}
	statusResource = schema.GroupVersionResource{Group: manifest.Group, Version: "v1", Resource: "secretproviderclasspodstatuses"}
	secretResource = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	syncResource   = schema.GroupVersionResource{Group: "secret-sync.x-k8s.io", Version: "v1alpha1", Resource: "secretsyncs"}
)

// clusterClient reads a cluster as a person may.
type clusterClient struct {
	config  *rest.Config
	objects dynamic.Interface
	// metadata lists Secrets without their values.
	metadata metadata.Interface
}

func openCluster(kubeconfig, context, agent string) (*clusterClient, error) {
	config, err := apiServer(kubeconfig, context, agent)
	if err != nil {
		return nil, err
	}
	config.Timeout = listTime
	config.QPS, config.Burst = 50, 100 // as kubectl; client-go's own 5 are a controller's
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, usageError{err}
	}
	alone, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, usageError{err}
	}
	return &clusterClient{config: config, objects: objects, metadata: alone}, nil
}

// eachPage lists page by page, and hands on each before it reads the next one.
func eachPage[L interface{ GetContinue() string }](ctx context.Context, list func(context.Context, meta.ListOptions) (L, error), use func(L) error) error {
	options := meta.ListOptions{Limit: listPage}
	for {
		page, err := list(ctx, options)
		if err != nil {
			return err
		}
		if err := use(page); err != nil {
			return err
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return nil
		}
	}
}

// inNamespace says where, in a message; nothing for the whole cluster.
func inNamespace(namespace string) string {
	if namespace == "" {
		return ""
	}
	return " in namespace " + message.Printable(namespace)
}

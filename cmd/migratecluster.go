package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	jsonyaml "sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/provider/manifest"
)

// addKubeconfig adds the flags that say which API server is meant.
func addKubeconfig(flags *pflag.FlagSet, kubeconfig, context *string) {
	flags.StringVar(kubeconfig, "kubeconfig", "", "`FILE` to reach the API server with; without it $KUBECONFIG, ~/.kube/config or the pod's own")
	flags.StringVar(context, "context", "", "`NAME` of the kubeconfig's context, if not its current one")
}

// apiServer is how kubectl would reach the API server.
func apiServer(kubeconfig, context, agent string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: context}).ClientConfig()
	if err != nil {
		return nil, usagef("no API server is known: %w; name a kubeconfig with --kubeconfig", err)
	}
	config.UserAgent = agent + "/" + thisBuild().Version
	return config, nil
}

// readResources are what migrate plan lists in a cluster, and all that it does there.
// docs/install.md has the role that allows it.
var readResources = []schema.GroupVersionResource{
	{Group: "apps", Version: "v1", Resource: "daemonsets"},
	{Group: "storage.k8s.io", Version: "v1", Resource: "csidrivers"},
	{Group: manifest.Group, Version: "v1", Resource: "secretproviderclasses"},
	{Group: "apps", Version: "v1", Resource: "deployments"},
	{Group: "apps", Version: "v1", Resource: "statefulsets"},
	{Group: "batch", Version: "v1", Resource: "cronjobs"},
	{Version: "v1", Resource: "pods"},
}

// listPage is how many objects are listed at a time.
const listPage = 500

// readCluster reads the objects of a cluster. All that cannot be listed is told at once.
func (in *installed) readCluster(c *cobra.Command, kubeconfig, context string) error {
	config, err := apiServer(kubeconfig, context, "lanyard-migrate")
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return usageError{err}
	}
	bar := newProgressBar(c.ErrOrStderr())
	defer bar.end()
	var problems []error
	for _, resource := range readResources {
		read := 0
		err := in.list(c.Context(), client, resource, func(more int, left int64) {
			read += more
			bar.later(2*time.Second, resource.Resource, read, read+int(left))
		})
		// Without its definition there is no object of the kind.
		if err != nil && !apierrors.IsNotFound(err) {
			problems = append(problems, fmt.Errorf("%s cannot be listed: %w", resource.GroupResource(), err))
		}
	}
	return errors.Join(problems...)
}

// list takes in the objects of a resource.
func (in *installed) list(ctx context.Context, client dynamic.Interface, resource schema.GroupVersionResource, progress func(more int, left int64)) error {
	options := meta.ListOptions{Limit: listPage}
	for {
		page, err := client.Resource(resource).List(ctx, options)
		if err != nil {
			return err
		}
		for i := range page.Items {
			if err := in.object(&page.Items[i]); err != nil {
				return err
			}
		}
		left := int64(0)
		if n := page.GetRemainingItemCount(); n != nil {
			left = *n
		}
		progress(len(page.Items), left)
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return nil
		}
	}
}

// object takes in an object of a cluster.
func (in *installed) object(object *unstructured.Unstructured) error {
	if object.GetKind() == manifest.Kind {
		object.SetManagedFields(nil)
		text, err := jsonyaml.Marshal(object.Object)
		if err != nil {
			return err
		}
		return in.text(manifest.Input{Text: text})
	}
	return in.Add(object.GetKind(), func(target any) error {
		text, err := json.Marshal(object.Object)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, target)
	})
}

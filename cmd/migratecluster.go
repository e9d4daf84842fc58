package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	jsonyaml "sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/provider/manifest"
)

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

// readCluster reads the objects of a cluster. All that cannot be listed is told at once.
func (in *installed) readCluster(c *cobra.Command, kubeconfig, context string) error {
	config, err := apiServer(kubeconfig, context, "lanyard-migrate")
	if err != nil {
		return err
	}
	config.Timeout = listTime
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return usageError{err}
	}
	bar := newProgressBar(c.ErrOrStderr())
	defer bar.end()
	var problems []error
	forbidden := false
	for _, resource := range readResources {
		read := 0
		err := in.list(c.Context(), client, resource, func(more int, left int64) {
			read += more
			bar.later(resource.Resource, read, read+int(left))
		})
		// Without its definition there is no object of the kind.
		if err == nil || apierrors.IsNotFound(err) {
			continue
		}
		if c.Context().Err() != nil {
			return errors.New("interrupted; nothing was written")
		}
		err = fmt.Errorf("%s cannot be listed: %w", resource.GroupResource(), err)
		var answer apierrors.APIStatus
		if !errors.As(err, &answer) {
			return err // no API server answers, whatever is listed
		}
		problems = append(problems, err)
		forbidden = forbidden || apierrors.IsForbidden(err)
	}
	if forbidden {
		problems = append(problems, errors.New("docs/install.md has a ClusterRole with the rights that are needed; or give what somebody else has listed with --file"))
	}
	return errors.Join(problems...)
}

// list takes in the objects of a resource.
func (in *installed) list(ctx context.Context, client dynamic.Interface, resource schema.GroupVersionResource, progress func(more int, left int64)) error {
	return eachPage(ctx, func(ctx context.Context, options meta.ListOptions) (*unstructured.UnstructuredList, error) {
		return client.Resource(resource).List(ctx, options)
	}, func(page *unstructured.UnstructuredList) error {
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
		return nil
	})
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

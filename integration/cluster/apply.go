package cluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

// applyPatience is how long the API server may take to serve a resource that
// was defined just before.
const applyPatience = 20 * time.Second

// Apply creates or changes the objects of a YAML text, as kubectl apply
// --server-side does.
func (c *Cluster) Apply(ctx context.Context, manifests []byte) error {
	return c.ApplyIn(ctx, metav1.NamespaceDefault, manifests)
}

// ApplyIn is Apply with a namespace for the objects that name none.
func (c *Cluster) ApplyIn(ctx context.Context, namespace string, manifests []byte) error {
	config, err := c.Config()
	if err != nil {
		return err
	}
	typed, err := c.Client()
	if err != nil {
		return err
	}
	objects, err := parse(manifests)
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(typed.Discovery()))
	for _, object := range objects {
		if err := apply(ctx, client, mapper, namespace, object); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// parse reads the objects of a YAML text.
func parse(manifests []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(manifests)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

func apply(ctx context.Context, client dynamic.Interface, mapper *restmapper.DeferredDiscoveryRESTMapper, namespace string, object *unstructured.Unstructured) error {
	ctx, cancel := context.WithTimeout(ctx, applyPatience)
	defer cancel()
	for {
		err := applyOnce(ctx, client, mapper, namespace, object)
		if !meta.IsNoMatchError(err) && !apierrors.IsNotFound(err) {
			return err
		}
		mapper.Reset()
		if pause(ctx, 200*time.Millisecond) != nil {
			return err
		}
	}
}

func applyOnce(ctx context.Context, client dynamic.Interface, mapper meta.RESTMapper, namespace string, object *unstructured.Unstructured) error {
	kind := object.GroupVersionKind()
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	resource := dynamic.ResourceInterface(client.Resource(mapping.Resource))
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		if object.GetNamespace() != "" {
			namespace = object.GetNamespace()
		}
		resource = client.Resource(mapping.Resource).Namespace(namespace)
	}
	_, err = resource.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: "lanyard-cluster", Force: true})
	return err
}

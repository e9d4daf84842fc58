package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	jsonyaml "sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/manifest"
)

// What the sync controller notes on Secrets; package server/sync, which says so, is not
// in this program.
const (
	syncOwnerLabel         = "lanyard.dev/synced-from"
	syncVersionsAnnotation = "lanyard.dev/versions"
	syncKind               = "SecretSync"
)

// class reads a class.
func (h *clusterClient) class(ctx context.Context, namespace, name string) (classManifest, error) {
	object, err := h.objects.Resource(classResource).Namespace(namespace).Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return classManifest{}, fmt.Errorf("class %s/%s cannot be read: %w", message.Printable(namespace), message.Printable(name), err)
	}
	object.SetManagedFields(nil)
	text, err := jsonyaml.Marshal(object.Object)
	if err != nil {
		return classManifest{}, err
	}
	var documents []*yaml.Node
	if documents, err = manifest.Documents(text); err != nil {
		return classManifest{}, err
	}
	classes := manifest.Classes(documents)
	chosen, err := manifest.Choose(classes, name)
	if err != nil {
		return classManifest{}, err
	}
	parameters, err := classes[chosen].Parameters()
	if err != nil {
		return classManifest{}, fmt.Errorf("class %s/%s: %w", message.Printable(namespace), message.Printable(name), err)
	}
	return classManifest{name: name, namespace: namespace, provider: classes[chosen].Provider(), parameters: parameters}, nil
}

// holder is a pod or a Secret with the versions that it shows: of a pod by object, of a
// Secret by file.
type holder struct {
	name     string
	isSecret bool
	versions map[string]string
}

// podStatus is what the driver says of a pod's volume.
// https://github.com/kubernetes-sigs/secrets-store-csi-driver/blob/v1.6.0/apis/v1/secretproviderclasspodstatus_types.go
type podStatus struct {
	Status struct {
		PodName string `json:"podName"`
		Class   string `json:"secretProviderClassName"`
		Mounted bool   `json:"mounted"`
		Objects []struct {
			ID      string `json:"id"`
			Version string `json:"version"`
		} `json:"objects"`
	} `json:"status"`
}

// holders are the pods that mount a class, and the Secrets that are written of it: those
// that can be listed, with an error of the others. Without the driver's definitions no pod
// mounts anything.
func (h *clusterClient) holders(ctx context.Context, namespace, class string) ([]holder, error) {
	var found []holder
	err := eachPage(ctx, func(ctx context.Context, options meta.ListOptions) (*unstructured.UnstructuredList, error) {
		return h.objects.Resource(statusResource).Namespace(namespace).List(ctx, options)
	}, func(page *unstructured.UnstructuredList) error {
		for i := range page.Items {
			var status podStatus
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(page.Items[i].Object, &status); err != nil || status.Status.Class != class {
				continue
			}
			pod := holder{name: status.Status.PodName, versions: map[string]string{}}
			for _, object := range status.Status.Objects {
				pod.versions[object.ID] = object.Version
			}
			found = append(found, pod)
		}
		return nil
	})
	var problems []error
	if err != nil && !apierrors.IsNotFound(err) {
		problems = append(problems, fmt.Errorf("%s%s cannot be listed: %w", statusResource.Resource, inNamespace(namespace), err))
	}
	secrets, err := h.secrets(ctx, namespace, class)
	return append(found, secrets...), errors.Join(append(problems, err)...)
}

// secrets are those that the sync controller has written of a class.
func (h *clusterClient) secrets(ctx context.Context, namespace, class string) ([]holder, error) {
	var syncs map[string]string // classes by the name of the SecretSync
	var found []holder
	take := func(secret *meta.PartialObjectMetadata) (err error) {
		one := holder{name: secret.Name, isSecret: true}
		if json.Unmarshal([]byte(secret.Annotations[syncVersionsAnnotation]), &one.versions) != nil {
			return nil //nolint:nilerr // somebody has changed it
		}
		for _, owner := range secret.OwnerReferences {
			of := owner.Name
			if owner.Kind == syncKind {
				if syncs == nil {
					if syncs, err = h.secretSyncs(ctx, namespace); err != nil {
						return err
					}
				}
				of = syncs[owner.Name]
			}
			if (owner.Kind == syncKind || owner.Kind == manifest.Kind) && of == class {
				found = append(found, one)
			}
		}
		return nil
	}
	return found, h.eachSecret(ctx, namespace, take)
}

// eachSecret hands on the metadata of the Secrets that the sync controller has written.
func (h *clusterClient) eachSecret(ctx context.Context, namespace string, take func(*meta.PartialObjectMetadata) error) error {
	return eachPage(ctx, func(ctx context.Context, options meta.ListOptions) (*meta.PartialObjectMetadataList, error) {
		options.LabelSelector = syncOwnerLabel
		list, err := h.metadata.Resource(secretResource).Namespace(namespace).List(ctx, options)
		if err != nil {
			err = fmt.Errorf("secrets%s cannot be listed (their metadata alone is asked for): %w", inNamespace(namespace), err)
		}
		return list, err
	}, func(page *meta.PartialObjectMetadataList) error {
		for i := range page.Items {
			if err := take(&page.Items[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// secretSyncs are the names of classes by those of the SecretSyncs that name them.
func (h *clusterClient) secretSyncs(ctx context.Context, namespace string) (map[string]string, error) {
	classes := map[string]string{}
	err := eachPage(ctx, func(ctx context.Context, options meta.ListOptions) (*unstructured.UnstructuredList, error) {
		return h.objects.Resource(syncResource).Namespace(namespace).List(ctx, options)
	}, func(page *unstructured.UnstructuredList) error {
		for i := range page.Items {
			name, _, _ := unstructured.NestedString(page.Items[i].Object, "spec", "secretProviderClassName") //nolint:errcheck // what is no text names no class
			classes[page.Items[i].GetName()] = name
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s%s cannot be listed: %w", syncResource.Resource, inNamespace(namespace), err)
	}
	return classes, nil
}

package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Resource is a resource that can be listed and patched.
type Resource struct{ schema.GroupVersionResource }

// String is the resource as the EncryptionConfiguration names it: secrets,
// deployments.apps.
func (r Resource) String() string { return r.GroupResource().String() }

// Resolve finds the resources that an EncryptionConfiguration names: secrets,
// deployments.apps, *.apps, *. for the core group, or *.* for all. The error
// reports every name that the API server does not serve so that it can be
// rewritten. A wildcard leaves out what cannot be listed and patched, of which
// nothing is stored.
func Resolve(ctx context.Context, server *Server, names []string) ([]Resource, error) {
	lists, away, err := server.resources(ctx)
	if err != nil {
		return nil, fmt.Errorf("the API server does not list its resources: %w", err)
	}
	served := rewritable(lists)
	found := map[string]Resource{}
	var problems []error
	for _, name := range names {
		matched := false
		for _, resource := range served {
			if matches(name, resource) {
				matched = true
				stored := storedAs(resource, served)
				found[stored.String()] = stored
			}
		}
		if !matched {
			problems = append(problems, fmt.Errorf("%s: the API server serves no such resource that can be listed and patched", name))
		}
	}
	if len(away) > 0 {
		// Behind an aggregated API that is away may be what a wildcard means.
		problems = append(problems, fmt.Errorf("not all groups of the API server answer: %w", errors.Join(away...)))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return slices.SortedFunc(maps.Values(found), func(a, b Resource) int { return cmp.Compare(a.String(), b.String()) }), nil
}

// storedAs is the resource under whose name the API server stores, encrypts and
// counts a resource. Events are served by two groups and stored once; see
// AddCohabitatingResources in k8s.io/kubernetes/pkg/kubeapiserver/default_storage_factory_builder.go,
// whose other pairs are not served any more.
func storedAs(resource Resource, served []Resource) Resource {
	if resource.Resource != "events" || resource.Group != "events.k8s.io" {
		return resource
	}
	for _, other := range served {
		if other.Resource == resource.Resource && other.Group == "" {
			return other
		}
	}
	return resource
}

// rewritable are the resources that can be listed and patched.
func rewritable(lists []v1.APIResourceList) []Resource {
	var all []Resource
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue // what the server calls a version is not for us to judge
		}
		for _, one := range list.APIResources {
			if slices.Contains(one.Verbs, "list") && slices.Contains(one.Verbs, "patch") && !strings.Contains(one.Name, "/") {
				all = append(all, Resource{version.WithResource(one.Name)})
			}
		}
	}
	return all
}

// matches follows the rules of the EncryptionConfiguration:
// https://kubernetes.io/docs/reference/config-api/apiserver-config.v1/#apiserver-config-k8s-io-v1-ResourceConfiguration
func matches(name string, resource Resource) bool {
	switch {
	case name == "*.*":
		return true
	case strings.HasPrefix(name, "*."):
		return resource.Group == strings.TrimPrefix(name, "*.")
	}
	want := schema.ParseGroupResource(name)
	return want.Resource == resource.Resource && want.Group == resource.Group
}

package cmd

import (
	"context"
	"maps"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lanyardhq/lanyard/internal/message"
)

// providerPod is a pod of Lanyard's own that has a status page.
type providerPod struct {
	named
	node    string
	program string // serve, sync or kms
	port    int
}

// What marks a release: the chart makes ClusterRoleBindings with the label that name the
// release's service accounts. Tenants can label pods, and make DaemonSets in their
// namespaces, but nothing that is not in one.
const (
	markSelector   = partOfLanyard
	markNamespaces = 8 // releases, of which one is chosen without --release-namespace
)

// releasePods finds the pods of one release: those in its namespace.
func (h *clusterClient) releasePods(ctx context.Context, query clusterQuery, s *clusterState, progress progressFunc) error {
	namespaces := []string{query.release}
	if query.release == "" {
		var err error
		if namespaces, err = h.marked(ctx, s, progress); err != nil || s.hidden {
			return err
		}
	}
	for _, namespace := range namespaces {
		unread, err := h.lanyardPods(ctx, namespace, query, s, "", progress)
		if err != nil {
			return err
		}
		s.hidden = s.hidden || unread
	}
	found := map[string]bool{}
	for _, pod := range s.providers {
		found[pod.namespace] = true
	}
	if len(found) > 1 {
		return severalReleases(slices.Sorted(maps.Keys(found)))
	}
	if !query.filter.wholeCluster() || slices.Contains(namespaces, kmsNamespace) {
		return nil
	}
	_, err := h.lanyardPods(ctx, kmsNamespace, query, s, programKMS, progress)
	return err
}

// kmsNamespace is where the static pods of the KMS plugin are. Only who administers the
// cluster makes pods there.
const kmsNamespace = "kube-system"

// lanyardPods finds Lanyard's pods in a namespace: those of one program, or of all. unread
// says that they could not be read, which is told.
func (h *clusterClient) lanyardPods(ctx context.Context, namespace string, query clusterQuery, s *clusterState, program string, progress progressFunc) (unread bool, _ error) {
	text, err := h.read(ctx, clusterList{resource: podResource, namespace: namespace, options: meta.ListOptions{LabelSelector: query.selector}, take: func(o *unstructured.Unstructured) {
		s.takeProvider(o, program)
	}}, progress)
	if text != "" {
		s.notRead = append(s.notRead, text)
	}
	return text != "", err
}

// marked are the namespaces that marks name. Without one no pod is believed to be Lanyard's.
func (h *clusterClient) marked(ctx context.Context, s *clusterState, progress progressFunc) ([]string, error) {
	found := map[string]bool{}
	unread, err := h.read(ctx, clusterList{resource: bindingResource, options: meta.ListOptions{LabelSelector: markSelector}, take: func(o *unstructured.Unstructured) {
		binding := into[rbac.ClusterRoleBinding](o)
		for _, namespace := range markedNamespaces(&binding) {
			found[namespace] = true
		}
	}}, progress)
	namespaces := slices.Sorted(maps.Keys(found))
	switch {
	case err != nil:
		return nil, err
	case unread == "" && len(found) == 0:
		unread = "no ClusterRoleBinding of Lanyard's chart was found"
	case len(found) > markNamespaces:
		return nil, severalReleases(namespaces)
	}
	if unread != "" {
		s.hidden = true
		s.notRead = append(s.notRead, unread+"; no provider was asked: name the namespace that Lanyard is installed in with --release-namespace")
	}
	return namespaces, nil
}

// markedNamespaces are those of the service accounts that a mark names.
func markedNamespaces(mark *rbac.ClusterRoleBinding) (namespaces []string) {
	for _, subject := range mark.Subjects {
		if subject.Kind == rbac.ServiceAccountKind && subject.Namespace != "" {
			namespaces = append(namespaces, subject.Namespace)
		}
	}
	return namespaces
}

func severalReleases(namespaces []string) error {
	return usagef("Lanyard is installed in several namespaces: %s; name one with --release-namespace", message.Names(namespaces, message.Printable))
}

// adminPort is the name of the port in the chart's pods at which the status page is.
const adminPort = "admin"

// takeProvider takes a pod of Lanyard: of one program, or of any.
func (s *clusterState) takeProvider(o *unstructured.Unstructured, program string) {
	pod := into[core.Pod](o)
	if pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed {
		return
	}
	found := providerPod{named: nameOf(o), node: pod.Spec.NodeName}
	for i := range pod.Spec.Containers {
		container := &pod.Spec.Containers[i]
		port, runs := statusPort(container)
		if program != "" && runs != program {
			continue
		}
		if port > 0 {
			found.port, found.program = port, runs
		}
		for _, arg := range container.Args {
			if names, ok := strings.CutPrefix(arg, "--dialects="); ok {
				for name := range strings.SplitSeq(names, ",") {
					s.dialects[name] = true
				}
			}
		}
	}
	if found.port > 0 {
		s.providers = append(s.providers, found)
	}
}

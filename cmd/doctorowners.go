package cmd

import (
	"context"
	"path"
	"slices"

	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/lanyardhq/lanyard/internal/message"
)

// Labels and names are anybody's to give: a tenant can make a DaemonSet that looks like
// Lanyard's or the driver's. doctor takes one for what it looks like where something says so
// that tenants cannot make: the operator's flag, an object of the whole cluster, or a pod
// that has been let in with a directory of its node.

// doctorInstallers are the DaemonSets that are taken for a release or for the driver.
type doctorInstallers struct {
	// namespace is what the operator named; empty for none.
	namespace string
	taken     []doctorWorkload
	others    []doctorWorkload // which nothing speaks for
}

// maxInstallers is how many namespaces are asked for pods.
const maxInstallers = 50

// findInstallers judges the DaemonSets that look like a release or the driver.
func (r *clusterReader) findInstallers(ctx context.Context, c *doctorCluster) {
	requests := 0
	judge := func(of *doctorInstallers, set *doctorWorkload, spoken []string) {
		namespace := set.Metadata.Namespace
		switch {
		case of.namespace != "" && of.namespace != namespace:
			return // the operator has said which
		case of.namespace == namespace, slices.Contains(spoken, namespace):
			of.taken = append(of.taken, *set)
			return
		}
		if requests++; requests <= maxInstallers && r.holdsNode(ctx, set) {
			of.taken = append(of.taken, *set)
			return
		}
		of.others = append(of.others, *set)
	}
	releases, drivers := c.namespacesOfReleases(), c.namespacesOfDriver()
	for _, set := range listed[doctorWorkload](c, "daemonsets") {
		switch {
		case set.isProvider():
			judge(&c.installed, &set, releases)
		case set.isDriver():
			judge(&c.driver, &set, drivers)
		}
	}
}

// namespacesOfReleases are those that marks name; see markSelector.
func (c *doctorCluster) namespacesOfReleases() (found []string) {
	for _, binding := range listed[rbac.ClusterRoleBinding](c, "clusterrolebindings") {
		found = append(found, markedNamespaces(&binding)...)
	}
	return found
}

// helmNamespace is the annotation in which helm writes the release's namespace.
const helmNamespace = "meta.helm.sh/release-namespace"

// namespacesOfDriver are where the driver's release is, and where the cluster has its own.
func (c *doctorCluster) namespacesOfDriver() []string {
	found := []string{"kube-system"}
	if object := c.driverObject(); object != nil {
		found = append(found, object.Metadata.Annotations[helmNamespace])
	}
	return found
}

// holdsNode says that a DaemonSet has a pod with the directory of its node that it mounts.
// The API server lets no pod in with one where tenants may not have the node.
func (r *clusterReader) holdsNode(ctx context.Context, set *doctorWorkload) bool {
	directories := hostDirectories(&set.Spec.Template.Spec)
	ctx, cancel := context.WithTimeout(ctx, r.within)
	defer cancel()
	page, err := r.objects.Resource(podResource).Namespace(set.Metadata.Namespace).List(ctx, meta.ListOptions{LabelSelector: set.selector(), Limit: 20})
	if err != nil {
		return false
	}
	return slices.ContainsFunc(page.Items, func(item unstructured.Unstructured) bool {
		var pod doctorPod
		return runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &pod) == nil && pod.Spec.NodeName != "" &&
			slices.ContainsFunc(hostDirectories(&pod.Spec), func(directory string) bool { return slices.Contains(directories, directory) })
	})
}

func hostDirectories(spec *doctorPodSpec) (found []string) {
	for _, volume := range spec.Volumes {
		if volume.HostPath != nil {
			found = append(found, path.Clean(volume.HostPath.Path))
		}
	}
	return found
}

// warnOthers warns of DaemonSets that look like an installation and that nothing speaks for.
func (of *doctorInstallers) warnOthers(n *doctorNotes, what string, fix doctorFix) {
	if len(of.others) == 0 {
		return
	}
	names := message.Names(of.others, func(set doctorWorkload) string { return message.Printable(set.name()) })
	n.warn("", fix, "not looked at, because nothing that tenants cannot make says that it is %s: %s", what, names)
}

package cmd

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/lanyardhq/lanyard/internal/message"
)

// clusterChecks are the checks of a cluster.
var clusterChecks = []doctorCheck[*doctorCluster]{
	{"api-server", "whether the API server answers, and its clock", (*doctorCluster).checkServer},
	{"versions", "Kubernetes, the driver and Lanyard against the support matrix", (*doctorCluster).checkVersions},
	{"csidriver", "the CSIDriver object of the Secrets Store CSI driver", (*doctorCluster).checkDriverObject},
	{"token-requests", "the audiences of pods' tokens that the driver passes on, against those that stores and classes need", (*doctorCluster).checkTokens},
	{"rotation", "whether the driver asks for changed values", (*doctorCluster).checkRotation},
	{"driver", "the driver's pods", (*doctorCluster).checkDriver},
	{"socket-directory", "where the provider makes its sockets, against where the driver looks", (*doctorCluster).checkDirectory},
	{"provider", "the provider's pods, one on each node that has the driver", (*doctorCluster).checkProvider},
	{"node-clocks", "the clock of each node against the API server's", (*doctorCluster).checkNodeClocks},
	{"cluster-configuration", "the configuration in the ConfigMap", (*doctorCluster).checkConfiguration},
	{"mounted-files", "the Secrets that hold key rings and other files, and where the configuration looks for them", (*doctorCluster).checkMounted},
	{"rights", "what the service accounts of Lanyard may do, by the API server's own review", (*doctorCluster).checkRights},
	{"admission-policies", "the admission policies of the release", (*doctorCluster).checkPolicies},
	{"sync-controller", "the controller that writes Secrets", (*doctorCluster).checkSync},
	{"webhook", "the webhook that changes pods, and its certificate", (*doctorCluster).checkWebhook},
	{"stores", "the stores, as each node's provider last found them", (*doctorCluster).checkStores},
	{"cluster-classes", "every class of Lanyard's, under the configuration", (*doctorCluster).checkClasses},
	{"pods", "pods that wait for their secrets, with what the provider says of each", (*doctorCluster).checkPods},
}

// needs says that lists cannot be used by a check: they could not be read.
func (c *doctorCluster) needs(n *doctorNotes, lists ...string) bool {
	if c.unreachable != nil {
		n.unknown("", noFix, "not looked at: the API server does not answer (api-server)")
		return false
	}
	for _, list := range lists {
		if err := c.unlisted(list); err != nil {
			n.unknown("", fixWith("docs/doctor.md has the ClusterRole with the rights that doctor needs"), "%s cannot be listed: %v", list, err)
			return false
		}
	}
	return true
}

// each calls look for each release.
func (c *doctorCluster) each(n *doctorNotes, lists []string, look func(r *doctorRelease)) {
	if !c.needs(n, append([]string{"daemonsets"}, lists...)...) {
		return
	}
	if len(c.releases) == 0 {
		n.unknown("", noFix, "not looked at: no installation of Lanyard's is known (provider)")
	}
	for _, release := range c.releases {
		look(release)
	}
}

// name is where the release is, for whoever has to find it.
func (r *doctorRelease) name() string { return r.provider.Metadata.Namespace + "/" + r.helm() }

func (r *doctorRelease) helm() string {
	return r.provider.Metadata.Labels["app.kubernetes.io/instance"]
}

func (r *doctorRelease) upgrade(values string) doctorFix {
	return fixWith("helm upgrade %s -n %s --reuse-values --set %s", r.helm(), r.provider.Metadata.Namespace, values)
}

func (c *doctorCluster) checkServer(_ context.Context, n *doctorNotes) {
	if c.unreachable != nil {
		n.fail("", fixWith("kubectl cluster-info"), "the API server %s does not answer: %v", c.server, c.unreachable)
		return
	}
	n.ok("", "%s answers, Kubernetes %s", c.server, message.Printable(c.version))
	if !c.date.IsZero() {
		reportSkew(n, "", c.at.Sub(c.date), "this machine", "the API server")
	}
}

var installLanyard = fixWith("helm install lanyard oci://ghcr.io/lanyardhq/charts/lanyard -n lanyard --create-namespace; docs/install.md")

func (c *doctorCluster) checkProvider(_ context.Context, n *doctorNotes) {
	if !c.needs(n, "daemonsets", "csinodes") {
		return
	}
	c.installed.warnOthers(n, "Lanyard", fixWith("give --release-namespace if one is"))
	switch {
	case len(c.releases) == 0 && len(c.installed.others) > 0:
		n.unknown("", fixWith("give --release-namespace, the namespace that Lanyard is installed in"), "whether Lanyard is installed is not known")
		return
	case len(c.releases) == 0 && c.installed.namespace != "":
		n.fail("", installLanyard, "no DaemonSet with the label %s is in namespace %s: Lanyard is not installed there", partOfLanyard, c.installed.namespace)
		return
	case len(c.releases) == 0:
		n.fail("", installLanyard, "no DaemonSet with the label %s is in the cluster: Lanyard is not installed", partOfLanyard)
		return
	}
	on := map[string]bool{}
	for _, r := range c.releases {
		if r.podsErr != nil {
			n.unknown(r.name(), noFix, "its pods cannot be listed: %v", r.podsErr)
			return
		}
		for _, pod := range r.pods["provider"] {
			place := "node " + pod.Spec.NodeName
			on[pod.Spec.NodeName] = true
			if ready, why := pod.ready(); !ready {
				n.fail(place, fixWith("kubectl describe pod %s -n %s; kubectl logs %s -n %s --previous", pod.Metadata.Name, pod.Metadata.Namespace, pod.Metadata.Name, pod.Metadata.Namespace), "pod %s is not ready: %s", pod.Metadata.Name, why)
				continue
			}
			n.ok(place, "pod %s is ready", pod.Metadata.Name)
		}
	}
	for _, node := range c.driverNodes() {
		if !on[node] {
			n.fail("node "+node, fixWith("kubectl get daemonset -A -l %s -o wide, and give the chart tolerations and a nodeSelector that fit the node", partOfLanyard), "the driver is there and no provider: pods with classes of Lanyard's do not start on it")
		}
	}
}

func (c *doctorCluster) checkConfiguration(_ context.Context, n *doctorNotes) {
	c.each(n, []string{"configmaps"}, func(r *doctorRelease) {
		where := r.provider.Metadata.Namespace + "/" + r.configName
		switch {
		case r.unread != nil:
			n.fail(r.name(), r.upgrade("config=..."), "%v", r.unread)
		case len(r.problems) > 0:
			for _, problem := range r.problems {
				n.fail("ConfigMap "+where, fixWith("kubectl get configmap %s -n %s -o jsonpath='{.data.lanyard\\.yaml}' >lanyard.yaml; lanyard check --config lanyard.yaml; fix the chart's value config", r.configName, r.provider.Metadata.Namespace), "%s", problem)
			}
		default:
			n.ok("ConfigMap "+where, "it has no problems")
		}
		for _, pod := range slices.Sorted(maps.Keys(r.metrics)) {
			if value, ok := metric(r.metrics[pod].text, "lanyard_config_last_reload_successful"); ok && value == 0 {
				n.fail("pod "+pod, fixWith("kubectl logs %s -n %s", pod, r.provider.Metadata.Namespace), "it goes on with an earlier configuration, because it could not use the newest")
			}
		}
	})
}

// filesBelow are where the chart mounts Secrets and ConfigMaps.
const (
	secretsBelow = "/etc/lanyard/secrets/"
	filesBelow   = "/etc/lanyard/files/"
)

func (c *doctorCluster) checkMounted(_ context.Context, n *doctorNotes) {
	c.each(n, nil, func(r *doctorRelease) {
		mounted := map[string]bool{}
		namespace := r.provider.Metadata.Namespace
		for _, volume := range r.provider.Spec.Template.Spec.Volumes {
			if volume.Secret != nil {
				mounted[secretsBelow+volume.Secret.Name] = true
			}
			if volume.ConfigMap != nil {
				mounted[filesBelow+volume.ConfigMap.Name] = true
			}
			if volume.HostPath != nil {
				mounted[path.Clean(volume.HostPath.Path)] = true
			}
		}
		for _, name := range slices.Sorted(maps.Keys(r.secrets)) {
			switch err := r.secrets[name]; {
			case err == nil:
				n.ok("Secret "+name, "it is in namespace %s", namespace)
			case apierrors.IsNotFound(err):
				n.fail("Secret "+name, fixWith("kubectl create secret generic %s -n %s --from-file=FILE", name, namespace), "the provider mounts it and namespace %s does not have it: the provider's pods do not start", namespace)
			default:
				n.unknown("Secret "+name, noFix, "whether it is there is not known: %v", err)
			}
		}
		if r.settings == nil {
			n.unknown(r.name(), noFix, "not looked at: the configuration cannot be used (cluster-configuration)")
			return
		}
		files := (&doctorNode{written: *r.settings}).files()
		for _, name := range slices.Sorted(maps.Keys(r.settings.Stores)) {
			if root, ok := r.settings.Stores[name].Fields["root"].(string); ok && r.settings.Stores[name].Type == "file" {
				files = append(files, doctorFile{setting: "stores." + name + ".root", path: root})
			}
		}
		for _, file := range files {
			if isBelow(mounted, file.path) {
				n.ok(file.setting, "%s is below what is mounted", file.path)
				continue
			}
			fix := r.upgrade("hostDirectories={" + helmValue(file.path) + "}")
			if rest, ok := strings.CutPrefix(file.path, secretsBelow); ok {
				name, _, _ := strings.Cut(rest, "/")
				fix = r.upgrade("secrets={" + helmValue(name) + "}")
			} else if rest, ok := strings.CutPrefix(file.path, filesBelow); ok {
				name, _, _ := strings.Cut(rest, "/")
				fix = r.upgrade("configMaps={" + helmValue(name) + "}")
			}
			n.fail(file.setting, fix, "%s is not mounted in the provider's pods", file.path)
		}
		if len(files) == 0 && len(r.secrets) == 0 {
			n.ok(r.name(), "the configuration names no files")
		}
	})
}

// isBelow says whether a path is one of the directories, or below one.
func isBelow(directories map[string]bool, file string) bool {
	for file = path.Clean(file); file != "/" && file != "."; file = path.Dir(file) {
		if directories[file] {
			return true
		}
	}
	return false
}

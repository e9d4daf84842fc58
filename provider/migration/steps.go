package migration

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
)

// nodeLabel marks the nodes that are switched.
const nodeLabel = "lanyard"

// step adds a step.
func (p *planner) step(do, check string, commands ...string) {
	p.Steps = append(p.Steps, Step{Do: do, Check: check, Commands: commands})
}

// install installs the chart with the values.
const install = "helm upgrade --install lanyard deployment/charts/lanyard --namespace lanyard --values values.yaml"

// ownNamespace makes Lanyard's namespace, whose pods mount directories of the node.
var ownNamespace = []string{"kubectl create namespace lanyard", "kubectl label namespace lanyard pod-security.kubernetes.io/enforce=privileged"}

// image is what the values leave open.
const image = " Its values name the image that your nodes can pull (docs/install.md, the image)."

// steps are the way of the switch.
func (p *planner) steps() {
	if len(p.ByHand)+len(p.NotYet) > 0 {
		p.step("See to what is to be done by hand, and to what is not there yet; both stand above the values.", "Nothing of it is left that matters to you.")
	}
	p.step("Keep the values, change in them what you have decided, and check every class with their config.", "The check ends without a problem.",
		"lanyard migrate plan --values-only --out values.yaml",
		"kubectl get secretproviderclasses --all-namespaces --output yaml | tee classes.yaml | lanyard check --config lanyard.yaml -   # lanyard.yaml is what stands below config")
	p.withoutAddOns()
	var own []*found
	for _, f := range p.providers {
		if !f.windows && f.managed == "" {
			own = append(own, f)
		}
	}
	if len(own) == 0 {
		p.step("Install Lanyard."+image+p.copies(), "All its pods are ready; a pod that mounts a class starts; lanyard_mounts_total counts it with the code OK.", append(slices.Clone(ownNamespace), install)...)
	} else {
		p.nodeByNode(own)
	}
	p.Afterwards = append(p.Afterwards,
		"kubectl get events --all-namespaces --field-selector reason=FailedMount: nothing new; its text names every object that failed, with the cause",
		"lanyard_mounts_total by dialect and code: only OK; lanyard_store_up: 1 for every store",
		"SecretProviderClassPodStatus: each object shows another version once, and then only when its value changes",
		"alerts and dashboards on the other provider's metrics: docs/operations.md has Lanyard's")
}

// removals of add-ons, by the name of the original.
// https://learn.microsoft.com/azure/aks/csi-secrets-store-driver
// https://docs.aws.amazon.com/eks/latest/userguide/removing-an-add-on.html
var addOnRemovals = map[string]string{
	"azure": "az aks disable-addons --addons azure-keyvault-secrets-provider --name CLUSTER --resource-group GROUP",
	"aws":   "aws eks delete-addon --cluster-name CLUSTER --addon-name aws-secrets-store-csi-driver-provider",
}

// What the driver's own chart needs besides.
const (
	repository    = "helm repo add secrets-store-csi-driver https://kubernetes-sigs.github.io/secrets-store-csi-driver/charts"
	secretObjects = " Classes with secretObjects need --set syncSecret.enabled=true besides."
)

// withoutAddOns replaces a cloud's add-on, which puts back what is changed in its DaemonSets
// and takes the driver with it.
func (p *planner) withoutAddOns() {
	driver := "helm install csi-secrets-store secrets-store-csi-driver/secrets-store-csi-driver --namespace kube-system --set enableSecretRotation=true"
	for n, audience := range p.audiences() {
		driver += fmt.Sprintf(" --set 'tokenRequests[%d].audience=%s'", n, audience)
	}
	for _, f := range p.providers {
		if f.managed == "" || f.windows {
			continue
		}
		p.step("Remove "+f.managed+", which puts back what is changed in its DaemonSets, and the driver with it. Running pods keep their files; until the driver is back, pods that mount classes neither start nor end.", "No DaemonSet of the add-on is left, and every class is still there; kubectl apply --filename classes.yaml brings them back if not.", addOnRemovals[f.original.Provider])
		p.step("Install the driver by its own chart, with the tokens that the classes need."+secretObjects, "kubectl get csidriver "+driverName+" finds it, and the driver's pods are ready.", repository, driver)
		return
	}
	if slices.ContainsFunc(p.csi, func(c csiDriver) bool { return c.Metadata.Name == gkeDriverName }) {
		p.step("Install the driver by its own chart beside GKE's add-on, whose driver takes no other provider. Workloads then change one after another, driver: "+driverName+" in their volumes, and the add-on goes last."+secretObjects, "kubectl get csidriver "+driverName+" finds it, and the driver's pods are ready.", repository, driver)
	}
}

// audiences are those of the tokens that the classes need, sorted.
func (p *planner) audiences() []string {
	slices.Sort(p.tokens)
	p.tokens = slices.Compact(p.tokens)
	return p.tokens
}

// nodeByNode switches nodes by a label: both providers answer on one socket, so that one
// of them must end before the other begins.
func (p *planner) nodeByNode(own []*found) {
	const labelled = " --set-string nodeSelector." + nodeLabel + "=yes"
	var keep, switched, removed []string
	switched = append(switched, "kubectl label node NODE "+nodeLabel+"=yes")
	var owner int64 // of the socket's directory, if it is not root
	for _, f := range own {
		namespace, name := shellWord(f.daemonSet.Metadata.Namespace), shellWord(f.daemonSet.Metadata.Name)
		keep = append(keep, fmt.Sprintf(`kubectl --namespace %s patch daemonset %s --type=merge --patch '{"spec": {"template": {"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "%s", "operator": "DoesNotExist"}]}]}}}}}}}'`, namespace, name, nodeLabel))
		switched = append(switched, fmt.Sprintf("kubectl --namespace %s delete pod --selector %s --field-selector spec.nodeName=NODE", namespace, shellWord(f.selector())))
		if release := f.daemonSet.Metadata.Annotations["meta.helm.sh/release-name"]; release != "" {
			removed = append(removed, "helm --namespace "+namespace+" get values "+shellWord(release)+"   # switch the provider off in this release; uninstall it if it holds nothing else")
		} else {
			removed = append(removed, "kubectl --namespace "+namespace+" delete daemonset "+name)
		}
		if user := f.container.SecurityContext.RunAsUser; user != 0 && f.directory == p.directory() {
			owner = user
		}
	}
	given := ""
	if owner != 0 {
		given = fmt.Sprintf(" The directory of its socket belongs to the user %d; it must be root's again, because Lanyard is root without the right to write into what is another's.", owner)
		switched = append(switched, "kubectl debug node/NODE --image=busybox --profile=sysadmin -- chown root:root "+shellWord("/host"+p.directory()))
	}
	p.step("Keep the other provider on the nodes without the label "+nodeLabel+". Its pods restart. The affinity replaces one that it has: add that one's terms.", "All its pods are ready, and pods that mount classes start.", keep...)
	p.step("Install Lanyard beside it, on the nodes with the label. None has it yet."+image+p.copies(), "The DaemonSet is there and has no pods.", append(slices.Clone(ownNamespace), install+labelled)...)
	p.step("Switch one node. The other provider's pod ends there, and Lanyard's begins: it refuses to start on a socket that is still answered, and is tried again. Running pods keep their files; one that starts meanwhile waits for the socket."+given,
		"Lanyard's pod of the node is ready; a pod that mounts a class starts there; lanyard_mounts_total counts it with the code OK.", switched...)
	if p.moves() {
		p.step("Restart the driver's pod of this node, because a socket has moved to another directory.", "A pod that mounts a class starts on the node.", p.restarts()...)
	} else {
		p.step("Leave the driver as it is: the socket is in the directory where it has found it, so that no restart is needed.", "")
	}
	p.step("Switch the other nodes in the same way, one after another. To go back on a node, take the label away and delete Lanyard's pod there.", "No node is without the label, and no pod of the other provider is left.")
	p.step("Remove the other provider: its DaemonSet, ServiceAccount, ClusterRole, ClusterRoleBinding, and the Secret of its key if there is one. Leave the driver and the CSIDriver.", "kubectl get daemonsets --all-namespaces shows it no more.", removed...)
	p.step("Let Lanyard run on every node, new ones too.", "All its pods stay ready.", install, "kubectl label nodes --all "+nodeLabel+"-")
}

// copies says which objects have to be in Lanyard's namespace before it starts.
func (p *planner) copies() string {
	if len(p.secrets)+len(p.configMaps) == 0 {
		return ""
	}
	return " The Secrets and ConfigMaps that the values name must be in its namespace before."
}

// moves says whether a socket will be in another directory than before.
func (p *planner) moves() bool {
	return slices.ContainsFunc(p.providers, func(f *found) bool { return !f.windows && f.directory != "" && f.directory != p.directory() })
}

func (p *planner) restarts() (commands []string) {
	for _, pods := range p.drivers {
		if pods.daemonSet.Spec.Template.Spec.NodeSelector["kubernetes.io/os"] == "windows" {
			continue
		}
		f := found{daemonSet: pods.daemonSet}
		commands = append(commands, fmt.Sprintf("kubectl --namespace %s delete pod --selector %s --field-selector spec.nodeName=NODE", shellWord(pods.daemonSet.Metadata.Namespace), shellWord(f.selector())))
	}
	return commands
}

// selector is a label selector of the DaemonSet's pods.
func (f *found) selector() string {
	labels := f.daemonSet.Spec.Template.Metadata.Labels
	for _, key := range []string{"app.kubernetes.io/name", "app"} {
		if labels[key] != "" {
			return key + "=" + labels[key]
		}
	}
	for key, value := range labels {
		if len(labels) == 1 {
			return key + "=" + value
		}
	}
	return "LABELS"
}

// shellWord is a word that a shell takes for one, whatever a file has for a name.
func shellWord(word string) string {
	word = message.Printable(word)
	for _, r := range word {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:@", r) {
			return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	if word == "" {
		return "NAMESPACE" // manifests leave it to kubectl
	}
	return word
}

package deployment

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"

	"github.com/lanyardhq/lanyard/cmd"
	"github.com/lanyardhq/lanyard/provider/config"
)

func TestDefaultsInstallADaemonSetAndTheRightToAKeyOfItsOwn(t *testing.T) {
	rendered := render(t, "")
	if got, want := kinds(unmarked(rendered)), "ConfigMap DaemonSet NetworkPolicy Role RoleBinding ServiceAccount"; got != want {
		t.Errorf("the kinds are %s, want %s", got, want)
	}
	account := object[core.ServiceAccount](t, rendered, "ServiceAccount")
	spec := pod(t, "")
	if spec.ServiceAccountName != account.Name {
		t.Errorf("the pods run as %s, and the account is %s", spec.ServiceAccountName, account.Name)
	}
	if *account.AutomountServiceAccountToken || !*spec.AutomountServiceAccountToken {
		t.Error("others than the pods have a token, or the pods have none")
	}
	get := rbac.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"lanyard-version-key"}, Verbs: []string{"get"}}
	create := rbac.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"create"}}
	role := object[rbac.Role](t, rendered, "Role")
	if len(role.Rules) != 2 || role.Rules[0].String() != get.String() || role.Rules[1].String() != create.String() {
		t.Errorf("the rules are %v", role.Rules)
	}
	bound := object[rbac.RoleBinding](t, rendered, "RoleBinding")
	if bound.RoleRef.Name != role.Name || len(bound.Subjects) != 1 || bound.Subjects[0].Name != account.Name || bound.Namespace != role.Namespace {
		t.Errorf("the binding is %v", bound)
	}
}

// Who makes the Secret, or keeps the key in a file, gives the provider less.
func TestTheKeyOfVersionsMayBeMadeByHand(t *testing.T) {
	for values, want := range map[string]struct {
		secret string
		rules  int
	}{
		"versionKey: {create: false}":                                                         {"", 0},
		"versionKey: {create: false, secret: mine}":                                           {"mine", 1},
		"versionKey: {secret: mine}":                                                          {"mine", 2},
		"{config: {cache: {versionKeySecret: mine}}, versionKey: {create: false}}":            {"mine", 1},
		"{config: {cache: {versionKeyFile: /etc/lanyard/secrets/mine/key}}, secrets: [mine]}": {"", 0},
		"{config: {cache: {refresh: 1m}}, fullnameOverride: other}":                           {"other-version-key", 2},
	} {
		rendered := render(t, values)
		file, err := config.Load(configFile(t, values))
		if err != nil {
			t.Fatal(err)
		}
		if got := file.Config.Cache.VersionKeySecret; got != want.secret {
			t.Errorf("%s: the Secret is %q, want %q", values, got, want.secret)
		}
		if token := *daemonSet(t, rendered).Spec.Template.Spec.AutomountServiceAccountToken; token != (want.rules > 0) {
			t.Errorf("%s: token %v", values, token)
		}
		if want.rules == 0 {
			if strings.Contains(kinds(unmarked(rendered)), "Role") {
				t.Errorf("%s: the kinds are %s", values, kinds(rendered))
			}
			continue
		}
		rules := object[rbac.Role](t, rendered, "Role").Rules
		if len(rules) != want.rules || rules[0].ResourceNames[0] != want.secret {
			t.Errorf("%s: the rules are %v", values, rules)
		}
	}
}

func TestEveryObjectIsOfTheReleaseAndCarriesTheStandardLabels(t *testing.T) {
	values := `
config: {policy: {tokenRequest: true}}
podMonitor: {enabled: true}
serviceMonitor: {enabled: true}
prometheusRule: {enabled: true}
grafanaDashboards: {enabled: true}
networkPolicy: {from: [{namespaceSelector: {}}], egress: {enabled: true}}
priorityClass: {create: true, name: secrets, quota: true}
labels: {team: platform}
sync: {enabled: true, namespaces: [secrets], secretSyncs: {enabled: true, crd: true}, restart: {enabled: true}, admissionPolicies: {requester: true}}
impersonation: {mode: report}
inject: {enabled: true, dialects: [akv2k8s], agentConfig: {cluster: east}}
`
	rendered := render(t, values)
	if len(rendered.Objects) != 67 {
		t.Errorf("there are %d objects: %s", len(rendered.Objects), kinds(rendered))
	}
	for _, object := range rendered.Objects {
		var read struct {
			Metadata struct {
				Namespace string
				Labels    map[string]string
			}
		}
		decode(t, object.Content, &read)
		for _, label := range []string{"helm.sh/chart", "app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "team"} {
			if read.Metadata.Labels[label] == "" {
				t.Errorf("%s has no label %s", object.Head.Kind, label)
			}
		}
		ofCluster := slices.Contains([]string{"ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration", "PriorityClass", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "CustomResourceDefinition"}, object.Head.Kind)
		if want := "secrets"; !ofCluster && read.Metadata.Namespace != want || ofCluster && read.Metadata.Namespace != "" {
			t.Errorf("%s is in namespace %q", object.Head.Kind, read.Metadata.Namespace)
		}
	}
}

// lanyard status takes the release's namespace from what only who administers the cluster can make.
func TestEveryReleaseIsMarkedWithoutARight(t *testing.T) {
	for values, account := range map[string]string{
		"": "lanyard", "serviceAccount: {create: false, name: mine}": "mine", "{status: {enabled: true}, sync: {enabled: true}}": "lanyard",
	} {
		marks := 0
		for _, one := range render(t, values).Objects {
			if one.Head.Metadata == nil || one.Head.Metadata.Name != "secrets:lanyard:mark" {
				continue
			}
			marks++
			if one.Head.Kind == "ClusterRole" {
				var role rbac.ClusterRole
				decode(t, one.Content, &role)
				if len(role.Rules) != 0 || role.AggregationRule != nil {
					t.Errorf("%s: the mark gives %v", values, role)
				}
				continue
			}
			var bound rbac.ClusterRoleBinding
			decode(t, one.Content, &bound)
			subject := rbac.Subject{Kind: "ServiceAccount", Name: account, Namespace: "secrets"}
			if bound.RoleRef.Name != bound.Name || len(bound.Subjects) != 1 || bound.Subjects[0] != subject || bound.Labels["app.kubernetes.io/part-of"] != "lanyard" {
				t.Errorf("%s: the mark is %v", values, bound)
			}
		}
		if marks != 2 {
			t.Errorf("%s: the mark has %d objects", values, marks)
		}
	}
}

func TestTheDaemonSetNeverHasTwoProvidersOnANode(t *testing.T) {
	update := daemonSet(t, render(t, "")).Spec.UpdateStrategy
	if update.Type != apps.RollingUpdateDaemonSetStrategyType || update.RollingUpdate.MaxSurge.IntValue() != 0 || update.RollingUpdate.MaxUnavailable.String() != "10%" {
		t.Errorf("the strategy is %v", update)
	}
}

func TestPodsRunOnEveryLinuxNodeAtTheDriversPriority(t *testing.T) {
	spec := pod(t, "")
	if !maps.Equal(spec.NodeSelector, map[string]string{"kubernetes.io/os": "linux"}) {
		t.Errorf("the node selector is %v", spec.NodeSelector)
	}
	if len(spec.Tolerations) != 1 || spec.Tolerations[0] != (core.Toleration{Operator: core.TolerationOpExists}) {
		t.Errorf("the tolerations are %v", spec.Tolerations)
	}
	if spec.PriorityClassName != "system-node-critical" || spec.HostNetwork || spec.HostPID || spec.HostIPC {
		t.Errorf("priority class %s, host's network %v, PIDs %v, IPC %v", spec.PriorityClassName, spec.HostNetwork, spec.HostPID, spec.HostIPC)
	}
}

func TestTheSocketDirectoryIsTheDriversAndAllThatCanBeWritten(t *testing.T) {
	const directory = "/etc/kubernetes/secrets-store-csi-providers"
	spec := pod(t, "")
	mounted, volume := mount(t, spec, directory)
	if mounted.ReadOnly || volume.HostPath == nil || volume.HostPath.Path != directory || *volume.HostPath.Type != core.HostPathDirectoryOrCreate {
		t.Errorf("the socket directory is %v, mounted as %v", volume, mounted)
	}
	for _, other := range spec.Containers[0].VolumeMounts {
		if other.MountPath != directory && !other.ReadOnly {
			t.Errorf("%s can be written", other.MountPath)
		}
	}
}

func TestProbesAskTheAdminPort(t *testing.T) {
	c := container(t, "admin: {port: 9999}")
	if len(c.Ports) != 1 || c.Ports[0].ContainerPort != 9999 || c.Ports[0].HostPort != 0 || !slices.Contains(c.Args, "--admin-address=:9999") {
		t.Errorf("the ports are %v and the arguments %v", c.Ports, c.Args)
	}
	for path, probe := range map[string]*core.Probe{"/livez": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if probe.HTTPGet.Path != path || probe.HTTPGet.Port.String() != c.Ports[0].Name {
			t.Errorf("the probe of %s is %v", path, probe)
		}
	}
	// The provider itself takes up to two seconds to say that it is not ready.
	if c.ReadinessProbe.TimeoutSeconds <= 2 {
		t.Errorf("the kubelet waits %d s for readiness", c.ReadinessProbe.TimeoutSeconds)
	}
}

func TestThePodOutlivesItsShutdown(t *testing.T) {
	for values, want := range map[string]time.Duration{"": 25 * time.Second, "shutdownSeconds: 90": 90 * time.Second} {
		spec := pod(t, values)
		if !slices.Contains(spec.Containers[0].Args, fmt.Sprintf("--shutdown-timeout=%.0fs", want.Seconds())) {
			t.Errorf("the arguments are %v, want a shutdown of %v", spec.Containers[0].Args, want)
		}
		if grace := time.Duration(*spec.TerminationGracePeriodSeconds) * time.Second; grace <= want {
			t.Errorf("the kubelet kills the pod after %v, before mounts may have ended after %v", grace, want)
		}
	}
}

// TestTheArgumentsAreServes runs the real command with the flags of the chart.
func TestTheArgumentsAreServes(t *testing.T) {
	for _, values := range []string{"", "{dialects: [lanyard], allowPeerUIDs: [1000, 2000], log: {format: json, verbosity: 2}}"} {
		var args []string
		for _, arg := range container(t, values).Args {
			if !strings.HasPrefix(arg, "--config=") {
				args = append(args, arg)
			}
		}
		var errors strings.Builder
		if code := cmd.Execute(append(args, "--print-config"), strings.NewReader(""), io.Discard, &errors); code != 0 {
			t.Errorf("lanyard %s ends with %d: %s", strings.Join(args, " "), code, &errors)
		}
	}
}

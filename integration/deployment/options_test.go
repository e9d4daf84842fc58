package deployment

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	rbac "k8s.io/api/rbac/v1"
	scheduling "k8s.io/api/scheduling/v1"
)

func TestSecretsAreMountedForRootAlone(t *testing.T) {
	mounted, volume := mount(t, pod(t, "secrets: [key-ring, vault.token]"), "/etc/lanyard/secrets/vault.token")
	if !mounted.ReadOnly || volume.Secret.SecretName != "vault.token" || *volume.Secret.DefaultMode != 0o400 {
		t.Errorf("the Secret is %v, mounted as %v", volume, mounted)
	}
}

func TestConfigMapsAreMountedAsFiles(t *testing.T) {
	mounted, volume := mount(t, pod(t, "configMaps: [vault-ca]"), "/etc/lanyard/files/vault-ca")
	if !mounted.ReadOnly || volume.ConfigMap.Name != "vault-ca" {
		t.Errorf("the ConfigMap is %v, mounted as %v", volume, mounted)
	}
}

func TestDirectoriesOfTheNodeCannotBeWrittenNorMade(t *testing.T) {
	mounted, volume := mount(t, pod(t, "hostDirectories: [/var/lib/licences]"), "/var/lib/licences")
	if !mounted.ReadOnly || volume.HostPath.Path != "/var/lib/licences" || *volume.HostPath.Type != core.HostPathDirectory {
		t.Errorf("the directory is %v, mounted as %v", volume, mounted)
	}
}

func TestOtherVolumesAreMountedAsTheyStand(t *testing.T) {
	values := `
extraVolumes:
  - name: token
    projected: {sources: [{serviceAccountToken: {path: token, audience: vault}}]}
extraVolumeMounts:
  - {name: token, mountPath: /var/run/token, readOnly: true}
`
	if _, volume := mount(t, pod(t, values), "/var/run/token"); volume.Projected == nil {
		t.Errorf("the volume is %v", volume)
	}
}

func TestTheImage(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	for values, want := range map[string]string{
		"": "ghcr.io/lanyardhq/lanyard:v0.1.0",
		"image: {repository: a.example:5000/b, tag: v2}": "a.example:5000/b:v2",
		"image: {tag: v2, digest: '" + digest + "'}":     "ghcr.io/lanyardhq/lanyard@" + digest,
	} {
		if got := container(t, values).Image; got != want {
			t.Errorf("with %q the image is %s, want %s", values, got, want)
		}
	}
	spec := pod(t, "{image: {pullPolicy: Never}, imagePullSecrets: [{name: registry}]}")
	if spec.Containers[0].ImagePullPolicy != core.PullNever || spec.ImagePullSecrets[0].Name != "registry" {
		t.Errorf("the pull policy is %s and the Secrets are %v", spec.Containers[0].ImagePullPolicy, spec.ImagePullSecrets)
	}
}

func TestArguments(t *testing.T) {
	for values, want := range map[string]string{
		"dialects: [lanyard, vault]":                            "--dialects=lanyard,vault",
		"allowPeerUIDs: [100000, 4294967294]":                   "--allow-peer-uid=4294967294",
		"log: {format: json}":                                   "--logging-format=json",
		"log: {verbosity: 2}":                                   "--v=2",
		"socketDirectory: /var/run/secrets-store-csi-providers": "--socket-dir=/var/run/secrets-store-csi-providers",
	} {
		if args := container(t, values).Args; !slices.Contains(args, want) {
			t.Errorf("with %s the arguments are %v, want %s", values, args, want)
		}
	}
	mount(t, pod(t, "socketDirectory: /var/run/secrets-store-csi-providers"), "/var/run/secrets-store-csi-providers")
}

func TestWherePodsRun(t *testing.T) {
	spec := pod(t, `
tolerations: []
nodeSelector: {pool: apps}
affinity: {nodeAffinity: {}}
priorityClass: {name: other}
hostNetwork: true
networkPolicy: {enabled: false}
resources: {limits: {memory: 1Gi}}
`)
	if len(spec.Tolerations) != 0 || spec.NodeSelector["pool"] != "apps" || spec.Affinity == nil || spec.PriorityClassName != "other" {
		t.Errorf("tolerations %v, selector %v, affinity %v, priority %s", spec.Tolerations, spec.NodeSelector, spec.Affinity, spec.PriorityClassName)
	}
	if !spec.HostNetwork || spec.DNSPolicy != core.DNSClusterFirstWithHostNet {
		t.Errorf("host's network %v, DNS %s", spec.HostNetwork, spec.DNSPolicy)
	}
	if got := spec.Containers[0].Resources.Limits.Memory().String(); got != "1Gi" {
		t.Errorf("the memory's limit is %s", got)
	}
}

func TestThePriorityClassIsMadeByTheNameThatPodsUse(t *testing.T) {
	rendered := render(t, "priorityClass: {create: true, name: secrets, value: 999999999}")
	class := object[scheduling.PriorityClass](t, rendered, "PriorityClass")
	if used := daemonSet(t, rendered).Spec.Template.Spec.PriorityClassName; class.Name != "secrets" || used != "secrets" || class.Value != 999999999 {
		t.Errorf("the class is %s with %d, and pods use %s", class.Name, class.Value, used)
	}
}

func TestAQuotaAdmitsPodsOfThePriorityClass(t *testing.T) {
	for values, class := range map[string]string{
		"priorityClass: {quota: true}":                              "system-node-critical",
		"priorityClass: {create: true, name: secrets, quota: true}": "secrets",
	} {
		rendered := render(t, values)
		quota := object[core.ResourceQuota](t, rendered, "ResourceQuota")
		want := core.ScopedResourceSelectorRequirement{ScopeName: core.ResourceQuotaScopePriorityClass, Operator: core.ScopeSelectorOpIn, Values: []string{class}}
		if scopes := quota.Spec.ScopeSelector.MatchExpressions; len(scopes) != 1 || scopes[0].String() != want.String() {
			t.Errorf("with %s the quota is for %v", values, scopes)
		}
		if pods := quota.Spec.Hard[core.ResourcePods]; len(quota.Spec.Hard) != 1 || pods.Value() < 100_000 {
			t.Errorf("with %s the quota limits %v", values, quota.Spec.Hard)
		}
		if used := daemonSet(t, rendered).Spec.Template.Spec.PriorityClassName; used != class {
			t.Errorf("with %s pods are of %s", values, used)
		}
	}
}

func TestPodsCarryTheirLabelsAndAnnotations(t *testing.T) {
	set := daemonSet(t, render(t, "{podLabels: {a: b, team: shop}, labels: {team: platform}, podAnnotations: {c: d}, updateStrategy: {maxUnavailable: 3}}"))
	if got := set.Spec.Template; got.Labels["a"] != "b" || got.Labels["team"] != "shop" || got.Annotations["c"] != "d" {
		t.Errorf("labels %v, annotations %v", got.Labels, got.Annotations)
	}
	for label, value := range set.Spec.Selector.MatchLabels {
		if set.Spec.Template.Labels[label] != value {
			t.Errorf("the selector asks for %s=%s, which pods do not have", label, value)
		}
	}
	if got := set.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable.IntValue(); got != 3 {
		t.Errorf("maxUnavailable is %d", got)
	}
}

func TestAnotherServiceAccount(t *testing.T) {
	rendered := unmarked(render(t, "serviceAccount: {create: false, name: mine}"))
	if kinds(rendered) != "ConfigMap DaemonSet NetworkPolicy Role RoleBinding" || daemonSet(t, rendered).Spec.Template.Spec.ServiceAccountName != "mine" {
		t.Errorf("the kinds are %s", kinds(rendered))
	}
	account := object[core.ServiceAccount](t, render(t, "serviceAccount: {name: other, annotations: {a: b}}"), "ServiceAccount")
	if account.Name != "other" || account.Annotations["a"] != "b" {
		t.Errorf("the account is %v", account)
	}
}

func TestTokenRequestsAreTheOnlyRightInTheCluster(t *testing.T) {
	want := rbac.PolicyRule{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}}
	rendered := unmarked(render(t, "config: {policy: {tokenRequest: true}}"))
	role := object[rbac.ClusterRole](t, rendered, "ClusterRole")
	if len(role.Rules) != 1 || role.Rules[0].String() != want.String() {
		t.Errorf("the rules are %v", role.Rules)
	}
	bound := object[rbac.ClusterRoleBinding](t, rendered, "ClusterRoleBinding")
	if bound.RoleRef.Name != role.Name || len(bound.Subjects) != 1 || bound.Subjects[0].Name != "lanyard" || bound.Subjects[0].Namespace != "secrets" {
		t.Errorf("the binding is %v", bound)
	}
	if !*daemonSet(t, rendered).Spec.Template.Spec.AutomountServiceAccountToken {
		t.Error("the pods have no token to ask with")
	}
}

func TestReadingObjectsIsARightOfItsOwn(t *testing.T) {
	want := rbac.PolicyRule{APIGroups: []string{""}, Resources: []string{"serviceaccounts", "nodes"}, Verbs: []string{"get"}}
	rendered := unmarked(render(t, "config: {policy: {readObjects: true}}"))
	role := object[rbac.ClusterRole](t, rendered, "ClusterRole")
	if len(role.Rules) != 1 || role.Rules[0].String() != want.String() {
		t.Errorf("the rules are %v", role.Rules)
	}
	bound := object[rbac.ClusterRoleBinding](t, rendered, "ClusterRoleBinding")
	if bound.RoleRef.Name != role.Name || len(bound.Subjects) != 1 || bound.Subjects[0].Name != "lanyard" {
		t.Errorf("the binding is %v", bound)
	}
	if !*daemonSet(t, rendered).Spec.Template.Spec.AutomountServiceAccountToken {
		t.Error("the pods have no token to ask with")
	}
	if got, want := kinds(unmarked(render(t, "config: {policy: {readObjects: true, tokenRequest: true}}"))), "ClusterRole ClusterRole ClusterRoleBinding ClusterRoleBinding ConfigMap DaemonSet NetworkPolicy Role RoleBinding ServiceAccount"; got != want {
		t.Errorf("with both the kinds are %s, want %s", got, want)
	}
}

func TestCheckingWhoAsksForTheStatusIsARightOfItsOwn(t *testing.T) {
	want := "[{[create] [authentication.k8s.io] [tokenreviews] [] []} {[create] [authorization.k8s.io] [subjectaccessreviews] [] []}]"
	rendered := unmarked(render(t, "{versionKey: {create: false}, status: {enabled: true}}"))
	role := object[rbac.ClusterRole](t, rendered, "ClusterRole")
	if got := fmt.Sprint(role.Rules); got != want {
		t.Errorf("the rules are %s", got)
	}
	bound := object[rbac.ClusterRoleBinding](t, rendered, "ClusterRoleBinding")
	if bound.RoleRef.Name != role.Name || len(bound.Subjects) != 1 || bound.Subjects[0].Name != "lanyard" || bound.Subjects[0].Namespace != "secrets" {
		t.Errorf("the binding is %v", bound)
	}
	if !*daemonSet(t, rendered).Spec.Template.Spec.AutomountServiceAccountToken {
		t.Error("the pods have no token to ask with")
	}
	sync := part(t, render(t, "{status: {enabled: true}, sync: {enabled: true}}"), "sync")
	all := fmt.Sprint(object[rbac.ClusterRole](t, sync, "ClusterRole").Rules)
	if !strings.Contains(all, strings.Trim(want, "[]")) {
		t.Errorf("the controller's rules are %s", all)
	}
	const flag = "--status-tokens"
	alone := render(t, "sync: {enabled: true}")
	for _, pods := range []struct {
		of   Rendered
		want bool
	}{{rendered, true}, {alone, false}} {
		if has := slices.Contains(daemonSet(t, pods.of).Spec.Template.Spec.Containers[0].Args, flag); has != pods.want {
			t.Errorf("the provider has the flag: %v", has)
		}
	}
	if !slices.Contains(object[apps.Deployment](t, sync, "Deployment").Spec.Template.Spec.Containers[0].Args, flag) {
		t.Error("the controller lacks the flag")
	}
	for _, rule := range rules(t, alone) {
		if slices.Contains(rule.Resources, "tokenreviews") || slices.Contains(rule.Resources, "subjectaccessreviews") {
			t.Errorf("without it there is %v", rule)
		}
	}
}

func TestTokenRequestsMayBeLimitedToNamespaces(t *testing.T) {
	rendered := unmarked(render(t, "{config: {policy: {tokenRequest: true}}, tokenRequestNamespaces: [shop, billing]}"))
	if got, want := kinds(rendered), "ConfigMap DaemonSet NetworkPolicy Role Role Role RoleBinding RoleBinding RoleBinding ServiceAccount"; got != want {
		t.Errorf("the kinds are %s, want %s", got, want)
	}
	namespaces := map[string]int{}
	for _, object := range rendered.Objects {
		var role rbac.Role
		if object.Head.Kind == "Role" {
			decode(t, object.Content, &role)
			namespaces[role.Namespace]++
		}
	}
	// The release's own has that of the key of versions.
	if len(namespaces) != 3 || namespaces["shop"] != 1 || namespaces["billing"] != 1 || namespaces["secrets"] != 1 {
		t.Errorf("there are roles in %v", namespaces)
	}
}

func TestTheNetworkPolicyOpensTheAdminPortToThoseNamed(t *testing.T) {
	closed := object[networking.NetworkPolicy](t, render(t, ""), "NetworkPolicy")
	if len(closed.Spec.Ingress) != 0 || len(closed.Spec.PolicyTypes) != 1 || closed.Spec.PolicyTypes[0] != networking.PolicyTypeIngress {
		t.Errorf("without peers the policy is %v", closed.Spec)
	}
	open := object[networking.NetworkPolicy](t, render(t, "networkPolicy: {from: [{namespaceSelector: {matchLabels: {a: b}}}]}"), "NetworkPolicy")
	if len(open.Spec.Ingress) != 1 || len(open.Spec.Ingress[0].From) != 1 || open.Spec.Ingress[0].Ports[0].Port.String() != "admin" {
		t.Errorf("with a peer the policy is %v", open.Spec)
	}
}

func TestNamesFollowTheRelease(t *testing.T) {
	for values, want := range map[string]string{
		"":                       "lanyard",
		"nameOverride: keys":     "lanyard-keys",
		"fullnameOverride: keys": "keys",
	} {
		if got := daemonSet(t, render(t, values)).Name; got != want {
			t.Errorf("with %q the name is %s, want %s", values, got, want)
		}
	}
	rendered, err := Render(Release{Name: "prod", Namespace: "secrets"})
	if err != nil {
		t.Fatal(err)
	}
	if got := daemonSet(t, rendered).Name; got != "prod-lanyard" {
		t.Errorf("the release prod is called %s", got)
	}
}

func TestNotesNameTheImageThatRuns(t *testing.T) {
	for values, want := range map[string]string{"": "ghcr.io/lanyardhq/lanyard:v0.1.0", "image: {repository: a.example/b, tag: v2}": "a.example/b:v2"} {
		if notes := render(t, values).Notes; !strings.Contains(notes, "("+want+")") {
			t.Errorf("with %q the notes do not name %s:\n%s", values, want, notes)
		}
	}
}

func TestNotesTellHowPodsGetTokens(t *testing.T) {
	plain := render(t, "").Notes
	for _, want := range []string{"tokenRequests", `[{"audience":"vault"}]`, "enableSecretRotation=true", "daemonset/lanyard"} {
		if !strings.Contains(plain, want) {
			t.Errorf("the notes do not say %s:\n%s", want, plain)
		}
	}
	if strings.Contains(plain, "ALL namespaces") {
		t.Errorf("the notes speak of rights that there are not:\n%s", plain)
	}
	if wide := render(t, "config: {policy: {tokenRequest: true}}").Notes; !strings.Contains(wide, "ALL namespaces") {
		t.Errorf("the notes do not warn:\n%s", wide)
	}
}

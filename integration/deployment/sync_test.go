package deployment

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	admission "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	disruption "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"

	"github.com/lanyardhq/lanyard/cmd"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/server/sync/settings"
)

// allOfSync switches on everything of the controller.
const allOfSync = "{enabled: true, secretSyncs: {enabled: true, crd: true}, restart: {enabled: true, window: '22:00-04:00'}, admissionPolicies: {requester: true}}"

// controller is what is rendered of the controller with the values of sync.
func controller(t *testing.T, sync string) Rendered {
	t.Helper()
	return part(t, render(t, "sync: "+sync), "sync")
}

func controllerPod(t *testing.T, sync string) core.PodTemplateSpec {
	t.Helper()
	return object[apps.Deployment](t, controller(t, sync), "Deployment").Spec.Template
}

func TestTheControllerIsOffByDefault(t *testing.T) {
	for _, values := range []string{"", "sync: {restart: {enabled: true}, secretSyncs: {enabled: true, crd: true}}"} {
		if its := part(t, render(t, values), "sync"); len(its.Objects) != 0 {
			t.Errorf("with %q there are %s", values, kinds(its))
		}
	}
}

func TestWhatMakesUpTheController(t *testing.T) {
	const always = "ClusterRole ClusterRoleBinding ConfigMap Deployment NetworkPolicy PodDisruptionBudget Role RoleBinding RoleBinding ServiceAccount"
	policies := func(n int) string {
		return strings.Repeat(" ValidatingAdmissionPolicy", n) + strings.Repeat(" ValidatingAdmissionPolicyBinding", n)
	}
	for sync, want := range map[string]string{
		"{enabled: true}": always + policies(3),
		"{enabled: true, restart: {enabled: true}}":                           always + policies(4),
		"{enabled: true, admissionPolicies: {requester: true}}":               always + policies(4),
		"{enabled: true, admissionPolicies: {enabled: false}}":                always,
		"{enabled: true, serviceAccount: {create: false, name: mine}}":        strings.TrimSuffix(always, " ServiceAccount") + policies(3),
		"{enabled: true, secretSyncs: {enabled: true}}":                       always + policies(3),
		"{enabled: true, secretSyncs: {enabled: true, crd: true}}":            strings.Replace(always, "Deployment", "CustomResourceDefinition Deployment", 1) + policies(3),
		"{enabled: true, namespaces: [shop, billing]}":                        strings.Replace(always, "Role RoleBinding RoleBinding", "Role Role Role RoleBinding RoleBinding RoleBinding RoleBinding", 1) + policies(3),
		"{enabled: true, secretSyncs: {enabled: true}, restart: {max: 1000}}": always + policies(3),
	} {
		if got := kinds(controller(t, sync)); got != want {
			t.Errorf("with %s the kinds are\n%s, want\n%s", sync, got, want)
		}
	}
}

func TestTheControllerChangesNothingOfTheProvider(t *testing.T) {
	if before, after := render(t, ""), part(t, render(t, "sync: "+allOfSync), "provider"); string(before.YAML()) != string(after.YAML()) {
		t.Error("the provider's objects are others with the controller")
	}
}

func TestTheControllersPodsAreFullyRestricted(t *testing.T) {
	template := object[apps.Deployment](t, part(t, render(t, "{secrets: [key-ring], configMaps: [vault-ca], sync: "+allOfSync+"}"), "sync"), "Deployment").Spec.Template
	if got := failed(t, template); len(got) != 0 {
		t.Errorf("the pods fail %v", got)
	}
	c := template.Spec.Containers[0]
	if !*c.SecurityContext.ReadOnlyRootFilesystem || len(c.Env)+len(c.EnvFrom) != 0 {
		t.Errorf("the container is %v", c)
	}
	// Without the group nobody but root could read the key ring.
	mounted, volume := mount(t, template.Spec, "/etc/lanyard/secrets/key-ring")
	if !mounted.ReadOnly || *volume.Secret.DefaultMode != 0o400 || *template.Spec.SecurityContext.FSGroup != *template.Spec.SecurityContext.RunAsGroup {
		t.Errorf("the Secret is %v, mounted as %v, for %v", volume, mounted, template.Spec.SecurityContext)
	}
	mount(t, template.Spec, "/etc/lanyard/files/vault-ca")
}

func TestPodsOfTheControllerAreNotTheProviders(t *testing.T) {
	rendered := render(t, "sync: "+allOfSync)
	set, deployment := daemonSet(t, rendered), object[apps.Deployment](t, rendered, "Deployment")
	if within(set.Spec.Selector.MatchLabels, deployment.Spec.Template.Labels) || within(deployment.Spec.Selector.MatchLabels, set.Spec.Template.Labels) {
		t.Errorf("the selectors %v and %v are not apart", set.Spec.Selector, deployment.Spec.Selector)
	}
	its := part(t, rendered, "sync")
	budget := object[disruption.PodDisruptionBudget](t, its, "PodDisruptionBudget")
	closed := object[networking.NetworkPolicy](t, its, "NetworkPolicy")
	for what, selector := range map[string]map[string]string{
		"Deployment": deployment.Spec.Selector.MatchLabels, "budget": budget.Spec.Selector.MatchLabels, "network policy": closed.Spec.PodSelector.MatchLabels,
	} {
		if !within(selector, deployment.Spec.Template.Labels) {
			t.Errorf("the %s asks for %v", what, selector)
		}
	}
	if *deployment.Spec.Replicas != 2 || budget.Spec.MaxUnavailable.IntValue() != 1 || len(closed.Spec.Ingress) != 0 {
		t.Errorf("replicas %d, budget %v, ingress %v", *deployment.Spec.Replicas, budget.Spec, closed.Spec.Ingress)
	}
	for i, key := range []string{"kubernetes.io/hostname", "topology.kubernetes.io/zone"} {
		spread := deployment.Spec.Template.Spec.TopologySpreadConstraints[i]
		if spread.TopologyKey != key || spread.WhenUnsatisfiable != core.ScheduleAnyway || !within(spread.LabelSelector.MatchLabels, deployment.Spec.Template.Labels) {
			t.Errorf("pods are spread by %v", spread)
		}
	}
	if other := *object[apps.Deployment](t, render(t, "sync: {enabled: true, replicas: 1}"), "Deployment").Spec.Replicas; other != 1 {
		t.Errorf("replicas %d, want 1", other)
	}
}

func TestTheControllerIsMonitoredLikeTheProvider(t *testing.T) {
	rendered := part(t, render(t, "{networkPolicy: {from: [{namespaceSelector: {}}]}, podMonitor: {enabled: true}, serviceMonitor: {enabled: true}, sync: {enabled: true}}"), "sync")
	pods := object[apps.Deployment](t, rendered, "Deployment").Spec.Template
	var found monitor
	for _, object := range rendered.Objects {
		if !strings.HasSuffix(object.Head.Kind, "Monitor") {
			continue
		}
		decode(t, object.Content, &found)
		if !within(found.Spec.Selector.MatchLabels, pods.Labels) {
			t.Errorf("the %s asks for %v", object.Head.Kind, found.Spec.Selector)
		}
	}
	if got := kinds(rendered); !strings.Contains(got, "PodMonitor") || !strings.Contains(got, "Service ServiceAccount ServiceMonitor") {
		t.Errorf("the kinds are %s", got)
	}
	c := pods.Spec.Containers[0]
	for path, probe := range map[string]*core.Probe{"/livez": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if probe.HTTPGet.Path != path || probe.HTTPGet.Port.String() != c.Ports[0].Name {
			t.Errorf("the probe of %s is %v", path, probe)
		}
	}
}

func TestTheControllerMayCallTheAPIServer(t *testing.T) {
	rendered := part(t, render(t, "{versionKey: {create: false}, config: {policy: {classStores: false}}, networkPolicy: {enabled: false, egress: {enabled: true}}, sync: {enabled: true}}"), "sync")
	if got := openingsOf(t, rendered); !slices.Equal(got, []string{" 443/TCP,6443/TCP"}) {
		t.Errorf("the openings are %q", got)
	}
}

// syncConfig is the controller's configuration.
func syncConfig(t *testing.T, values string) config.Config {
	t.Helper()
	rendered := part(t, render(t, values), "sync")
	text := object[core.ConfigMap](t, rendered, "ConfigMap")
	_, volume := mount(t, object[apps.Deployment](t, rendered, "Deployment").Spec.Template.Spec, "/etc/lanyard/config")
	if volume.ConfigMap.Name != text.Name {
		t.Fatalf("the pods mount %s, and the ConfigMap is %s", volume.ConfigMap.Name, text.Name)
	}
	path := filepath.Join(t.TempDir(), "lanyard.yaml")
	if err := os.WriteFile(path, []byte(text.Data["lanyard.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := config.Load(path)
	if err != nil {
		t.Fatalf("%v\n%s", err, text.Data["lanyard.yaml"])
	}
	return file.Config
}

func TestTheControllersConfigurationIsTheProvidersWithLessMemory(t *testing.T) {
	want := config.Default()
	want.Cache.VersionKeySecret, want.Cache.Bytes, want.Bounds.Memory = "lanyard-version-key", 16<<20, 16<<20
	if got := syncConfig(t, "sync: {enabled: true}"); !reflect.DeepEqual(got, want) {
		t.Errorf("the configuration is\n%+v, want\n%+v", got, want)
	}
	limit := controllerPod(t, "{enabled: true}").Spec.Containers[0].Resources.Limits.Memory().Value()
	if beside := limit - int64(want.Cache.Bytes) - int64(want.Bounds.Memory); beside < 96<<20 {
		t.Errorf("%d bytes are left beside cache and reads", beside)
	}
	got := syncConfig(t, everything+"sync: {enabled: true, config: {cache: {refresh: 1m}}}\n")
	if _, there := got.Stores["licences"]; there || len(got.Stores) != 2 || got.Cluster != "prod-eu" {
		t.Errorf("the stores are %v", slices.Sorted(maps.Keys(got.Stores)))
	}
	if got.Cache.Refresh.String() != "1m0s" || got.Cache.Bytes != 16<<20 || got.Cache.StaleOnError.String() != "1h30m0s" || got.Cache.VersionKeyFile == "" {
		t.Errorf("the cache is %+v", got.Cache)
	}
}

func TestTheControllersArguments(t *testing.T) {
	args := controllerPod(t, "{enabled: true}").Spec.Containers[0].Args
	for _, want := range []string{
		"sync", "--namespace=secrets", "--config=/etc/lanyard/config/lanyard.yaml", "--admin-address=:9879", "--shutdown-timeout=25s",
		"--interval=" + seconds(settings.DefaultInterval.Seconds()), "--drift-interval=10m",
		"--secret-types=" + strings.Join(settings.DefaultSecretTypes(), ","),
	} {
		if !slices.Contains(args, want) {
			t.Errorf("the arguments are %v, want %s", args, want)
		}
	}
	for sync, want := range map[string]string{
		"{enabled: true, secretSyncs: {enabled: true}}":                        "--secret-syncs",
		"{enabled: true, controllerName: mine}":                                "--controller-name=mine",
		"{enabled: true, secretTypes: [Opaque, example.com/licence]}":          "--secret-types=Opaque,example.com/licence",
		"{enabled: true, restart: {enabled: true, max: 1000000}}":              "--restart-max=1000000",
		"{enabled: true, restart: {enabled: true, maxNamespace: 7}}":           "--restart-max-namespace=7",
		"{enabled: true, restart: {enabled: true, pause: 1h}}":                 "--restart-pause=1h",
		"{enabled: true, restart: {enabled: true, window: 'Mon-Fri 22:00-4'}}": "--restart-window=Mon-Fri 22:00-4",
	} {
		if args := controllerPod(t, sync).Spec.Containers[0].Args; !slices.Contains(args, want) {
			t.Errorf("with %s the arguments are %v, want %s", sync, args, want)
		}
	}
	if settings.DefaultDriftInterval.Minutes() != 10 {
		t.Errorf("the command's drift interval is %v", settings.DefaultDriftInterval)
	}
}

func seconds(n float64) string { return fmt.Sprintf("%.0fs", n) }

// TestTheArgumentsAreSyncs has the real command read the flags of the chart.
func TestTheArgumentsAreSyncs(t *testing.T) {
	for _, sync := range []string{"{enabled: true}", "{enabled: true, controllerName: a, secretSyncs: {enabled: true}, interval: 1m, driftInterval: 1h}", "{enabled: true, restart: {enabled: true, window: 'Mon-Fri 02:00-04:00 Europe/Berlin'}}"} {
		c := controllerPod(t, sync).Spec.Containers[0]
		if !slices.Equal(c.Command, []string{"/lanyard-sync"}) {
			t.Errorf("the command is %v", c.Command)
		}
		var problems strings.Builder
		if code := cmd.Execute(append(slices.Clone(c.Args), "--help"), strings.NewReader(""), io.Discard, &problems); code != 0 {
			t.Errorf("lanyard-sync %s ends with %d: %s", strings.Join(c.Args, " "), code, &problems)
		}
	}
}

// rules are all rules of RBAC of a rendering.
func rules(t *testing.T, rendered Rendered) (all []rbac.PolicyRule) {
	t.Helper()
	for _, object := range rendered.Objects {
		var role rbac.ClusterRole
		if object.Head.Kind == "Role" || object.Head.Kind == "ClusterRole" {
			decode(t, object.Content, &role)
			all = append(all, role.Rules...)
		}
	}
	return all
}

func TestNoRightIsAWildcardOrReadsSecrets(t *testing.T) {
	for _, values := range []string{
		"{config: {policy: {tokenRequest: true, readObjects: true}}, sync: " + allOfSync + "}",
		"{sync: {enabled: true, namespaces: [shop]}}",
	} {
		all := rules(t, render(t, values))
		if len(all) < 8 {
			t.Errorf("there are %d rules", len(all))
		}
		for _, rule := range all {
			for _, part := range slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs, rule.ResourceNames) {
				if strings.Contains(part, "*") {
					t.Errorf("%v has a wildcard", rule)
				}
			}
			reads := slices.ContainsFunc(rule.Verbs, func(verb string) bool { return slices.Contains([]string{"get", "list", "watch"}, verb) })
			if slices.Contains(rule.Resources, "secrets") && reads && !slices.Equal(rule.ResourceNames, []string{"lanyard-version-key"}) {
				t.Errorf("%v reads Secrets", rule)
			}
		}
	}
}

func TestTheControllerMayWriteOnlyInItsNamespaces(t *testing.T) {
	rendered := controller(t, "{enabled: true, namespaces: [shop, billing]}")
	for _, rule := range object[rbac.ClusterRole](t, rendered, "ClusterRole").Rules {
		if slices.Contains(rule.Resources, "secrets") || slices.Contains(rule.Resources, "serviceaccounts/token") {
			t.Errorf("in the cluster it has %v", rule)
		}
	}
	namespaces := map[string]bool{}
	for _, object := range rendered.Objects {
		var bound rbac.RoleBinding
		if object.Head.Kind == "RoleBinding" {
			decode(t, object.Content, &bound)
			namespaces[bound.Namespace] = true
			if len(bound.Subjects) != 1 || bound.Subjects[0].Name != "lanyard-sync" || bound.Subjects[0].Namespace != "secrets" {
				t.Errorf("the subjects are %v", bound.Subjects)
			}
		}
	}
	if got := slices.Sorted(maps.Keys(namespaces)); !slices.Equal(got, []string{"billing", "secrets", "shop"}) {
		t.Errorf("there are bindings in %v", got)
	}
}

func TestWithoutASecretForTheKeyOfVersionsThereIsNoRightToIt(t *testing.T) {
	for _, test := range []struct {
		values string
		want   int
	}{
		{"{sync: {enabled: true}}", 2},
		{"{versionKey: {create: false}, sync: {enabled: true}}", 1},
		{"{config: {cache: {versionKeyFile: /etc/lanyard/secrets/mine/key}}, secrets: [mine], sync: {enabled: true}}", 1},
	} {
		if got := strings.Count(kinds(part(t, render(t, test.values), "sync")), " RoleBinding"); got != test.want {
			t.Errorf("with %s there are %d bindings, want %d", test.values, got, test.want)
		}
	}
}

// policies are the admission policies of a rendering by their names.
func policies(t *testing.T, rendered Rendered) map[string]admission.ValidatingAdmissionPolicy {
	t.Helper()
	found, bound := map[string]admission.ValidatingAdmissionPolicy{}, map[string]admission.ValidatingAdmissionPolicyBinding{}
	for _, object := range rendered.Objects {
		switch object.Head.Kind {
		case "ValidatingAdmissionPolicy":
			var policy admission.ValidatingAdmissionPolicy
			decode(t, object.Content, &policy)
			found[policy.Name] = policy
		case "ValidatingAdmissionPolicyBinding":
			var binding admission.ValidatingAdmissionPolicyBinding
			decode(t, object.Content, &binding)
			bound[binding.Spec.PolicyName] = binding
		}
	}
	for name, policy := range found {
		binding, is := bound[name]
		if !is || !slices.Equal(binding.Spec.ValidationActions, []admission.ValidationAction{admission.Deny}) || binding.Spec.MatchResources != nil {
			t.Errorf("the binding of %s is %v", name, binding.Spec)
		}
		if policy.Spec.FailurePolicy == nil || *policy.Spec.FailurePolicy != admission.Fail {
			t.Errorf("%s fails open", name)
		}
		for _, validation := range policy.Spec.Validations {
			if validation.Message == "" || strings.Contains(strings.TrimSpace(validation.Message), "\n") || *validation.Reason != "Forbidden" {
				t.Errorf("%s says %q for %s", name, validation.Message, validation.Expression)
			}
		}
	}
	if len(bound) != len(found) {
		t.Errorf("there are %d bindings of %d policies", len(bound), len(found))
	}
	return found
}

func TestPoliciesHoldForTheControllerAlone(t *testing.T) {
	found := policies(t, controller(t, allOfSync))
	want := []string{"lanyard-sync-classes.secrets", "lanyard-sync-requester.secrets", "lanyard-sync-secrets.secrets", "lanyard-sync-tokens.secrets", "lanyard-sync-workloads.secrets"}
	if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, want) {
		t.Errorf("the policies are %v", got)
	}
	for name, policy := range found {
		conditions := policy.Spec.MatchConditions
		if name == "lanyard-sync-requester.secrets" {
			if len(conditions) != 0 {
				t.Errorf("%s holds only for %v", name, conditions)
			}
			continue
		}
		if len(conditions) != 1 || conditions[0].Expression != "request.userInfo.username == 'system:serviceaccount:secrets:lanyard-sync'" {
			t.Errorf("%s holds for %v", name, conditions)
		}
	}
}

// TestTheAudiencesOfTheController renders the policy of tokens, and shows what is
// allowed by it.
func TestTheAudiencesOfTheController(t *testing.T) {
	const (
		aws, azure  = "pods.eks.amazonaws.com sts.amazonaws.com", "api://AKSIdentityBinding api://AzureADTokenExchange"
		gcp, closed = "*.svc.id.goog https://iam.googleapis.com/projects/*/locations/global/workloadIdentityPools/*/providers/*", "policy: {classStores: false}"
	)
	for values, want := range map[string]string{
		"":                                  strings.Join([]string{gcp, azure, aws, "vault"}, " "),
		"config: {" + closed + "}":          "none",
		"dialects: [vault]":                 "vault",
		"dialects: [openbao]":               "openbao",
		"dialects: [aws]":                   aws,
		"dialects: [azure]":                 azure,
		"dialects: [gcp]":                   gcp,
		"dialects: [gke]":                   gcp,
		"{dialects: [vault, aws, openbao]}": "openbao " + aws + " vault",
		"config: {" + closed + ", stores: {a: {type: vault}}}":                                                                                                                              "vault",
		"config: {" + closed + ", stores: {a: {type: vault, auth: {audience: mine}}}}":                                                                                                      "mine vault",
		"config: {" + closed + ", stores: {a: {type: vault, override: {auth.audience: [one, two]}}}}":                                                                                       "one two vault",
		"config: {" + closed + ", stores: {a: {type: aws-parameter-store}}}":                                                                                                                aws,
		"config: {" + closed + ", stores: {a: {type: azure-key-vault}}}":                                                                                                                    azure,
		"config: {" + closed + ", stores: {a: {type: google-secret-manager, auth: {tokenAudience: mine}}}}":                                                                                 gcp + " mine",
		"config: {" + closed + ", stores: {a: {type: sealed, keys: [{name: k, service: {type: gcp}}]}}}":                                                                                    gcp,
		"config: {" + closed + ", stores: {a: {type: sealed, keys: [{service: {type: vault}}, {service: {type: aws, key: k}}]}}}":                                                           aws + " vault",
		"config: {" + closed + ", stores: {a: {type: sealed, keyRing: /etc/lanyard/files/ring/r}, b: {type: file, root: /srv, allow: [a/b]}}}\nhostDirectories: [/srv]\nconfigMaps: [ring]": "none",
		"{dialects: [aws], sync: {audiences: [https://vault.example.com, '*.example.com']}}":                                                                                                "https://vault.example.com *.example.com",
	} {
		read, err := Values(values)
		if err != nil {
			t.Fatal(err)
		}
		sync, _ := read["sync"].(map[string]any)
		if sync == nil {
			sync = map[string]any{}
		}
		sync["enabled"], read["sync"] = true, sync
		rendered, err := Render(Release{Name: "lanyard", Namespace: "secrets", Values: read})
		if err != nil {
			t.Fatal(err)
		}
		text := policies(t, rendered)["lanyard-sync-tokens.secrets"].Spec.Validations[0].MessageExpression
		shown := regexp.MustCompile(`only for (.*); let the operator`).FindStringSubmatch(text)
		if shown == nil {
			t.Fatalf("the message is %s", text)
		}
		got, want := strings.Split(shown[1], ", "), strings.Fields(want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("with %s tokens may be asked for the audiences\n%v, want\n%v", values, got, want)
		}
	}
}

func TestTheDefinitionOfSecretSyncsStaysWhenTheReleaseGoes(t *testing.T) {
	var definition struct {
		Metadata struct {
			Name        string
			Annotations map[string]string
		}
	}
	for _, object := range controller(t, allOfSync).Objects {
		if object.Head.Kind == "CustomResourceDefinition" {
			decode(t, object.Content, &definition)
		}
	}
	if definition.Metadata.Name != "secretsyncs.secret-sync.x-k8s.io" || definition.Metadata.Annotations["helm.sh/resource-policy"] != "keep" {
		t.Errorf("the definition is %v", definition)
	}
}

func TestNotesTellWhatTheControllerMayDo(t *testing.T) {
	if notes := render(t, "").Notes; strings.Contains(notes, "sync") {
		t.Errorf("the notes speak of the controller:\n%s", notes)
	}
	for sync, want := range map[string]string{
		"{enabled: true}": "in ALL namespaces",
		"{enabled: true, namespaces: [shop, billing]}":         "in the namespaces shop, billing",
		"{enabled: true, admissionPolicies: {enabled: false}}": "can read every Secret",
	} {
		if notes := render(t, "sync: "+sync).Notes; !strings.Contains(notes, want) || !strings.Contains(notes, "deployment/lanyard-sync") {
			t.Errorf("with %s the notes do not say %q:\n%s", sync, want, notes)
		}
	}
}

func TestThePageOfTheControllerShowsValuesThatRender(t *testing.T) {
	_, page, _ := strings.Cut(string(source(t, "docs/sync.md")), "## Install and rights")
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(page)
	if block == nil || !strings.Contains(block[1], "enabled: true") {
		t.Fatal("docs/sync.md shows no values")
	}
	if got := syncConfig(t, block[1]); len(got.Stores) == 0 {
		t.Errorf("the configuration is %v", got)
	}
}

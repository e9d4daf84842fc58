package deployment

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	admission "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	disruption "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/version"
	limits "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/cmd"
	"github.com/lanyardhq/lanyard/integration/checkout"
	"github.com/lanyardhq/lanyard/server/inject"
	"github.com/lanyardhq/lanyard/server/inject/webhook"
)

// allOfInject switches on everything of the webhook but cert-manager.
const allOfInject = "{enabled: true, dialects: [vault-agent, bank-vaults, akv2k8s], imageVolumes: true, agentConfig: {cluster: east}, " +
	"vault: {address: 'https://vault.example.com:8200', namespace: team, audience: vault, caSecret: vault-ca}, exemptNamespaces: [kube-system, secure], agentResources: {limits: {cpu: 100m}}}"

// withCertManager leaves the certificate to cert-manager.
const withCertManager = "{enabled: true, certManager: {enabled: true}}"

// hook is what is rendered of the webhook with the values of inject.
func hook(t *testing.T, inject string) Rendered {
	t.Helper()
	return part(t, render(t, "inject: "+inject), "inject")
}

func hookPod(t *testing.T, inject string) core.PodTemplateSpec {
	t.Helper()
	return object[apps.Deployment](t, hook(t, inject), "Deployment").Spec.Template
}

func TestWhatMakesUpTheWebhook(t *testing.T) {
	const own = "ClusterRole ClusterRoleBinding Deployment MutatingWebhookConfiguration NetworkPolicy PodDisruptionBudget Role RoleBinding Secret Service ServiceAccount"
	for values, want := range map[string]string{
		"{}":              "",
		"{enabled: true}": own,
		"{enabled: true, agentConfig: {cluster: east}}":                strings.Replace(own, "Deployment", "ConfigMap Deployment", 1),
		"{enabled: true, serviceAccount: {create: false, name: mine}}": strings.TrimSuffix(own, " ServiceAccount"),
		withCertManager: "Certificate Deployment Issuer MutatingWebhookConfiguration NetworkPolicy PodDisruptionBudget Service ServiceAccount",
		"{enabled: true, certManager: {enabled: true, issuer: {name: mine}}}": "Certificate Deployment MutatingWebhookConfiguration NetworkPolicy PodDisruptionBudget Service ServiceAccount",
	} {
		if got := kinds(hook(t, values)); got != want {
			t.Errorf("with %s the kinds are\n%s, want\n%s", values, got, want)
		}
	}
	if before, after := render(t, ""), part(t, render(t, "inject: "+allOfInject), "provider"); string(before.YAML()) != string(after.YAML()) {
		t.Error("the provider's objects are others with the webhook")
	}
}

func TestTheWebhooksPodsAreFullyRestricted(t *testing.T) {
	for _, values := range []string{allOfInject, withCertManager} {
		template := hookPod(t, values)
		if got := failed(t, template); len(got) != 0 {
			t.Errorf("the pods fail %v", got)
		}
		c := template.Spec.Containers[0]
		if !*c.SecurityContext.ReadOnlyRootFilesystem || len(c.Env)+len(c.EnvFrom) != 0 || c.Resources.Limits.Memory().IsZero() {
			t.Errorf("the container is %v", c)
		}
	}
	// The key is for this group alone, and without the token nothing can be asked.
	template := hookPod(t, withCertManager)
	_, volume := mount(t, template.Spec, "/etc/lanyard/tls")
	if *volume.Secret.DefaultMode != 0o400 || *template.Spec.AutomountServiceAccountToken {
		t.Errorf("the Secret is %v, the token mounted %v", volume.Secret, *template.Spec.AutomountServiceAccountToken)
	}
}

func TestTheWebhookMayDoTwoThings(t *testing.T) {
	want := []rbac.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"lanyard-inject"}, Verbs: []string{"get", "update"}},
		{APIGroups: []string{"admissionregistration.k8s.io"}, Resources: []string{"mutatingwebhookconfigurations"}, ResourceNames: []string{"lanyard-inject.secrets"}, Verbs: []string{"get", "patch"}},
	}
	got := rules(t, hook(t, allOfInject))
	if len(got) == 2 && len(got[0].APIGroups[0]) > 0 {
		slices.Reverse(got)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the rights are %v, want %v", got, want)
	}
	its := hook(t, allOfInject)
	if name := object[admission.MutatingWebhookConfiguration](t, its, "MutatingWebhookConfiguration").Name; name != want[1].ResourceNames[0] {
		t.Errorf("the configuration is %s", name)
	}
	if secret := object[core.Secret](t, its, "Secret"); secret.Name != "lanyard-inject" || len(secret.Data)+len(secret.StringData) != 0 {
		t.Errorf("the Secret is %v", secret)
	}
	if got := rules(t, hook(t, withCertManager)); len(got) != 0 {
		t.Errorf("with cert-manager the rights are %v", got)
	}
}

func TestReplicasOfTheWebhookAndWhoReachesThem(t *testing.T) {
	rendered := part(t, render(t, "{serviceMonitor: {enabled: true}, networkPolicy: {from: [{namespaceSelector: {}}], egress: {enabled: true}}, config: {stores: {v: {type: vault, address: 'https://10.1.2.3:8200', auth: {method: kubernetes}}}}, inject: {enabled: true}}"), "inject")
	deployment := object[apps.Deployment](t, rendered, "Deployment")
	service := object[core.Service](t, rendered, "Service")
	budget := object[disruption.PodDisruptionBudget](t, rendered, "PodDisruptionBudget")
	for what, selector := range map[string]map[string]string{"Deployment": deployment.Spec.Selector.MatchLabels, "Service": service.Spec.Selector, "budget": budget.Spec.Selector.MatchLabels} {
		if !within(selector, deployment.Spec.Template.Labels) || within(selector, daemonSet(t, render(t, "")).Spec.Template.Labels) {
			t.Errorf("the %s asks for %v", what, selector)
		}
	}
	if *deployment.Spec.Replicas != 2 || budget.Spec.MaxUnavailable.IntValue() != 1 || deployment.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue() != 0 {
		t.Errorf("replicas %d, budget %v, strategy %v", *deployment.Spec.Replicas, budget.Spec, deployment.Spec.Strategy)
	}
	var ports []string
	for _, p := range deployment.Spec.Template.Spec.Containers[0].Ports {
		ports = append(ports, p.Name)
	}
	for _, p := range service.Spec.Ports {
		if !slices.Contains(ports, p.TargetPort.String()) {
			t.Errorf("the Service leads to %v; the ports are %v", p, ports)
		}
	}
	var closed networking.NetworkPolicy
	for _, o := range rendered.Objects {
		var policy networking.NetworkPolicy
		if o.Head.Kind != "NetworkPolicy" {
			continue
		}
		decode(t, o.Content, &policy)
		if len(policy.Spec.Ingress) > 0 {
			closed = policy
		}
		// DNS and the API server, and no store.
		if egress := policy.Spec.Egress; len(egress) > 0 && len(egress) != 2 {
			t.Errorf("it may call %v", egress)
		}
	}
	// API servers reach the webhook, and only the peers the metrics.
	if len(closed.Spec.Ingress) != 2 || len(closed.Spec.Ingress[0].From) != 0 || closed.Spec.Ingress[0].Ports[0].Port.String() != "webhook" || len(closed.Spec.Ingress[1].From) != 1 || closed.Spec.Ingress[1].Ports[0].Port.String() != "admin" {
		t.Errorf("the policy opens %v", closed.Spec.Ingress)
	}
}

func TestTheWebhooksArgumentsAreInjects(t *testing.T) {
	for values, want := range map[string][]string{
		"{enabled: true}": {"inject", "--namespace=secrets", "--service=lanyard-inject", "--secret=lanyard-inject", "--webhook=lanyard-inject.secrets", "--address=:8443", "--exempt-namespaces=kube-system",
			"--audience=vault,sts.amazonaws.com,api://AzureADTokenExchange", "--vault-auth-path=kubernetes", "--agent-memory-limit=128Mi", "--agent-cpu-limit="},
		allOfInject: {"--dialects=vault-agent,bank-vaults,akv2k8s", "--image-volumes", "--vault-address=https://vault.example.com:8200", "--vault-namespace=team", "--vault-audience=vault", "--vault-ca-secret=vault-ca",
			"--exempt-namespaces=kube-system,secure", "--agent-config=/etc/lanyard/config/agent.yaml", "--agent-cpu-limit=100m", "--akv-class=akv2k8s"},
		withCertManager: {"--tls-cert-file=/etc/lanyard/tls/tls.crt", "--tls-key-file=/etc/lanyard/tls/tls.key"},
	} {
		c := hookPod(t, values).Spec.Containers[0]
		for _, arg := range want {
			if !slices.Contains(c.Args, arg) {
				t.Errorf("with %s the arguments are %q, want %s", values, c.Args, arg)
			}
		}
		if image := "--image=" + c.Image; !slices.Contains(c.Args, image) {
			t.Errorf("agents have another image than %s", image)
		}
		var problems strings.Builder
		if code := cmd.Execute(append(slices.Clone(c.Args), "--help"), strings.NewReader(""), io.Discard, &problems); code != 0 {
			t.Errorf("lanyard %s ends with %d: %s", strings.Join(c.Args, " "), code, &problems)
		}
	}
}

// configuration is the webhook configuration.
func configuration(t *testing.T, values string) []admission.MutatingWebhook {
	t.Helper()
	return object[admission.MutatingWebhookConfiguration](t, hook(t, values), "MutatingWebhookConfiguration").Webhooks
}

func TestTheWebhookIsAskedAboutNewPodsElsewhere(t *testing.T) {
	for values, paths := range map[string][]string{"{enabled: true}": {webhook.Path}, allOfInject: {webhook.PathReferences, webhook.Path}} {
		all := configuration(t, values)
		if len(all) != len(paths) {
			t.Fatalf("with %s there are %d webhooks", values, len(all))
		}
		for i, w := range all {
			service := w.ClientConfig.Service
			if *w.FailurePolicy != admission.Fail || *w.SideEffects != admission.SideEffectClassNone || *w.ReinvocationPolicy != admission.IfNeededReinvocationPolicy || *w.TimeoutSeconds != 10 || len(w.AdmissionReviewVersions) != 1 {
				t.Errorf("the webhook is %v", w)
			}
			if *service.Path != paths[i] || service.Name != "lanyard-inject" || service.Namespace != "secrets" || len(w.ClientConfig.CABundle) != 0 {
				t.Errorf("it is called at %v", service)
			}
			if r := w.Rules[0]; len(w.Rules) != 1 || !slices.Equal(r.Operations, []admission.OperationType{admission.Create}) || !slices.Equal(r.Resources, []string{"pods"}) {
				t.Errorf("it is asked about %v", w.Rules)
			}
			if s := w.NamespaceSelector.MatchExpressions[0]; s.Key != "kubernetes.io/metadata.name" || s.Operator != "NotIn" || !slices.Contains(s.Values, "secrets") || !slices.Contains(s.Values, "kube-system") {
				t.Errorf("it is asked about pods of %v", w.NamespaceSelector)
			}
			if labelled := len(w.NamespaceSelector.MatchExpressions) == 2; labelled != (*service.Path == webhook.PathReferences) {
				t.Errorf("%s is for %v", *service.Path, w.NamespaceSelector)
			}
		}
	}
	manager := object[admission.MutatingWebhookConfiguration](t, hook(t, withCertManager), "MutatingWebhookConfiguration")
	if manager.Annotations["cert-manager.io/inject-ca-from"] != "secrets/lanyard-inject" {
		t.Errorf("the annotations are %v", manager.Annotations)
	}
}

// The API server asks about the pods that ask for secrets: of the pods that the webhook is
// tested with, those that it changes or refuses, and those with a text that looks like a
// reference and is none, which it warns of.
func TestConditionsMatchThePodsThatAsk(t *testing.T) {
	for values, dialects := range map[string][]string{"{enabled: true}": nil, "{enabled: true, dialects: [vault-agent]}": {inject.VaultAgent}, allOfInject: inject.Dialects()} {
		conditions := conditions(t, values)
		counts := map[bool]int{}
		for name, pod := range podsOfTests(t) {
			matched, _ := match(t, conditions, pod)
			result, err := inject.Pod(pod, "shop", inject.Options{Image: "lanyard", Audiences: []string{"vault"}, Dialects: dialects, AKVClass: "akv2k8s", Vault: inject.Vault{Address: "https://v", AuthPath: "kubernetes"}})
			var refused inject.RefusalError
			asks := result.Wants || errors.As(err, &refused)
			if looks := len(result.Warnings) > 0; asks != matched && !(matched && looks) {
				t.Errorf("with %v, %s asks for secrets: %v, and the API server asks: %v", dialects, name, asks, matched)
			}
			counts[matched]++
		}
		if counts[true] < 10 || counts[false] < 3 {
			t.Errorf("with %v: %v", dialects, counts)
		}
	}
}

// conditions are the match conditions of the webhooks as API servers compile them, with
// the limit of what an expression may cost.
func conditions(t *testing.T, values string) []cel.Program {
	t.Helper()
	set, err := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0), EnvOptions: []cel.EnvOption{cel.Variable("object", cel.DynType)},
	})
	if err != nil {
		t.Fatal(err)
	}
	env := set.NewExpressionsEnv()
	var all []cel.Program
	for _, w := range configuration(t, values) {
		if len(w.MatchConditions) != 1 {
			t.Fatalf("the conditions are %v", w.MatchConditions)
		}
		parsed, issues := env.Compile(w.MatchConditions[0].Expression)
		if issues.Err() != nil {
			t.Fatal(issues.Err(), w.MatchConditions[0].Expression)
		}
		condition, err := env.Program(parsed)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, condition)
	}
	return all
}

// match returns whether API servers ask about the pod, and the highest cost of a condition.
func match(t *testing.T, conditions []cel.Program, pod *core.Pod) (matched bool, cost uint64) {
	t.Helper()
	for _, condition := range conditions {
		result, details, err := condition.Eval(map[string]any{"object": generic(t, pod)})
		if err != nil {
			t.Fatal(err)
		}
		matched = matched || result.Value() == true
		cost = max(cost, *details.ActualCost())
	}
	return matched, cost
}

// A condition that costs more than API servers allow has the pod refused, even one that
// asks for nothing. What it costs grows with the size: four of these pods together are about
// as large as an object can be, 1 MiB of variables.
func TestConditionsAreEvaluatedForLargePods(t *testing.T) {
	const size = 1 << 18
	conditions := conditions(t, allOfInject)
	for name, text := range map[string]string{
		"one text":         strings.Repeat("x", size),
		"a configuration":  strings.Repeat("- vault: {address: '${VAULT}'}\n  bao: {}\n", size/40)[:size],
		"addresses":        "https://api.example.com:8443/v1/things/0123456789",
		"colons":           ":",
		"short texts":      "1",
		"beginnings":       "arn:aws:s3:::bucket-of-the-team-with-a-name",
		"words of a vault": "key-vault: https://vault.example.com:8200",
	} {
		var variables []core.EnvVar
		for n := 0; n < size; n += len(`{"name":"A12345","value":""},`) + len(text) {
			variables = append(variables, core.EnvVar{Name: fmt.Sprintf("A%05d", len(variables)), Value: text})
		}
		pod := &core.Pod{Spec: core.PodSpec{Containers: []core.Container{{Name: "web", Env: variables}}}}
		if matched, cost := match(t, conditions, pod); matched || cost > limits.PerCallLimit/4 {
			t.Errorf("%s: %d variables cost %d; the API server asks: %v", name, len(variables), cost, matched)
		}
	}
}

// podsOfTests are the pods that package inject is tested with, one that asks for nothing,
// and one for each text that is a reference, or nearly.
func podsOfTests(t *testing.T) map[string]*core.Pod {
	t.Helper()
	dir, err := checkout.Path("server", "inject", "testdata")
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(found) < 4 {
		t.Fatal(found, err)
	}
	pods := map[string]*core.Pod{"nothing": {Spec: core.PodSpec{Containers: []core.Container{{Name: "web", Env: []core.EnvVar{{Name: "A", Value: "https://example.com/vault:1"}}}}}}}
	for _, text := range []string{
		"vault:a", "vault:", ">>vault:a", ">>>vault:a", "> >vault:a", " vault:a", "a\nvault:a", "Vault:a", "myvault:a", "vault", "vaults:a", "bao:a", ">>bao:a", "xbao:a", "bao",
		"${vault:a}", "a ${vault:a", "${>>vault:a}", "$ {vault:a}", "$vault:a", "{vault:a}", "${bao:a}", "a\n${>>bao:a}", "${>bao:a}", "${ bao:a}", "$${vault:a}",
		"arn:aws:secretsmanager:a", "arn:aws:ssm:a", "arn:aws:ssm", "arn:aws:s3:::a", " arn:aws:ssm:a", "${arn:aws:ssm:a}", "arn:aws-cn:ssm:a", "gcp:secretmanager:a", "gcp:secretmanager", "xgcp:secretmanager:",
		"azure:keyvault:a", "azure:keyvault", "xazure:keyvault:a", "azure:keyvault: vault:", "a@azurekeyvault", "@AzureKeyVault", "azurekeyvault", "a@azurekeyvault?", ":", "",
	} {
		pods["variable "+text] = &core.Pod{Spec: core.PodSpec{Containers: []core.Container{{Name: "web", Command: []string{"/app"}, Env: []core.EnvVar{{Name: "A", Value: text}}}}}}
	}
	for _, file := range found {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var given []struct {
			Name        string
			Annotations map[string]string
			Spec        *core.PodSpec
			Env         []core.EnvVar
		}
		if err := yaml.Unmarshal(text, &given); err != nil {
			t.Fatal(err)
		}
		for _, g := range given {
			pod := &core.Pod{}
			pod.Annotations = maps.Clone(g.Annotations)
			pod.Spec.Containers = []core.Container{{Name: "web", Command: []string{"/app"}, Env: g.Env}}
			if g.Spec != nil {
				pod.Spec = *g.Spec
			}
			pods[filepath.Base(file)+": "+g.Name] = pod
		}
	}
	return pods
}

func generic(t *testing.T, value any) map[string]any {
	t.Helper()
	text, err := json.Marshal(value)
	var read map[string]any
	if err := errors.Join(err, json.Unmarshal(text, &read)); err != nil {
		t.Fatal(err)
	}
	return read
}

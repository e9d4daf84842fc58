package impersonation

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	restclient "k8s.io/client-go/rest"

	"github.com/lanyardhq/lanyard/integration/cluster/policies"
)

// templates are the kinds with a template of pods, and how each is written.
var templates = map[string]string{
	"ReplicationController": `{apiVersion: v1, kind: ReplicationController, metadata: {name: %s}, spec: {selector: {app: a}, template: %s}}`,
	"Deployment":            `{apiVersion: apps/v1, kind: Deployment, metadata: {name: %s}, spec: {selector: {matchLabels: {app: a}}, template: %s}}`,
	"ReplicaSet":            `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: %s}, spec: {selector: {matchLabels: {app: a}}, template: %s}}`,
	"StatefulSet":           `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: %s}, spec: {serviceName: a, selector: {matchLabels: {app: a}}, template: %s}}`,
	"DaemonSet":             `{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: %s}, spec: {selector: {matchLabels: {app: a}}, template: %s}}`,
	"Job":                   `{apiVersion: batch/v1, kind: Job, metadata: {name: %s}, spec: {template: %s}}`,
	"CronJob":               `{apiVersion: batch/v1, kind: CronJob, metadata: {name: %s}, spec: {schedule: "0 0 * * *", jobTemplate: {spec: {template: %s}}}}`,
}

// kinds are all kinds that run pods.
var kinds = slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(templates)), "Pod")))

// runs is an object of a kind whose pod has more fields, as they stand in YAML.
func runs(kind, name, fields string) string {
	restart := "Always"
	if kind == "Job" || kind == "CronJob" {
		restart = "Never"
	}
	spec := fmt.Sprintf("{restartPolicy: %s, containers: [{name: a, image: a}], %s}", restart, fields)
	if kind == "Pod" {
		return fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: %s}`, name, spec)
	}
	return fmt.Sprintf(templates[kind], name, fmt.Sprintf("{metadata: {labels: {app: a}}, spec: %s}", spec))
}

// within is a patch of the pod that an object of a kind runs.
func within(kind, pod string) string {
	switch kind {
	case "Pod":
		return pod
	case "CronJob":
		return `{"spec":{"jobTemplate":{"spec":{"template":` + pod + `}}}}`
	}
	return `{"spec":{"template":` + pod + `}}`
}

// ready waits until the policies that refuse are known, so that what is
// accepted is not accepted before.
func ready(t *testing.T) (anna, ute, gus *policies.Client) {
	t.Helper()
	anna, ute, gus = admin.As(t, "anna"), admin.As(t, "ute"), admin.As(t, "gus")
	for _, namespace := range []string{enforced, strict} {
		policies.Refused(t, policyOf(namespace), "", create(t, anna, namespace, runs("Pod", "a", "serviceAccountName: web")))
	}
	return anna, ute, gus
}

func TestWhatRunsNamesOnlyAServiceAccountThatItsAuthorMayUse(t *testing.T) {
	anna, ute, gus := ready(t)
	for _, kind := range kinds {
		web, api := runs(kind, "a", "serviceAccountName: web"), runs(kind, "a", "serviceAccountName: api")
		want := "may not use the service account %s of namespace enforced for a " + kind + "; that takes the verb use on this service account"
		t.Run(kind, func(t *testing.T) {
			for what, text := range map[string]string{
				"by name":                   web,
				"by the deprecated field":   runs(kind, "a", "serviceAccount: web"),
				"by both":                   runs(kind, "a", "serviceAccountName: web, serviceAccount: default"),
				"without mounting a token":  runs(kind, "a", "serviceAccountName: web, automountServiceAccountToken: false"),
				"with a name that is built": strings.Replace(web, "name: a}", "generateName: a-}", 1),
			} {
				t.Run(what, func(t *testing.T) {
					policies.Refused(t, policyOf(enforced), "anna "+fmt.Sprintf(want, "web"), create(t, anna, enforced, text))
					policies.Accepted(t, create(t, ute, enforced, text))
				})
			}
			policies.Refused(t, policyOf(enforced), "ute "+fmt.Sprintf(want, "api"), create(t, ute, enforced, api))
			for _, text := range []string{web, api} {
				policies.Accepted(t, create(t, gus, enforced, text))
				policies.Accepted(t, create(t, admin, enforced, text))
			}
			for _, text := range []string{runs(kind, "a", ""), runs(kind, "a", "serviceAccountName: default")} {
				policies.Accepted(t, create(t, anna, enforced, text))
				policies.Refused(t, policyOf(strict), "anna may not use the service account default of namespace strict", create(t, anna, strict, text))
				policies.Accepted(t, create(t, gus, strict, text))
			}
		})
	}
}

// What the controllers make was checked when somebody asked for it.
func TestTheControllersOfTheClusterAreNotChecked(t *testing.T) {
	ready(t)
	for user, kind := range map[string]string{
		"kube-controller-manager":                           "Pod",
		"serviceaccount:kube-system:cronjob-controller":     "Job",
		"serviceaccount:kube-system:daemon-set-controller":  "Pod",
		"serviceaccount:kube-system:deployment-controller":  "ReplicaSet",
		"serviceaccount:kube-system:job-controller":         "Pod",
		"serviceaccount:kube-system:replicaset-controller":  "Pod",
		"serviceaccount:kube-system:replication-controller": "Pod",
		"serviceaccount:kube-system:statefulset-controller": "Pod",
	} {
		who, text := admin.As(t, "system:"+user), runs(kind, "a", "serviceAccountName: web")
		policies.Accepted(t, create(t, who, enforced, text))
		policies.Refused(t, policyOf(strict), user+" may not use the service account web", create(t, who, strict, text))
	}
	robot := admin.As(t, "robot@example.com")
	policies.Accepted(t, create(t, robot, strict, runs("Pod", "a", "serviceAccountName: web")))
	policies.Refused(t, policyOf(enforced), "robot@example.com may not use", create(t, robot, enforced, runs("Pod", "a", "serviceAccountName: web")))
}

// A pod that a node only shows has no service account.
func TestANodeShowsItsOwnPods(t *testing.T) {
	ready(t)
	if err := server.Apply(t.Context(), []byte("{apiVersion: v1, kind: Node, metadata: {name: n1}}")); err != nil {
		t.Fatal(err)
	}
	node, err := admin.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	policies.Accepted(t, create(t, admin.As(t, "system:node:n1", "system:nodes"), strict, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata:
  name: shown
  annotations: {kubernetes.io/config.mirror: a}
  ownerReferences: [{apiVersion: v1, kind: Node, name: n1, uid: %s, controller: true}]
spec: {nodeName: n1, containers: [{name: a, image: a}]}
`, node.UID)))
}

func TestAnUpdateThatNamesAnotherServiceAccountIsChecked(t *testing.T) {
	anna, ute, gus := ready(t)
	const (
		toAPI     = `{"spec":{"serviceAccountName":"api"}}`
		toDefault = `{"spec":{"serviceAccountName":null,"serviceAccount":null}}`
		image     = `{"spec":{"containers":[{"name":"a","image":"other"}]}}`
		label     = `{"metadata":{"labels":{"note":"changed"}}}`
		restarted = `{"metadata":{"annotations":{"restarted":"now"}}}`
	)
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			for _, namespace := range []string{enforced, strict} {
				made(t, namespace, runs(kind, "kept", "serviceAccountName: web"))
				policies.Accepted(t, patch(anna, namespace, kind, "kept", label))
			}
			if kind != "Job" { // whose template cannot be changed
				policies.Accepted(t, patch(anna, enforced, kind, "kept", within(kind, image)))
				policies.Refused(t, policyOf(strict), "anna may not use the service account web", patch(anna, strict, kind, "kept", within(kind, image)))
				policies.Accepted(t, patch(ute, strict, kind, "kept", within(kind, image)))
			}
			if kind != "Job" {
				// What webhooks and agents follow, and what they do not.
				for name, followed := range map[string]bool{
					"lanyard.dev/agent-class": true, "lanyard.dev/inject": true, "vault.hashicorp.com/service": true,
					"vault.security.banzaicloud.io/vault-addr": true, "secrets-webhook.security.bank-vaults.io/vault-addr": true,
					"lanyard.dev/restart-on": false, "lanyard.dev/restarted-for": false, "kubectl.kubernetes.io/restartedAt": false,
				} {
					change := within(kind, `{"metadata":{"annotations":{"`+name+`":"a"}}}`)
					if !followed {
						policies.Accepted(t, patch(anna, strict, kind, "kept", change))
						continue
					}
					policies.Refused(t, policyOf(strict), "anna may not use the service account web", patch(anna, strict, kind, "kept", change))
					policies.Accepted(t, patch(ute, strict, kind, "kept", change))
				}
			}
			if kind == "Job" || kind == "Pod" {
				return
			}
			policies.Accepted(t, patch(anna, strict, kind, "kept", within(kind, restarted)))
			for _, namespace := range []string{enforced, strict} {
				for _, who := range []*policies.Client{anna, ute} {
					policies.Refused(t, policyOf(namespace), "may not use the service account api", patch(who, namespace, kind, "kept", within(kind, toAPI)))
				}
				policies.Accepted(t, patch(gus, namespace, kind, "kept", within(kind, toAPI)))
			}
			policies.Accepted(t, patch(anna, enforced, kind, "kept", within(kind, toDefault)))
			policies.Refused(t, policyOf(strict), "anna may not use the service account default", patch(anna, strict, kind, "kept", within(kind, toDefault)))
		})
	}
	policies.Accepted(t, patch(anna, strict, "Deployment", "kept", `{"spec":{"replicas":5}}`))
	policies.Accepted(t, patch(anna, strict, "Deployment", "kept", `{"spec":{"replicas":5}}`, "scale"))
}

func TestAContainerThatIsAddedToAPodIsChecked(t *testing.T) {
	anna, ute, _ := ready(t)
	made(t, enforced, runs("Pod", "joined", "serviceAccountName: web"))
	made(t, enforced, runs("Pod", "joined-default", ""))
	const container = `{"spec":{"ephemeralContainers":[{"name":"debug","image":"a"}]}}`
	policies.Refused(t, policyOf(enforced), "anna may not use the service account web", patch(anna, enforced, "Pod", "joined", container, "ephemeralcontainers"))
	policies.Accepted(t, patch(ute, enforced, "Pod", "joined", container, "ephemeralcontainers"))
	policies.Accepted(t, patch(anna, enforced, "Pod", "joined-default", container, "ephemeralcontainers"))
}

func TestASecretWithATokenIsChecked(t *testing.T) {
	anna, ute, _ := ready(t)
	secret := func(name, kind, account string) string {
		return fmt.Sprintf(`{apiVersion: v1, kind: Secret, type: %s, metadata: {name: %s, annotations: {kubernetes.io/service-account.name: %s}}}`, kind, name, account)
	}
	const token = "kubernetes.io/service-account-token"
	policies.Refused(t, policyOf(enforced), "anna may not use the service account web of namespace enforced for a Secret", create(t, anna, enforced, secret("a", token, "web")))
	policies.Accepted(t, create(t, ute, enforced, secret("a", token, "web")))
	policies.Accepted(t, create(t, anna, enforced, secret("a", token, "default")))
	policies.Accepted(t, create(t, anna, enforced, secret("a", "Opaque", "web")))
	policies.Accepted(t, create(t, anna, strict, `{apiVersion: v1, kind: Secret, metadata: {name: a}}`))
	made(t, enforced, secret("token", token, "web"))
	for _, who := range []*policies.Client{anna, ute} {
		policies.Accepted(t, patch(who, enforced, "Secret", "token", `{"metadata":{"labels":{"note":"changed"}}}`))
		policies.Refused(t, policyOf(enforced), "may not use the service account api", patch(who, enforced, "Secret", "token", `{"metadata":{"annotations":{"kubernetes.io/service-account.name":"api"}}}`))
	}
}

func TestNamespacesThatAreNotChecked(t *testing.T) {
	anna, _, _ := ready(t)
	for _, namespace := range []string{metav1.NamespaceSystem, "lanyard-" + enforced, "lanyard-" + strict} {
		policies.Accepted(t, create(t, anna, namespace, runs("Deployment", "a", "serviceAccountName: web")))
	}
}

// The right to create pods is that to have what their service accounts have,
// unless the policy is there.
func TestWhoMayCreatePodsMayNotHaveSecretsSyncedForThat(t *testing.T) {
	anna, ute, _ := ready(t)
	const class = `{apiVersion: secrets-store.csi.x-k8s.io/v1, kind: SecretProviderClass, metadata: {name: a, annotations: {lanyard.dev/sync: web}}, spec: {provider: lanyard}}`
	policies.Refused(t, "lanyard-sync-requester.lanyard-"+enforced, "anna may not have Secrets synced as the service account web", create(t, anna, enforced, class))
	policies.Accepted(t, create(t, ute, enforced, class))
}

// warnings are what the API server warned of.
type warnings struct {
	mu  sync.Mutex
	all []string
}

// HandleWarningHeader implements restclient.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, text)
}

// taken are the warnings since the last time.
func (w *warnings) taken() (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all, w.all = w.all, nil
	return all
}

// hearing is a client whose warnings are kept.
func hearing(t *testing.T, user string, groups ...string) (*policies.Client, *warnings) {
	t.Helper()
	heard := &warnings{}
	who := admin.As(t, user, groups...)
	config := restclient.CopyConfig(who.Config)
	config.WarningHandler = heard
	who, err := policies.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	return who, heard
}

func TestAReportWarnsAndListsWhoWouldBeRefused(t *testing.T) {
	anna, heard := hearing(t, "anna")
	for _, kind := range kinds {
		want := refusal(reported, kind)
		policies.Eventually(t, func() error {
			if err := create(t, anna, reported, runs(kind, "a", "serviceAccountName: web"))(t.Context()); err != nil {
				return err
			}
			if all := heard.taken(); len(all) != 1 || !strings.Contains(all[0], want) {
				return fmt.Errorf("the warnings are %q, want %q", all, want)
			}
			return nil
		})
	}
	ute, heard := hearing(t, "ute")
	policies.Accepted(t, create(t, ute, reported, runs("Pod", "a", "serviceAccountName: web")))
	policies.Accepted(t, create(t, ute, reported, runs("Pod", "a", "")))
	if all := heard.taken(); len(all) != 0 {
		t.Errorf("the warnings of who may use it are %q", all)
	}
	policies.Eventually(t, func() error {
		found, err := listed(reported)
		if err != nil {
			return err
		}
		for _, kind := range kinds {
			if !found[refusal(reported, kind)] {
				return fmt.Errorf("the audit log does not list the %s, but %v", kind, found)
			}
		}
		if len(found) != len(kinds) {
			return fmt.Errorf("the audit log lists others too: %v", found)
		}
		return nil
	})
	policies.Eventually(t, func() error {
		text, err := server.Get(t.Context(), "/metrics")
		if err != nil {
			return err
		}
		for _, action := range []string{"audit", "warn"} {
			if !counts(text, action) {
				return fmt.Errorf("no metric counts what is reported by %s", action)
			}
		}
		return nil
	})
}

// metric is what counts decisions.
const metric = "apiserver_validating_admission_policy_check_total"

// counts reports whether the report counts an action.
func counts(text, action string) bool {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, metric+"{") && strings.Contains(line, `enforcement_action="`+action+`"`) && strings.Contains(line, `policy="`+policyOf(reported)+`"`) {
			return true
		}
	}
	return false
}

// annotation is where the API server's audit log has what was reported.
const annotation = "validation.policy.admission.k8s.io/validation_failure"

// listed are the messages about a namespace that the page's command finds in
// the audit log.
func listed(namespace string) (map[string]bool, error) {
	text, err := os.ReadFile(auditLog)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") {
			continue
		}
		var event struct{ Annotations map[string]string }
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			return nil, err
		}
		told := event.Annotations[annotation]
		if told == "" {
			continue
		}
		var failures []struct{ Policy, Message string }
		if err := json.Unmarshal([]byte(told), &failures); err != nil {
			return nil, err
		}
		for _, failure := range failures {
			if failure.Policy == policyOf(namespace) {
				found[failure.Message] = true
			}
		}
	}
	return found, nil
}

// refusal is what is said of anna, web, and a kind.
func refusal(namespace, kind string) string {
	return fmt.Sprintf("anna may not use the service account web of namespace %s for a %s; that takes the verb use on this service account", namespace, kind)
}

func TestWhoIsRefusedIsListedAsWell(t *testing.T) {
	anna := admin.As(t, "anna")
	want := refusal(enforced, "Pod")
	policies.Refused(t, policyOf(enforced), want, create(t, anna, enforced, runs("Pod", "a", "serviceAccountName: web")))
	policies.Eventually(t, func() error {
		found, err := listed(enforced)
		if err == nil && !found[want] {
			return fmt.Errorf("the audit log lists %v", found)
		}
		return err
	})
}

func TestThePageReadsWhatTheAPIServerWrites(t *testing.T) {
	text, err := page()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{annotation, metric, "lanyard-impersonation.lanyard"} {
		if !strings.Contains(text, part) {
			t.Errorf("docs/impersonation.md does not say %s", part)
		}
	}
}

func TestThePageListsWhoCouldBeRefusedByTheirRights(t *testing.T) {
	script, err := pageBlock("```sh\n", "namespace=shop\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, account := range []string{"web", "api", "default"} {
		made(t, reported, runs("Pod", "as-"+account, "serviceAccountName: "+account))
	}
	command := exec.CommandContext(t.Context(), "sh", "-ec", strings.Replace(script, "namespace=shop", "namespace="+reported, 1))
	command.Env = append(os.Environ(), "KUBECONFIG="+server.Kubeconfig, "PATH="+filepath.Dir(kubectl)+":"+os.Getenv("PATH"))
	var errs strings.Builder
	command.Stderr = &errs
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &errs)
	}
	got := slices.Sorted(strings.Lines(string(out)))
	want := []string{
		"--as=anna may not use api\n", "--as=anna may not use web\n",
		"--as=robot@example.com may not use api\n", "--as=robot@example.com may not use web\n",
		"--as=ute may not use api\n",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the commands list\n%s, want\n%s\n%s", strings.Join(got, ""), strings.Join(want, ""), &errs)
	}
}

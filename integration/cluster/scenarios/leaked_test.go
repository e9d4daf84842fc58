package scenarios

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanyardhq/lanyard/integration/cluster"
)

// docs/leaked.md leads from the store to the last pod: a class whose values are kept for
// an hour, in a pod, in a Secret without a pod, and in the environment of a workload.
func TestASecretHasLeaked(t *testing.T) {
	s := alone(t)
	const leaked, safe = "leaked-with-the-laptop", "nobody-else-knows"
	s.put("db", map[string]any{"password": leaked})
	s.apply(`
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata:
  name: db
  annotations: {lanyard.dev/sync: $account}
spec:
  provider: lanyard
  parameters:
    refresh: 1h
    stores: |
      vault: {auth: {role: workload}}
    objects: |
      - {path: password, store: vault, key: secret/data/$namespace/db, property: password}
  secretObjects:
    - {secretName: db, type: Opaque, data: [{objectName: password, key: password}]}
---
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: mounted}
spec:
  provider: lanyard
  parameters:
    refresh: 1h
    stores: |
      vault: {auth: {role: workload}}
    objects: |
      - {path: password, store: vault, key: secret/data/$namespace/db, property: password}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: $account
      terminationGracePeriodSeconds: 0
      containers:
        - name: web
          image: $image
          imagePullPolicy: Never
          command: [sh, -c, "exec sleep 1000000"]
          env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}]
`, "$account", account, "$image", cluster.Workload)
	s.start(pod{Name: "files", Classes: []string{"mounted"}})
	s.becomesSecret("db", "password", leaked)
	s.inEnvironment("app=web", leaked)

	runbook := s.page("leaked.md", "--namespace shop", "--namespace "+s.namespace)
	s.put("db", map[string]any{"password": safe})
	before := s.shown("files", "mounted", "password")["password"]
	s.follow(runbook, "Have it read everywhere now")
	s.becomes("files", "mounted", "password", safe)
	s.becomesSecret("db", "password", safe)
	s.eventually("the driver shows another version", func() error {
		if s.shown("files", "mounted", "password")["password"] == before {
			return fmt.Errorf("it still is %s", before)
		}
		return nil
	})
	now := s.shown("files", "mounted", "password")["password"]
	for _, start := range []string{"kubectl --namespace shop get secretproviderclasspodstatuses", "kubectl --namespace shop get secrets"} {
		if told := s.shell(runbook, s.block(runbook, "See that it has arrived", start)); !strings.Contains(told, now) || strings.Contains(told, safe) {
			t.Errorf("%s tells %q, and not the version %s", start, told, now)
		}
	}
	s.shell(runbook, "kubectl --namespace "+s.namespace+" rollout restart deployments\nkubectl --namespace "+s.namespace+" rollout status deployment --timeout 2m")
	s.inEnvironment("app=web", safe)
	s.vault(http.MethodPut, "secret/destroy/"+s.namespace+"/db", map[string]any{"versions": []int{1}})
	s.becomes("files", "mounted", "password", safe)
}

// becomesSecret waits until a Secret holds a value, and is encrypted in etcd.
func (s *scenario) becomesSecret(name, key, value string) {
	s.t.Helper()
	s.eventually("the Secret is in step with Vault", func() error {
		secret, err := s.Kube.CoreV1().Secrets(s.namespace).Get(s.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if got := string(secret.Data[key]); got != value {
			return fmt.Errorf("it holds %q", got)
		}
		return nil
	})
	s.encrypted(name, value)
}

// inEnvironment waits until every pod of a label runs with a value in the variable
// PASSWORD.
func (s *scenario) inEnvironment(selector, value string) {
	s.t.Helper()
	s.eventually("the workload runs with the value", func() error {
		pods, err := s.Kube.CoreV1().Pods(s.namespace).List(s.t.Context(), metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return err
		}
		if len(pods.Items) != 1 {
			return fmt.Errorf("%d pods", len(pods.Items))
		}
		got, err := s.exec(pods.Items[0].Name, "sh", "-c", "echo $PASSWORD")
		if err == nil && strings.TrimSpace(got) != value {
			err = fmt.Errorf("it has %q", got)
		}
		return err
	})
}

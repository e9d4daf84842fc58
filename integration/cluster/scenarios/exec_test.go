package scenarios

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/cluster/lab"
)

// What lanyard-exec puts into variables is in the process alone, from a volume, from an
// agent and for references: in no file of the node, containerd's state included, in nothing
// that the API shows and in nothing that kubectl describes.
func TestValuesInVariablesAreNowhereElse(t *testing.T) {
	s := beside(t)
	began := time.Now()
	planted := rand.Text()
	s.put("db", map[string]any{"password": planted})
	s.class("db", asWorkload+`
    objects: |
      - {path: password, store: vault, key: secret/data/$namespace/db, property: password}
`)
	s.vaultAuthority()
	pods := map[string]asking{
		"from-volume": {annotations: fromClass},
		"from-agent": {`
    vault.security.banzaicloud.io/vault-role: $role
    vault.security.banzaicloud.io/vault-path: kubernetes`, `{name: PASSWORD, value: "vault:secret/data/$namespace/db#password"}`},
	}
	s.must(s.ApplyIn(t.Context(), s.namespace, s.injected(pods)))

	encoded := base64.StdEncoding.EncodeToString([]byte(planted))
	for name := range pods {
		s.ready(name)
		s.prints(name, digestOf(planted))
		kubectl, err := s.Kubectl(t.Context())
		s.must(err)
		for _, args := range [][]string{{"describe", "pod", name}, {"get", "pod", name, "-o", "yaml", "--show-managed-fields"}, {"get", "events", "-o", "yaml"}} {
			shown, err := exec.CommandContext(t.Context(), kubectl, append([]string{"--kubeconfig", s.Kubeconfig, "-n", s.namespace}, args...)...).Output()
			s.must(err)
			if strings.Contains(string(shown), planted) || strings.Contains(string(shown), encoded) {
				t.Errorf("pod %s: kubectl %s shows the value", name, strings.Join(args, " "))
			}
		}
		// The documented rest: whoever may read the process has it.
		environ, err := s.exec(name, "sh", "-c", "tr '\\0' '\\n' < /proc/1/environ")
		s.must(err)
		if !strings.Contains(environ, "PASSWORD="+planted) {
			t.Errorf("pod %s: process 1 does not have the value, which is then no test", name)
		}
	}

	// What finds nothing has to find what is there, also in containerd's state.
	control := s.Path("containerd-state", "planted")
	s.must(os.WriteFile(control, []byte("before "+planted+" after"), 0o600))
	t.Cleanup(func() { os.Remove(control) })
	if found := s.search(began, planted, encoded); !slices.Equal(found, []string{control}) {
		t.Errorf("the value is on disk in %q, not in the control %s alone", found, control)
	}
}

// On a Kubernetes that mounts images as volumes and takes variables from files that a
// container wrote, pods have their values that way too; on an older one without.
func TestVariablesComeTheShortestWay(t *testing.T) {
	s := beside(t)
	planted := rand.Text()
	s.put("db", map[string]any{"password": planted})
	s.class("db", asWorkload+`
    objects: |
      - {path: password, store: vault, key: secret/data/$namespace/db, property: password}
`)
	s.vaultAuthority()
	byVolume := map[string]asking{"by-volume": {annotations: fromClass}}
	byFile := map[string]asking{"by-file": {annotations: `
    lanyard.dev/inject: env
    lanyard.dev/env: PASSWORD=password
    lanyard.dev/env-file: "true"
    lanyard.dev/mode: agent
    lanyard.dev/agent-class: |
      apiVersion: secrets-store.csi.x-k8s.io/v1
      kind: SecretProviderClass
      metadata: {name: db}
      spec:
        provider: lanyard
        parameters:
          stores: |
            vault: {type: vault, address: "$vault", tls: {caCert: $authority}, auth: {method: kubernetes, role: $role}}
          objects: |
            - {path: password, store: vault, key: secret/data/$namespace/db, property: password}`}}

	server, err := s.Kube.Discovery().ServerVersion()
	s.must(err)
	minor, err := strconv.Atoi(strings.TrimSuffix(server.Minor, "+"))
	s.must(err)
	// https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/features/kube_features.go
	if minor < 35 {
		s.must(s.ApplyIn(t.Context(), s.namespace, s.injected(byVolume)))
		s.prints("by-volume", digestOf(planted))
		if copies := s.get("by-volume").Spec.InitContainers; len(copies) != 1 {
			t.Errorf("%d init containers copy the binary", len(copies))
		}
		return
	}
	s.must(s.ApplyIn(t.Context(), s.namespace, s.injected(byVolume, "--image-volumes")))
	s.prints("by-volume", digestOf(planted))
	made := s.get("by-volume").Spec
	if len(made.InitContainers) != 0 || !slices.ContainsFunc(made.Volumes, func(v corev1.Volume) bool { return v.Image != nil }) {
		t.Errorf("the binary is not mounted from the image: %+v, %+v", made.InitContainers, made.Volumes)
	}
	s.must(s.ApplyIn(t.Context(), s.namespace, s.injected(byFile, "--image-volumes")))
	s.prints("by-file", digestOf(planted))
	if command := s.get("by-file").Spec.Containers[0].Command; command[0] != "sh" {
		t.Errorf("the command was wrapped: %q", command)
	}
}

// asking is a pod that asks for the value of the variable PASSWORD.
type asking struct{ annotations, env string }

const fromClass = `
    lanyard.dev/inject: env
    lanyard.dev/class: db
    lanyard.dev/env: PASSWORD=password`

// injected are the pods as the webhook makes them. Each prints the digest of its variable:
// what a container prints is on disk.
func (s *scenario) injected(pods map[string]asking, flags ...string) []byte {
	s.t.Helper()
	const manifest = `
---
apiVersion: v1
kind: Pod
metadata:
  name: $pod
  annotations:
    $annotations
spec:
  serviceAccountName: $account
  terminationGracePeriodSeconds: 1
  containers:
    - name: web
      image: $image
      imagePullPolicy: Never
      command: [sh, -c, "printf %s \"$PASSWORD\" | sha256sum | cut -c1-64; while :; do sleep 1 & wait; done"]
      env: [$env]
`
	var manifests strings.Builder
	for name, p := range pods {
		manifests.WriteString(strings.NewReplacer("$pod", name, "$annotations", strings.TrimSpace(p.annotations), "$env", p.env, "$account", account, "$image", cluster.Workload).Replace(manifest))
	}
	inject := exec.CommandContext(s.t.Context(), s.Path("lanyard"), append([]string{"inject", "--dry-run", "-o", "yaml", "--namespace", s.namespace,
		"--dialects", "bank-vaults", "--image", lab.Repository + ":" + lab.Tag, "--audience", lab.Audience,
		"--vault-address", lab.VaultAddress, "--vault-audience", lab.Audience, "--vault-ca-secret", "vault-ca", "-"}, flags...)...)
	inject.Stdin = strings.NewReader(s.text(manifests.String(), "$role", lab.Role, "$vault", lab.VaultAddress, "$authority", s.authority()))
	var problems bytes.Buffer
	inject.Stderr = &problems
	injected, err := inject.Output()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, &problems)
	}
	return injected
}

// vaultAuthority makes the Secret with which injected agents trust Vault.
func (s *scenario) vaultAuthority() {
	s.t.Helper()
	authority, err := s.Authority()
	s.must(err)
	_, err = s.Kube.CoreV1().Secrets(s.namespace).Create(s.t.Context(),
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "vault-ca"}, Data: map[string][]byte{"ca.crt": authority}}, metav1.CreateOptions{})
	s.must(err)
}

func digestOf(value string) string {
	digest := sha256.Sum256([]byte(value))
	return hex.EncodeToString(digest[:])
}

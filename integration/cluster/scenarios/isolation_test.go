package scenarios

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/cluster/lab"
)

// What one service account's pod has just been given, no other's gets: not one
// of the same namespace, nor one of the same name in another.
func TestOtherIdentitiesGetNothing(t *testing.T) {
	s := beside(t)
	other := s.elsewhere()
	s.put("db", map[string]any{"password": "correct horse"})
	s.vault(http.MethodPost, "auth/kubernetes/role/"+s.namespace, map[string]any{
		"bound_service_account_names": account, "bound_service_account_namespaces": s.namespace,
		"audience": lab.Audience, "token_policies": lab.Role, "token_ttl": "1h",
	})
	s.newAccount("other")
	const class = `
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: $class}
spec:
  provider: lanyard
  parameters:
    stores: |
      vault: {auth: {role: $role}}
    objects: |
      - {path: password, store: vault, key: secret/data/$owner/db, property: password}
`
	for _, where := range []*scenario{s, other} {
		where.apply(class, "$class", "own", "$role", s.namespace, "$owner", s.namespace)
		where.apply(class, "$class", "open", "$role", lab.Role, "$owner", s.namespace)
	}
	s.start(pod{Name: "web", Classes: []string{"own", "open"}})

	s.create(pod{Name: "same-namespace", Account: "other", Classes: []string{"own"}})
	other.create(pod{Name: "role", Classes: []string{"own"}})
	other.create(pod{Name: "policy", Classes: []string{"open"}})
	s.refused("same-namespace", "own", "refused")
	other.refused("role", "own", "refused")
	other.refused("policy", "open", "permission denied")
	// The one that may was not disturbed, and another like it is served.
	s.start(pod{Name: "web-too", Classes: []string{"own"}})
	s.holds("web", "own", map[string]string{"password": "correct horse"})
}

// refused waits until a pod's event says why its class is not mounted, and
// checks that it has been given nothing.
func (s *scenario) refused(name, class string, texts ...string) {
	s.t.Helper()
	s.event(name, texts...)
	if phase := s.get(name).Status.Phase; phase != corev1.PodPending {
		s.t.Errorf("pod %s is %s", name, phase)
	}
	if files, err := os.ReadDir(s.volume(name, class)); err == nil && len(files) > 0 {
		s.t.Errorf("pod %s was given %v", name, files)
	}
}

// The driver lays a pod's volume attributes over its class. None of them moves
// what the operator's configuration sets.
func TestVolumeAttributesMoveNothingPinned(t *testing.T) {
	s := beside(t)
	s.newAccount("files")
	s.file("mine", "mine")
	s.put("db", map[string]any{"password": "correct horse"})
	s.class("native", asWorkload+`
    objects: |
      - {path: password, store: vault, key: secret/data/$namespace/db, property: password}
`)
	s.apply(`
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: foreign}
spec:
  provider: vault
  parameters:
    roleName: workload
    objects: |
      - {objectName: password, secretPath: secret/data/$namespace/db, secretKey: password}
`)
	pinned := "pinned by the operator's configuration of store"
	for name, attempt := range map[string]struct {
		class, account string
		attributes     map[string]string
		says           string
	}{
		"address":         {class: "native", attributes: map[string]string{"stores": `{vault: {address: "https://10.87.0.1:18299", auth: {role: workload}}}`}, says: pinned + " vault"},
		"tls":             {class: "native", attributes: map[string]string{"stores": `{vault: {tls: {insecureSkipVerify: true}, auth: {role: workload}}}`}, says: pinned + " vault"},
		"mount":           {class: "native", attributes: map[string]string{"stores": `{vault: {auth: {mount: other, role: workload}}}`}, says: pinned + " vault"},
		"method":          {class: "native", attributes: map[string]string{"stores": `{vault: {auth: {method: jwt, role: workload}}}`}, says: pinned + " vault"},
		"type":            {class: "native", attributes: map[string]string{"stores": `{vault: {type: file, root: /}}`}, says: "the operator's configuration says vault"},
		"role":            {class: "native", attributes: map[string]string{"stores": `{watched: {auth: {role: other}}}`, "objects": `[{path: a, store: watched, key: secret/data/a}]`}, says: pinned + " watched"},
		"root":            {class: "native", account: "files", attributes: map[string]string{"stores": `{files: {root: /etc}}`, "objects": `[{path: a, store: files, key: hostname}]`}, says: "operator's configuration"},
		"files":           {class: "native", attributes: map[string]string{"objects": `[{path: a, store: files, key: ` + s.namespace + `/mine}]`}, says: "the operator's allow list for this store has no entry for"},
		"key-ring":        {class: "native", attributes: map[string]string{"stores": `{sealed: {keyRing: /etc/hostname}}`}, says: "operator's configuration"},
		"foreign-address": {class: "foreign", attributes: map[string]string{"vaultAddress": "https://10.87.0.1:18299"}, says: "operator's configuration"},
		"foreign-tls":     {class: "foreign", attributes: map[string]string{"vaultSkipTLSVerify": "true"}, says: "operator's configuration"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scenario{Lab: s.Lab, t: t, namespace: s.namespace}
			s.create(pod{Name: name, Account: attempt.account, Classes: []string{attempt.class}, Attributes: attempt.attributes})
			s.refused(name, attempt.class, attempt.says)
		})
	}
}

// A container without privileges cannot talk to the provider, not even one that
// was given the sockets' folder.
func TestSocketIsOutOfReach(t *testing.T) {
	s := beside(t)
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: thief}
spec:
  serviceAccountName: web
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  securityContext: {runAsUser: 1000, runAsGroup: 1000, runAsNonRoot: true}
  containers:
    - name: thief
      image: $image
      imagePullPolicy: Never
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      volumeMounts: [{name: sockets, mountPath: /sockets}]
  volumes:
    - name: sockets
      hostPath: {path: $sockets, type: Directory}
`, "$image", cluster.Workload, "$sockets", lab.SocketDirectory)
	s.ready("thief")
	for _, socket := range []string{"lanyard.sock", "vault.sock"} {
		path := filepath.Join(lab.SocketDirectory, socket)
		info, err := os.Stat(path)
		s.must(err)
		if mode := info.Mode(); mode != os.ModeSocket|0o600 {
			t.Errorf("%s has mode %s", path, mode)
		}
		// Connecting needs the right to write; see unix(7).
		if _, err := s.exec("thief", "sh", "-c", "test -e /sockets/"+socket+" && test ! -w /sockets/"+socket); err != nil {
			t.Errorf("the container may connect to %s: %v", socket, err)
		}
	}
}

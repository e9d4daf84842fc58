package synced

import (
	"fmt"
	"os"
	"strings"
	"testing"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// scenario is one of the driver project's controller.
type scenario struct {
	Name           string            `json:"name"`
	ClassElsewhere bool              `json:"classElsewhere"`
	Missing        bool              `json:"missing"`
	Controller     string            `json:"controller"`
	SecretObject   map[string]any    `json:"secretObject"`
	Holds          map[string]string `json:"holds"`
	Labels         map[string]string `json:"labels"`
	Annotations    map[string]string `json:"annotations"`
	// Conditions are the reasons, by type.
	Conditions map[string]string `json:"conditions"`
	// Refused is in what the API server says of the SecretSync.
	Refused string `json:"refused"`
}

func TestScenariosOfTheDriverProjectsController(t *testing.T) {
	text, err := os.ReadFile("testdata/upstream.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var scenarios []scenario
	if err := yaml.UnmarshalStrict(text, &scenarios); err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios {
		t.Run(s.Name, func(t *testing.T) { s.run(quiet(t)) })
	}
}

func (s scenario) run(n *tenant) {
	if !s.Missing {
		n.put("db", map[string]any{"value": "secret"})
	}
	if !s.ClassElsewhere {
		n.apply(`
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: e2e}
spec:` + strings.ReplaceAll(one, "path: password", "path: foo"))
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "secret-sync.x-k8s.io/v1alpha1", "kind": "SecretSync", "metadata": map[string]any{"name": "e2e"},
		"spec": map[string]any{
			"secretProviderClassName": "e2e", "serviceAccountName": "web", "secretSyncControllerName": s.Controller, "secretObject": s.SecretObject,
		},
	}}
	made, err := n.resource("SecretSync").Create(n.Context(), object, meta.CreateOptions{})
	if s.Refused != "" {
		if err == nil || !strings.Contains(err.Error(), s.Refused) {
			n.Errorf("%v, want it to be refused for %s", err, s.Refused)
		}
		return
	}
	n.must(err)
	for kind, reason := range s.Conditions {
		status := "True"
		if s.Holds == nil {
			status = "False"
		}
		n.condition("e2e", kind, status, reason)
	}
	if s.Holds == nil {
		n.passes(1)
		if found, conditions := n.secret("e2e"), n.conditions("e2e"); found != nil || len(conditions) != len(s.Conditions) {
			n.Errorf("Secret %v, conditions %+v", found, conditions)
		}
		return
	}
	secret := n.holds("e2e", s.Holds)
	owner := meta.OwnerReference{APIVersion: "secret-sync.x-k8s.io/v1alpha1", Kind: "SecretSync", Name: "e2e", UID: made.GetUID()}
	if len(secret.OwnerReferences) != 1 || fmt.Sprint(secret.OwnerReferences[0]) != fmt.Sprint(owner) {
		n.Errorf("owned by %+v", secret.OwnerReferences)
	}
	if value, ok := secret.Labels["secrets-store.sync.x-k8s.io"]; !ok || value != "" {
		n.Errorf("labels %v", secret.Labels)
	}
	for name, value := range s.Labels {
		if secret.Labels[name] != value {
			n.Errorf("labels %v", secret.Labels)
		}
	}
	for name, value := range s.Annotations {
		if secret.Annotations[name] != value {
			n.Errorf("annotations %v", secret.Annotations)
		}
	}
	n.delete("SecretSync", "e2e")
	n.gone("e2e")
}

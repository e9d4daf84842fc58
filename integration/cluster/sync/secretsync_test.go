package sync

import (
	"context"
	stdjson "encoding/json"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lanyardhq/lanyard/integration/cluster/policies"
)

// valid is a SecretSync with every field.
const valid = `
apiVersion: secret-sync.x-k8s.io/v1alpha1
kind: SecretSync
metadata: {name: valid}
spec:
  secretSyncControllerName: lanyard
  secretProviderClassName: web
  serviceAccountName: web
  forceSynchronization: a1
  secretObject:
    type: kubernetes.io/tls
    data:
      - {sourcePath: tls.crt, targetKey: tls.crt}
      - {sourcePath: bundle/0, targetKey: tls.key}
    labels: {app.kubernetes.io/part-of: shop}
    annotations: {example.com/note: "a text of some words"}
`

func TestTheDefinitionOfSecretSyncs(t *testing.T) {
	resource := admin.Dynamic.Resource(secretSyncs).Namespace(shop)
	accepted(t, func(ctx context.Context) error {
		_, err := resource.Create(ctx, policies.Object(t, valid), dryCreate)
		return err
	})
	for what, change := range map[string]func(spec map[string]any){
		"no class":                 func(spec map[string]any) { delete(spec, "secretProviderClassName") },
		"an empty class":           func(spec map[string]any) { spec["secretProviderClassName"] = "" },
		"no name of a class":       func(spec map[string]any) { spec["secretProviderClassName"] = "A_b" },
		"no service account":       func(spec map[string]any) { delete(spec, "serviceAccountName") },
		"no name of an account":    func(spec map[string]any) { spec["serviceAccountName"] = "a/b" },
		"a long service account":   func(spec map[string]any) { spec["serviceAccountName"] = strings.Repeat("a", 254) },
		"a force of blanks":        func(spec map[string]any) { spec["forceSynchronization"] = "a b" },
		"no Secret":                func(spec map[string]any) { delete(spec, "secretObject") },
		"no data":                  func(spec map[string]any) { of(spec)["data"] = []any{} },
		"data without a source":    func(spec map[string]any) { of(spec)["data"] = []any{map[string]any{"targetKey": "a"}} },
		"data without a key":       func(spec map[string]any) { of(spec)["data"] = []any{map[string]any{"sourcePath": "a"}} },
		"a source that leads out":  func(spec map[string]any) { of(spec)["data"] = []any{entry("../a", "a")} },
		"a key of blanks":          func(spec map[string]any) { of(spec)["data"] = []any{entry("a", "a b")} },
		"one key twice":            func(spec map[string]any) { of(spec)["data"] = []any{entry("a", "a"), entry("b", "a")} },
		"a type of blanks":         func(spec map[string]any) { of(spec)["type"] = "a b" },
		"an empty type":            func(spec map[string]any) { of(spec)["type"] = "" },
		"a reserved label":         func(spec map[string]any) { of(spec)["labels"] = map[string]any{ofSyncUpstream: ""} },
		"another reserved label":   func(spec map[string]any) { of(spec)["labels"] = map[string]any{ofSyncUpstream + "/secretsync": "a"} },
		"a long label":             func(spec map[string]any) { of(spec)["labels"] = map[string]any{"a": strings.Repeat("a", 64)} },
		"a reserved annotation":    func(spec map[string]any) { of(spec)["annotations"] = map[string]any{ofSyncUpstream + "/a": ""} },
		"a long annotation's name": func(spec map[string]any) { of(spec)["annotations"] = map[string]any{strings.Repeat("a", 317): "a"} },
	} {
		t.Run(what, func(t *testing.T) {
			wrong := policies.Object(t, valid)
			spec, _, _ := unstructured.NestedMap(wrong.Object, "spec")
			change(spec)
			wrong.Object["spec"] = spec
			if _, err := resource.Create(t.Context(), wrong, dryCreate); !apierrors.IsInvalid(err) {
				t.Errorf("the answer is %v", err)
			}
		})
	}
	t.Run("what it looks like", func(t *testing.T) {
		made, err := resource.Create(t.Context(), policies.Object(t, secretSync), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := resource.Delete(t.Context(), "asked", metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		}()
		if kind, _, _ := unstructured.NestedString(made.Object, "spec", "secretObject", "type"); kind != "Opaque" {
			t.Errorf("the type is %q", kind)
		}
		const status = `{"status":{"syncHash":"a","lastSuccessfulSyncTime":"2026-01-01T00:00:00Z","conditions":[{"type":"Create","status":"True","reason":"CreateSucceeded","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"},{"type":"Update","status":"False","reason":"ProviderError","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`
		// The status is the controller's to write, and nothing else.
		who := controllers[full].Dynamic.Resource(secretSyncs).Namespace(shop)
		if _, err := who.Patch(t.Context(), "asked", merge, []byte(status), metav1.PatchOptions{}, "status"); err != nil {
			t.Error(err)
		}
		withoutRight(t, mergeInto(controllers[full], secretSyncs, "asked", `{"spec":{"serviceAccountName":"api"}}`))
		withoutRight(t, mergeInto(controllers[plain], secretSyncs, "asked", `{}`))

		answer, err := admin.RESTClient().Get().AbsPath("/apis/secret-sync.x-k8s.io/v1alpha1/namespaces/"+shop+"/secretsyncs").
			SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var table metav1.Table
		if err := stdjson.Unmarshal(answer, &table); err != nil || len(table.Rows) != 1 {
			t.Fatalf("%v: %s", err, answer)
		}
		var columns []string
		for _, column := range table.ColumnDefinitions {
			columns = append(columns, column.Name)
		}
		if want := []string{"Name", "Ready", "Reason", "Last sync", "Age"}; !slices.Equal(columns, want) || table.Rows[0].Cells[1] != "False" || table.Rows[0].Cells[2] != "ProviderError" {
			t.Errorf("kubectl shows %v: %v", columns, table.Rows[0].Cells)
		}
	})
}

// of is the Secret of a specification.
func of(spec map[string]any) map[string]any { return spec["secretObject"].(map[string]any) } //nolint:forcetypeassert // it is the text above

func entry(source, key string) map[string]any {
	return map[string]any{"sourcePath": source, "targetKey": key}
}

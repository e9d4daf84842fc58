package class

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	secretsstore "sigs.k8s.io/secrets-store-csi-driver/apis/v1"

	"github.com/lanyardhq/lanyard/server/sync"
)

var key = types.NamespacedName{Namespace: "shop", Name: "web"}

func object(annotations map[string]string, secrets ...*secretsstore.SecretObject) *secretsstore.SecretProviderClass {
	return &secretsstore.SecretProviderClass{
		ObjectMeta: meta.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: "class-1", Annotations: annotations},
		Spec:       secretsstore.SecretProviderClassSpec{Provider: "vault", Parameters: map[string]string{"roleName": "web"}, SecretObjects: secrets},
	}
}

// input has the class, and counts what is written.
func input(t *testing.T, class *secretsstore.SecretProviderClass) (Input, *int) {
	t.Helper()
	known := runtime.NewScheme()
	if err := secretsstore.AddToScheme(known); err != nil {
		t.Fatal(err)
	}
	writes := 0
	return Input{Client: fake.NewClientBuilder().WithScheme(known).WithObjects(class).WithInterceptorFuncs(interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
			writes++
			return c.Patch(ctx, o, patch, opts...)
		},
	}).Build()}, &writes
}

func db() *secretsstore.SecretObject {
	return &secretsstore.SecretObject{SecretName: "db", Data: []*secretsstore.SecretObjectData{{ObjectName: " db/password ", Key: "password"}}}
}

func TestAnAnnotatedClassAsksForItsSecretObjects(t *testing.T) {
	in, _ := input(t, object(map[string]string{Annotation: "web", sync.RefreshAnnotation: "now"}, db()))
	want, err := in.Want(t.Context(), key)
	if err != nil || want.Problem != nil {
		t.Fatalf("%v, %+v", err, want)
	}
	if want.ServiceAccount != "web" || want.Provider != "vault" || want.Parameters["roleName"] != "web" || want.Refresh != sync.RefreshOf("now") || want.Owner.UID != "class-1" || want.Owner.Kind != "SecretProviderClass" {
		t.Errorf("%+v", want)
	}
	if s := want.Secrets[0]; s.Name != "db" || s.Type != string(core.SecretTypeOpaque) || s.Data[0] != (sync.Item{Key: "password", File: "db/password"}) {
		t.Errorf("%+v", s)
	}
}

func TestAClassThatDoesNotAsk(t *testing.T) {
	now := meta.Now()
	going := object(map[string]string{Annotation: "web"}, db())
	going.DeletionTimestamp, going.Finalizers = &now, []string{"other/finalizer"}
	for name, class := range map[string]*secretsstore.SecretProviderClass{
		"being deleted": going, "another name": {ObjectMeta: meta.ObjectMeta{Namespace: "shop", Name: "api"}},
	} {
		in, _ := input(t, class)
		if want, err := in.Want(t.Context(), key); want != nil || err != nil {
			t.Errorf("%s: %+v, %v", name, want, err)
		}
	}
}

// What a class without the annotation has from before is removed, whatever is left of its
// status, and nothing is written on a class that has none.
func TestAClassThatDoesNotAskAnyMore(t *testing.T) {
	var many strings.Builder
	for i := range sync.MaxHeld + 1 {
		fmt.Fprintf(&many, `,"s%d":{"digest":"d"}`, i)
	}
	for name, c := range map[string]struct {
		status string
		known  int
	}{"no status": {"", 0}, "no JSON": {"{", 0}, "its own": {`{"secrets":{"db":{"digest":"d"}}}`, 1}, "forged": {`{"secrets":{` + many.String()[1:] + `}}`, 0}} {
		annotations := map[string]string{}
		if c.status != "" {
			annotations[StatusAnnotation] = c.status
		}
		in, writes := input(t, object(annotations, db()))
		want, err := in.Want(t.Context(), key)
		if err != nil || want.Problem != nil || len(want.Secrets) > 0 || len(want.Known) != c.known {
			t.Errorf("%s: %v, %+v", name, err, want)
		}
		if err := in.Report(t.Context(), want, &sync.Outcome{}); err != nil || (*writes > 0) != (c.status != "") {
			t.Errorf("%s: %v, %d writes", name, err, *writes)
		}
	}
}

func TestAClassAsksForABoundedNumberOfSecrets(t *testing.T) {
	var all []*secretsstore.SecretObject
	for i := range sync.MaxSecrets + 1 {
		all = append(all, &secretsstore.SecretObject{SecretName: fmt.Sprint("s", i), Data: db().Data})
	}
	in, _ := input(t, object(map[string]string{Annotation: "web"}, all...))
	want, err := in.Want(t.Context(), key)
	if err != nil || want.Problem == nil || want.Problem.Text != "secretObjects: 65 Secrets; a class may have 64, so make several of it" {
		t.Errorf("%v, %+v", err, want)
	}
	in, _ = input(t, object(map[string]string{Annotation: "web"}, all[1:]...))
	if want, err := in.Want(t.Context(), key); err != nil || want.Problem != nil || len(want.Secrets) != sync.MaxSecrets {
		t.Errorf("%v, %+v", err, want)
	}
}

func TestWhatIsWrongWithSecretObjects(t *testing.T) {
	data := []*secretsstore.SecretObjectData{{ObjectName: "a", Key: "k"}}
	for want, class := range map[string]*secretsstore.SecretProviderClass{
		"annotation lanyard.dev/sync: must name a service account of the namespace; secretObjects: missing; it says which Secrets are written": object(map[string]string{Annotation: ""}),
		"secretObjects[0]: is empty; secretObjects[1].secretName: missing; secretObjects[1].data: missing; it says which keys the Secret has":  object(map[string]string{Annotation: "web"}, nil, &secretsstore.SecretObject{}),
		"secretObjects[1].secretName: Secret db is described before; put its keys there":                                                       object(map[string]string{Annotation: "web"}, db(), db()),
		"secretObjects[0].data[0].objectName: missing; secretObjects[0].data[1].key: missing; secretObjects[0].data[2].objectName: missing": object(map[string]string{Annotation: "web"},
			&secretsstore.SecretObject{SecretName: "db", Data: []*secretsstore.SecretObjectData{{Key: "k"}, {ObjectName: "a", Key: " "}, nil}}),
		"secretObjects[0]: the label lanyard.dev/synced-from is the controller's own; leave it out": object(map[string]string{Annotation: "web"},
			&secretsstore.SecretObject{SecretName: "db", Data: data, Labels: map[string]string{sync.OwnerLabel: "x"}}),
	} {
		in, _ := input(t, class)
		got, err := in.Want(t.Context(), key)
		if err != nil || got.Problem == nil || got.Problem.Text != want || got.Problem.Reason != sync.ReasonInput || len(got.Secrets) > 0 {
			t.Errorf("%v, %+v, want %s", err, got.Problem, want)
		}
	}
}

func TestTheStatusIsWrittenWhenItChanges(t *testing.T) {
	noon := time.Date(2026, 5, 1, 12, 0, 0, 1, time.UTC)
	in, writes := input(t, object(map[string]string{Annotation: "web"}, db()))
	report := func(outcome *sync.Outcome) *Status {
		t.Helper()
		want, err := in.Want(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Report(t.Context(), want, outcome); err != nil {
			t.Fatal(err)
		}
		var class secretsstore.SecretProviderClass
		if err := in.Client.Get(t.Context(), key, &class); err != nil {
			t.Fatal(err)
		}
		return statusOf(&class)
	}
	written := map[string]sync.Written{"db": {Digest: "d", Refresh: "r"}}
	for range 3 {
		if got := report(&sync.Outcome{Since: noon, Written: written}); got.State != synced || got.Secrets["db"].Digest != "d" || got.Message != "" {
			t.Errorf("%+v", got)
		}
	}
	for range 3 {
		got := report(&sync.Outcome{Since: noon, Written: written, Problem: &sync.Problem{Reason: sync.ReasonProvider, Text: "denied"}})
		if got.State != failed || got.Message != "denied" || got.Reason != sync.ReasonProvider {
			t.Errorf("%+v", got)
		}
	}
	if *writes != 2 {
		t.Errorf("%d writes, want 2", *writes)
	}
	if want, err := in.Want(t.Context(), key); err != nil || !want.Failing || want.Known["db"].Refresh != "r" || !want.Since.Equal(noon.Truncate(time.Second)) {
		t.Errorf("%+v, %v", want, err)
	}
	// A class that loses its annotation still has Secrets, and loses its status with them.
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{Annotation: nil}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Client.Patch(t.Context(), object(nil), client.RawPatch(types.MergePatchType, patch)); err != nil {
		t.Fatal(err)
	}
	if want, err := in.Want(t.Context(), key); err != nil || len(want.Secrets) > 0 || len(want.Known) != 1 {
		t.Errorf("%+v, %v", want, err)
	}
	if got := report(&sync.Outcome{Since: noon}); got != nil {
		t.Errorf("%+v is left", got)
	}
}

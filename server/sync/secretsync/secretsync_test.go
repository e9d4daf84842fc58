package secretsync

import (
	"errors"
	"reflect"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	secretsstore "sigs.k8s.io/secrets-store-csi-driver/apis/v1"

	"github.com/lanyardhq/lanyard/server/sync"
)

var (
	key  = types.NamespacedName{Namespace: "shop", Name: "db"}
	noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
)

func object() *SecretSync {
	return &SecretSync{
		ObjectMeta: meta.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: "sync-1", Generation: 7},
		Spec: Spec{SecretProviderClassName: "web", ServiceAccountName: "web", ForceSynchronization: "1", SecretObject: SecretObject{
			Type: "kubernetes.io/basic-auth", Data: []Data{{SourcePath: "db/password", TargetKey: "password"}}, Labels: map[string]string{"app": "shop"},
		}},
	}
}

func input(t *testing.T, objects ...client.Object) Input {
	t.Helper()
	known := runtime.NewScheme()
	if err := errors.Join(secretsstore.AddToScheme(known), AddToScheme(known)); err != nil {
		t.Fatal(err)
	}
	return Input{Client: fake.NewClientBuilder().WithScheme(known).WithObjects(objects...).WithStatusSubresource(&SecretSync{}).Build()}
}

func class() *secretsstore.SecretProviderClass {
	return &secretsstore.SecretProviderClass{
		ObjectMeta: meta.ObjectMeta{Namespace: "shop", Name: "web"},
		Spec:       secretsstore.SecretProviderClassSpec{Provider: "vault", Parameters: map[string]string{"roleName": "web"}},
	}
}

func TestASecretSyncAsksForASecretOfItsName(t *testing.T) {
	in := input(t, object(), class())
	want, err := in.Want(t.Context(), key)
	if err != nil || want.Problem != nil {
		t.Fatalf("%v, %+v", err, want)
	}
	secret := sync.Secret{Name: "db", Type: "kubernetes.io/basic-auth", Labels: map[string]string{"app": "shop", Label: ""}, Data: []sync.Item{{Key: "password", File: "db/password"}}}
	if !reflect.DeepEqual(want.Secrets, []sync.Secret{secret}) || want.Provider != "vault" || want.Parameters["roleName"] != "web" || want.ServiceAccount != "web" || want.Refresh != sync.RefreshOf("1", "") {
		t.Errorf("%+v", want)
	}
}

func TestASecretSyncThatCannotBe(t *testing.T) {
	reserved := object()
	reserved.Spec.SecretObject.Labels = map[string]string{Label: "x"}
	annotated := object()
	annotated.Spec.SecretObject.Annotations = map[string]string{Label + "/x": "y"}
	for reason, objects := range map[sync.Reason][]client.Object{
		sync.ReasonClass: {object()}, sync.ReasonLabel: {reserved, class()}, sync.ReasonAnnotation: {annotated, class()},
	} {
		want, err := input(t, objects...).Want(t.Context(), key)
		if err != nil || want.Problem == nil || want.Problem.Reason != reason {
			t.Errorf("%v: %+v, want %s", err, want.Problem, reason)
		}
	}
	others := object()
	others.Spec.SecretSyncControllerName = "another"
	for _, in := range []Input{input(t), input(t, others, class())} {
		if want, err := in.Want(t.Context(), key); want != nil || err != nil {
			t.Errorf("%+v, %v", want, err)
		}
	}
}

// The conditions over the life of a SecretSync.
func TestConditions(t *testing.T) {
	in := input(t, object(), class())
	written := map[string]sync.Written{"db": {Digest: "d1", Refresh: "1:"}}
	for minute, step := range []struct {
		name                       string
		outcome                    sync.Outcome
		create, update             string // reasons
		createStatus, updateStatus meta.ConditionStatus
		hash                       string
		success                    int // minute
	}{
		{"denied", sync.Outcome{Problem: &sync.Problem{Reason: sync.ReasonProvider, Text: "denied"}}, "ProviderError", "", meta.ConditionFalse, "", "", -1},
		{"created", sync.Outcome{Created: []string{"db"}, Written: written}, "CreateSucceeded", "NoValueChange", meta.ConditionTrue, meta.ConditionTrue, "d1:1:", 1},
		{"the same", sync.Outcome{Written: written}, "CreateSucceeded", "NoValueChange", meta.ConditionTrue, meta.ConditionTrue, "d1:1:", 1},
		{"changed", sync.Outcome{Changed: []string{"db"}, Written: map[string]sync.Written{"db": {Digest: "d2", Refresh: "1:"}}}, "CreateSucceeded", "ValueChangeOrForceUpdateDetected", meta.ConditionTrue, meta.ConditionTrue, "d2:1:", 3},
		{"the same again", sync.Outcome{Written: map[string]sync.Written{"db": {Digest: "d2", Refresh: "1:"}}}, "CreateSucceeded", "NoValueChange", meta.ConditionTrue, meta.ConditionTrue, "d2:1:", 3},
		{"forced", sync.Outcome{Written: map[string]sync.Written{"db": {Digest: "d2", Refresh: "2:"}}}, "CreateSucceeded", "ValueChangeOrForceUpdateDetected", meta.ConditionTrue, meta.ConditionTrue, "d2:2:", 5},
		{"down", sync.Outcome{Problem: &sync.Problem{Reason: sync.ReasonProvider, Text: "down"}, Written: map[string]sync.Written{"db": {Digest: "d2", Refresh: "2:"}}}, "CreateSucceeded", "ProviderError", meta.ConditionTrue, meta.ConditionFalse, "d2:2:", 5},
		{"for an unknown cause", sync.Outcome{Problem: &sync.Problem{Reason: sync.ReasonUnknown, Text: "?"}}, "CreateSucceeded", "UnknownError", meta.ConditionTrue, meta.ConditionUnknown, "d2:2:", 5},
		{"up again", sync.Outcome{Written: map[string]sync.Written{"db": {Digest: "d2", Refresh: "2:"}}}, "CreateSucceeded", "NoValueChange", meta.ConditionTrue, meta.ConditionTrue, "d2:2:", 5},
	} {
		want, err := in.Want(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		step.outcome.Now = noon.Add(time.Duration(minute) * time.Minute)
		if err := in.Report(t.Context(), want, &step.outcome); err != nil {
			t.Fatal(err)
		}
		var got SecretSync
		if err := in.Client.Get(t.Context(), key, &got); err != nil {
			t.Fatal(err)
		}
		for kind, expected := range map[string][2]string{ConditionCreate: {step.create, string(step.createStatus)}, ConditionUpdate: {step.update, string(step.updateStatus)}} {
			reason, status := "", ""
			if c := apimeta.FindStatusCondition(got.Status.Conditions, kind); c != nil {
				reason, status = c.Reason, string(c.Status)
				if c.ObservedGeneration != 7 {
					t.Errorf("%s: %s is of generation %d", step.name, kind, c.ObservedGeneration)
				}
			}
			if [2]string{reason, status} != expected {
				t.Errorf("%s: %s is %s %s, want %s", step.name, kind, reason, status, expected)
			}
		}
		if got.Status.SyncHash != step.hash {
			t.Errorf("%s: hash %s, want %s", step.name, got.Status.SyncHash, step.hash)
		}
		if at := got.Status.LastSuccessfulSyncTime; (at == nil) != (step.success < 0) || at != nil && !at.Time.Equal(noon.Add(time.Duration(step.success)*time.Minute)) {
			t.Errorf("%s: last success %v, want minute %d", step.name, at, step.success)
		}
	}
	want, err := in.Want(t.Context(), key)
	if err != nil || want.Known["db"] != (sync.Written{Digest: "d2", Refresh: "2:"}) || want.Failing || want.Since.IsZero() {
		t.Errorf("%+v, %v", want, err)
	}
}

func TestACopySharesNothing(t *testing.T) {
	at := meta.NewTime(noon)
	one := object()
	one.Status = SecretStatus{LastSuccessfulSyncTime: &at, Conditions: []meta.Condition{{Type: ConditionCreate}}}
	list := &SecretSyncList{Items: []SecretSync{*one}}
	other, ok := list.DeepCopyObject().(*SecretSyncList)
	if !ok || !reflect.DeepEqual(list, other) {
		t.Fatalf("%+v", other)
	}
	other.Items[0].Spec.SecretObject.Labels["app"] = "x"
	other.Items[0].Spec.SecretObject.Data[0].TargetKey = "x"
	other.Items[0].Status.Conditions[0].Type = "x"
	if one.Spec.SecretObject.Labels["app"] != "shop" || one.Spec.SecretObject.Data[0].TargetKey != "password" || one.Status.Conditions[0].Type != ConditionCreate {
		t.Errorf("%+v", one)
	}
}

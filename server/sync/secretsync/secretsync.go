// Package secretsync is the sync controller's Input of SecretSync objects, the API of the
// driver project's own sync controller.
//
// The types and reasons of conditions are those of its API. Where its controller and its
// API differ, the API counts: the reasons of an update that succeeds are NoValueChange
// and ValueChangeOrForceUpdateDetected.
package secretsync

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	secretsstore "sigs.k8s.io/secrets-store-csi-driver/apis/v1"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/server/sync"
)

// Label is on every Secret of a SecretSync, as the driver project's controller has it.
const Label = "secrets-store.sync.x-k8s.io"

// The types of conditions, and the reasons of those that are True.
const (
	ConditionCreate = "Create"
	ConditionUpdate = "Update"

	reasonCreated = "CreateSucceeded"
	reasonSame    = "NoValueChange"
	reasonChanged = "ValueChangeOrForceUpdateDetected"
)

// Input reads SecretSyncs. It implements sync.Input.
type Input struct {
	// Client reads SecretSyncs and classes from memory and writes SecretSyncs' status.
	Client client.Client
	// ControllerName is the secretSyncControllerName of those that are read.
	ControllerName string
}

// Kind is "secretsync".
func (Input) Kind() string { return "secretsync" }

// Want is what a SecretSync asks for.
func (in Input) Want(ctx context.Context, key types.NamespacedName) (*sync.Want, error) {
	var object SecretSync
	if err := in.Client.Get(ctx, key, &object); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if object.DeletionTimestamp != nil || object.Spec.SecretSyncControllerName != in.ControllerName {
		return nil, nil //nolint:nilnil // it is not this controller's
	}
	spec := object.Spec.SecretObject
	secret := sync.Secret{Name: object.Name, Type: spec.Type, Labels: spec.Labels, Annotations: spec.Annotations}
	if secret.Type == "" {
		secret.Type = "Opaque"
	}
	for _, data := range spec.Data {
		secret.Data = append(secret.Data, sync.Item{Key: data.TargetKey, File: data.SourcePath})
	}
	want := &sync.Want{
		Object: &object, Namespace: object.Namespace, ServiceAccount: object.Spec.ServiceAccountName,
		Owner:   meta.OwnerReference{APIVersion: Version.String(), Kind: "SecretSync", Name: object.Name, UID: object.UID},
		Refresh: sync.RefreshOf(object.Spec.ForceSynchronization, object.Annotations[sync.RefreshAnnotation]),
		Adopt:   []sync.Sign{{Path: "/metadata/ownerReferences/0/uid", Value: string(object.UID)}},
	}
	in.known(want, &object)
	if want.Problem = secret.Check(); want.Problem != nil {
		return want, nil
	}
	secret.Labels = labelled(secret.Labels)
	want.Secrets = []sync.Secret{secret}
	return want, in.class(ctx, want, &object)
}

// known takes from the status what an earlier process knew.
func (in Input) known(want *sync.Want, object *SecretSync) {
	if hash, refresh, ok := strings.Cut(object.Status.SyncHash, ":"); ok {
		want.Known = map[string]sync.Written{object.Name: {Digest: hash, Refresh: refresh}}
	}
	for _, condition := range object.Status.Conditions {
		if condition.Status != meta.ConditionUnknown {
			want.Since = condition.LastTransitionTime.Time
			want.Failing = want.Failing || condition.Status == meta.ConditionFalse
		}
	}
}

// class takes the parameters of the class.
func (in Input) class(ctx context.Context, want *sync.Want, object *SecretSync) error {
	var class secretsstore.SecretProviderClass
	err := in.Client.Get(ctx, types.NamespacedName{Namespace: object.Namespace, Name: object.Spec.SecretProviderClassName}, &class)
	if apierrors.IsNotFound(err) {
		want.Problem = &sync.Problem{Reason: sync.ReasonClass, Text: fmt.Sprintf("there is no SecretProviderClass %s in namespace %s",
			message.Printable(object.Spec.SecretProviderClassName), message.Printable(object.Namespace))}
		return nil
	}
	want.Provider, want.Parameters = string(class.Spec.Provider), class.Spec.Parameters
	return err
}

func labelled(labels map[string]string) map[string]string {
	with := map[string]string{Label: ""}
	for name, value := range labels {
		with[name] = value
	}
	return with
}

// Report notes what became of a SecretSync in its status.
func (in Input) Report(ctx context.Context, want *sync.Want, outcome *sync.Outcome) error {
	object, ok := want.Object.(*SecretSync)
	if !ok {
		return fmt.Errorf("%T is no SecretSync", want.Object)
	}
	status := statusAfter(object, outcome)
	before, err := json.Marshal(object.Status)
	if err != nil {
		return err
	}
	after, err := json.Marshal(status)
	if err != nil || string(after) == string(before) {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": object.UID}, "status": status})
	if err != nil {
		return err
	}
	target := &SecretSync{ObjectMeta: meta.ObjectMeta{Namespace: object.Namespace, Name: object.Name}}
	err = in.Client.Status().Patch(ctx, target, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(sync.FieldManager))
	if apierrors.IsConflict(err) {
		return nil // it was made anew
	}
	return err
}

// statusAfter is the status after an attempt. Of a Secret that was never written the
// condition Create tells, of any other Update.
func statusAfter(object *SecretSync, outcome *sync.Outcome) SecretStatus {
	status := object.DeepCopy().Status
	written, exists := outcome.Written[object.Name]
	wasThere := status.SyncHash != ""
	set := func(kind string, state meta.ConditionStatus, reason, text string) {
		apimeta.SetStatusCondition(&status.Conditions, meta.Condition{
			Type: kind, Status: state, Reason: reason, Message: text, LastTransitionTime: meta.NewTime(outcome.Now), ObservedGeneration: object.Generation,
		})
	}
	if problem := outcome.Problem; problem != nil {
		kind, state := ConditionCreate, meta.ConditionFalse
		if wasThere {
			kind = ConditionUpdate
		}
		if problem.Reason == sync.ReasonUnknown {
			state = meta.ConditionUnknown
		}
		set(kind, state, string(problem.Reason), problem.Text)
		return status
	}
	changed := len(outcome.Created)+len(outcome.Changed) > 0
	if exists {
		status.SyncHash = written.Digest + ":" + written.Refresh
	}
	create := apimeta.FindStatusCondition(status.Conditions, ConditionCreate)
	if !wasThere || len(outcome.Created) > 0 || create != nil && create.Status != meta.ConditionTrue {
		set(ConditionCreate, meta.ConditionTrue, reasonCreated, "The Secret was created.")
	}
	switch update := apimeta.FindStatusCondition(status.Conditions, ConditionUpdate); {
	case wasThere && (changed || object.Status.SyncHash != status.SyncHash):
		set(ConditionUpdate, meta.ConditionTrue, reasonChanged, "The Secret has the new values.")
	case update == nil || update.Status != meta.ConditionTrue || update.Reason != reasonSame:
		set(ConditionUpdate, meta.ConditionTrue, reasonSame, "The Secret has the values that the store has.")
	}
	if changed || status.LastSuccessfulSyncTime == nil || status.SyncHash != object.Status.SyncHash {
		at := meta.NewTime(outcome.Now)
		status.LastSuccessfulSyncTime = &at
	}
	return status
}

// Package class is the sync controller's Input of SecretProviderClasses that say
// themselves that their secretObjects are to be written without a pod: by an annotation
// that names a service account.
package class

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	secretsstore "sigs.k8s.io/secrets-store-csi-driver/apis/v1"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/server/sync"
)

// The annotations of a class.
const (
	// Annotation names the service account as which the class is read.
	Annotation = "lanyard.dev/sync"
	// StatusAnnotation is what became of the class: a Status as JSON.
	StatusAnnotation = "lanyard.dev/sync-status"
)

// managedByDriver is the label of Secrets that the driver writes for pods that mount the
// class. https://secrets-store-csi-driver.sigs.k8s.io/topics/sync-as-kubernetes-secret
const managedByDriver = "secrets-store.csi.k8s.io/managed"

// Status is what the controller says of a class.
type Status struct {
	// State is Synced or Failed.
	State string `json:"state"`
	// Since is when it began to be so.
	Since time.Time `json:"since"`
	// Reason and Message say why a class is Failed; the Secrets stay as they were.
	Reason  sync.Reason `json:"reason,omitempty"`
	Message string      `json:"message,omitempty"`
	// Secrets are those that belong to the class, with what they were last written with.
	Secrets map[string]sync.Written `json:"secrets,omitempty"`
}

// The states.
const (
	synced = "Synced"
	failed = "Failed"
)

// Input reads classes. It implements sync.Input.
type Input struct {
	// Client reads classes from memory and writes their annotation.
	Client client.Client
}

// Kind is "class".
func (Input) Kind() string { return "class" }

// Want is what a class asks for.
func (in Input) Want(ctx context.Context, key types.NamespacedName) (*sync.Want, error) {
	var class secretsstore.SecretProviderClass
	if err := in.Client.Get(ctx, key, &class); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if class.DeletionTimestamp != nil {
		return nil, nil //nolint:nilnil // Kubernetes removes the Secrets
	}
	account, annotated := class.Annotations[Annotation]
	want := &sync.Want{
		Object: &class, Namespace: class.Namespace, ServiceAccount: account,
		Owner:    meta.OwnerReference{APIVersion: secretsstore.SchemeGroupVersion.String(), Kind: "SecretProviderClass", Name: class.Name, UID: class.UID},
		Provider: string(class.Spec.Provider), Parameters: class.Spec.Parameters,
		Refresh: sync.RefreshOf(class.Annotations[sync.RefreshAnnotation]),
		Adopt:   []sync.Sign{{Path: "/metadata/labels/" + strings.ReplaceAll(managedByDriver, "/", "~1"), Value: "true"}},
	}
	if status := statusOf(&class); status != nil {
		want.Known, want.Failing, want.Since = status.Secrets, status.State == failed, status.Since
	}
	if annotated {
		want.Secrets, want.Problem = secretsOf(&class, account)
	}
	return want, nil
}

// statusOf is what the class's annotation says; nil if there is none that the controller
// may have written.
func statusOf(class *secretsstore.SecretProviderClass) *Status {
	var status Status
	if text := class.Annotations[StatusAnnotation]; text == "" || json.Unmarshal([]byte(text), &status) != nil || len(status.Secrets) > sync.MaxHeld {
		return nil
	}
	return &status
}

// secretsOf are the Secrets that a class describes, or what is wrong with them: all of it.
func secretsOf(class *secretsstore.SecretProviderClass, account string) ([]sync.Secret, *sync.Problem) {
	var problems []string
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if account == "" {
		wrong("annotation %s: must name a service account of the namespace", Annotation)
	}
	if len(class.Spec.SecretObjects) == 0 {
		wrong("secretObjects: missing; it says which Secrets are written")
	}
	if n := len(class.Spec.SecretObjects); n > sync.MaxSecrets {
		return nil, &sync.Problem{Reason: sync.ReasonInput, Text: fmt.Sprintf("secretObjects: %d Secrets; a class may have %d, so make several of it", n, sync.MaxSecrets)}
	}
	var secrets []sync.Secret
	for i, object := range class.Spec.SecretObjects {
		at := fmt.Sprintf("secretObjects[%d]", i)
		if object == nil {
			wrong("%s: is empty", at)
			continue
		}
		secret := sync.Secret{Name: object.SecretName, Type: object.Type, Labels: object.Labels, Annotations: object.Annotations}
		if secret.Type == "" {
			secret.Type = "Opaque"
		}
		switch {
		case secret.Name == "":
			wrong("%s.secretName: missing", at)
		case slices.ContainsFunc(secrets, func(s sync.Secret) bool { return s.Name == secret.Name }):
			wrong("%s.secretName: Secret %s is described before; put its keys there", at, message.Printable(secret.Name))
		}
		if len(object.Data) == 0 {
			wrong("%s.data: missing; it says which keys the Secret has", at)
		}
		for j, data := range object.Data {
			switch {
			case data == nil || strings.TrimSpace(data.ObjectName) == "":
				wrong("%s.data[%d].objectName: missing", at, j)
			case strings.TrimSpace(data.Key) == "":
				wrong("%s.data[%d].key: missing", at, j)
			default:
				secret.Data = append(secret.Data, sync.Item{Key: strings.TrimSpace(data.Key), File: strings.TrimSpace(data.ObjectName)})
			}
		}
		if reserved := secret.Check(); reserved != nil {
			wrong("%s: %s", at, reserved.Text)
		}
		secrets = append(secrets, secret)
	}
	if len(problems) > 0 {
		return nil, &sync.Problem{Reason: sync.ReasonInput, Text: strings.Join(problems, "; ")}
	}
	return secrets, nil
}

// Report notes what became of a class in its annotation; a class that does not ask any
// more loses it.
func (in Input) Report(ctx context.Context, want *sync.Want, outcome *sync.Outcome) error {
	class, ok := want.Object.(*secretsstore.SecretProviderClass)
	if !ok {
		return fmt.Errorf("%T is no class", want.Object)
	}
	var text *string // nil removes the annotation
	if _, annotated := class.Annotations[Annotation]; annotated || outcome.Problem != nil {
		status := Status{State: synced, Since: outcome.Since.UTC().Truncate(time.Second), Secrets: outcome.Written}
		if p := outcome.Problem; p != nil {
			status.State, status.Reason, status.Message = failed, p.Reason, p.Text
		}
		written, err := json.Marshal(status)
		if err != nil {
			return err
		}
		s := string(written)
		text = &s
	}
	if before, had := class.Annotations[StatusAnnotation]; text == nil && !had || text != nil && *text == before {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": class.UID, "annotations": map[string]*string{StatusAnnotation: text}}})
	if err != nil {
		return err
	}
	target := &secretsstore.SecretProviderClass{ObjectMeta: meta.ObjectMeta{Namespace: class.Namespace, Name: class.Name}}
	err = in.Client.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(sync.FieldManager))
	if apierrors.IsConflict(err) {
		return nil // it was made anew
	}
	return err
}

package secretsync

import (
	"slices"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Version is the group and version of SecretSync.
// https://github.com/kubernetes-sigs/secrets-store-sync-controller/blob/main/api/secretsync/v1alpha1/secretsync_types.go
var Version = schema.GroupVersion{Group: "secret-sync.x-k8s.io", Version: "v1alpha1"}

// AddToScheme adds the types of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(Version, &SecretSync{}, &SecretSyncList{})
	meta.AddToGroupVersion(s, Version)
	return nil
}

// SecretSync asks for a Secret of its own name.
type SecretSync struct {
	meta.TypeMeta   `json:",inline"`
	meta.ObjectMeta `json:"metadata"`

	Spec   Spec         `json:"spec"`
	Status SecretStatus `json:"status,omitzero"`
}

// Spec is what a SecretSync asks for.
type Spec struct {
	// SecretSyncControllerName names the controller whose object it is.
	SecretSyncControllerName string `json:"secretSyncControllerName,omitempty"`
	// SecretProviderClassName names the class that is read.
	SecretProviderClassName string `json:"secretProviderClassName"`
	// ServiceAccountName is as whom it is read.
	ServiceAccountName string `json:"serviceAccountName"`
	// SecretObject describes the Secret.
	SecretObject SecretObject `json:"secretObject"`
	// ForceSynchronization has the values read anew when it changes.
	ForceSynchronization string `json:"forceSynchronization,omitempty"`
}

// SecretObject describes the Secret.
type SecretObject struct {
	Type        string            `json:"type,omitempty"`
	Data        []Data            `json:"data"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Data is a key of the Secret and the file of the class that is its value.
type Data struct {
	SourcePath string `json:"sourcePath"`
	TargetKey  string `json:"targetKey"`
}

// SecretStatus is what became of a SecretSync.
type SecretStatus struct {
	// SyncHash is a digest of what the Secret was last written with, which tells
	// nothing of the values.
	SyncHash string `json:"syncHash,omitempty"`
	// LastSuccessfulSyncTime is when the Secret was last written.
	LastSuccessfulSyncTime *meta.Time `json:"lastSuccessfulSyncTime,omitempty"`
	// Conditions are of the types Create and Update.
	Conditions []meta.Condition `json:"conditions,omitempty"`
}

// SecretSyncList is a list of SecretSyncs.
type SecretSyncList struct {
	meta.TypeMeta `json:",inline"`
	meta.ListMeta `json:"metadata"`

	Items []SecretSync `json:"items"`
}

// DeepCopyObject copies the object.
func (s *SecretSync) DeepCopyObject() runtime.Object { return s.DeepCopy() }

// DeepCopy copies the object.
func (s *SecretSync) DeepCopy() *SecretSync {
	c := *s
	s.ObjectMeta.DeepCopyInto(&c.ObjectMeta)
	c.Spec.SecretObject.Data = slices.Clone(s.Spec.SecretObject.Data)
	c.Spec.SecretObject.Labels = copied(s.Spec.SecretObject.Labels)
	c.Spec.SecretObject.Annotations = copied(s.Spec.SecretObject.Annotations)
	if s.Status.LastSuccessfulSyncTime != nil {
		at := *s.Status.LastSuccessfulSyncTime
		c.Status.LastSuccessfulSyncTime = &at
	}
	c.Status.Conditions = slices.Clone(s.Status.Conditions)
	return &c
}

func copied(m map[string]string) map[string]string {
	if m == nil {
		return nil
	}
	c := make(map[string]string, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// DeepCopyObject copies the list.
func (l *SecretSyncList) DeepCopyObject() runtime.Object {
	c := *l
	l.ListMeta.DeepCopyInto(&c.ListMeta)
	c.Items = make([]SecretSync, len(l.Items))
	for i := range l.Items {
		c.Items[i] = *l.Items[i].DeepCopy()
	}
	return &c
}

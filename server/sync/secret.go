package sync

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanyardhq/lanyard/internal/message"
)

// object is the Secret as it is written.
func (s Secret) object(want *Want, holds *content) (*core.Secret, error) {
	versions, err := versionsText(holds.versions)
	if err != nil {
		return nil, err
	}
	object := &core.Secret{
		TypeMeta: meta.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: meta.ObjectMeta{
			Namespace: want.Namespace, Name: s.Name, OwnerReferences: []meta.OwnerReference{want.Owner},
			Labels: map[string]string{}, Annotations: map[string]string{},
		},
		Type: core.SecretType(s.Type), Data: holds.data,
	}
	maps.Copy(object.Labels, s.Labels)
	maps.Copy(object.Annotations, s.Annotations)
	object.Labels[OwnerLabel] = string(want.Owner.UID)
	object.Annotations[VersionsAnnotation] = versions
	return object, nil
}

// errNotOwn is the problem of what only the controller itself may say.
var errNotOwn = errors.New("is the controller's own")

// Reserved says whether a label or annotation is the controller's own, which an object
// must not give to its Secret.
func Reserved(name string) bool {
	prefix, _, _ := strings.Cut(name, "/")
	return prefix == "lanyard.dev" || strings.HasSuffix(prefix, "secrets-store.sync.x-k8s.io")
}

// checkNames refuses what an object must not say of its Secret.
func checkNames(what string, names map[string]string) *Problem {
	reason := map[string]Reason{"label": ReasonLabel, "annotation": ReasonAnnotation}[what]
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if Reserved(name) {
			return &Problem{reason, fmt.Sprintf("the %s %s %v; leave it out", what, message.Printable(name), errNotOwn)}
		}
	}
	return nil
}

// Check refuses the labels and annotations of a Secret that are the controller's own.
func (s Secret) Check() *Problem {
	return cmp.Or(checkNames("label", s.Labels), checkNames("annotation", s.Annotations))
}

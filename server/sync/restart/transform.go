package restart

import (
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	secretsstore "sigs.k8s.io/secrets-store-csi-driver/apis/v1"
)

// strip leaves of an object what the controller reads, before the cache keeps it. Of
// 10,000 pods and their statuses that is 16 MiB (TestTheCacheIsSmall).
func strip(o any) (any, error) {
	switch o := o.(type) {
	case *metav1.PartialObjectMetadata:
		stripMeta(&o.ObjectMeta)
		delete(o.Annotations, recordAnnotation) // that of a workload counts
	case *secretsstore.SecretProviderClassPodStatus:
		// Only the last time of a change is wanted of the managed fields.
		var last metav1.ManagedFieldsEntry
		for _, entry := range o.ManagedFields {
			if entry.Time != nil && (last.Time == nil || last.Time.Before(entry.Time)) {
				last.Time = entry.Time
			}
		}
		owners := o.OwnerReferences
		stripMeta(&o.ObjectMeta)
		o.OwnerReferences = owners
		if last.Time != nil {
			o.ManagedFields = []metav1.ManagedFieldsEntry{last}
		}
		o.Status.TargetPath, o.Status.PodName = "", ""
	case *appsv1.Deployment:
		stripWorkload(&o.ObjectMeta, &o.Spec.Template)
		if !wanted(o, &o.Spec.Template) {
			o.Spec, o.Status = appsv1.DeploymentSpec{}, appsv1.DeploymentStatus{}
		}
	case *appsv1.StatefulSet:
		stripWorkload(&o.ObjectMeta, &o.Spec.Template)
		o.Spec.VolumeClaimTemplates = nil
		if !wanted(o, &o.Spec.Template) {
			o.Spec, o.Status = appsv1.StatefulSetSpec{}, appsv1.StatefulSetStatus{}
		}
	case *appsv1.DaemonSet:
		stripWorkload(&o.ObjectMeta, &o.Spec.Template)
		if !wanted(o, &o.Spec.Template) {
			o.Spec, o.Status = appsv1.DaemonSetSpec{}, appsv1.DaemonSetStatus{}
		}
	}
	return o, nil
}

// wanted says whether a workload opted in.
func wanted(o metav1.Object, template *corev1.PodTemplateSpec) bool {
	return optedIn(annotationsOf(o.GetAnnotations(), template.Annotations))
}

// kept are the annotations that are read.
var kept = append(slices.Clone(understood), recordAnnotation, templateAnnotation)

func stripMeta(m *metav1.ObjectMeta) {
	var owners []metav1.OwnerReference
	for _, owner := range m.OwnerReferences {
		if owner.Controller != nil && *owner.Controller {
			owners = append(owners, owner)
		}
	}
	*m = metav1.ObjectMeta{
		Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, Generation: m.Generation,
		CreationTimestamp: m.CreationTimestamp, DeletionTimestamp: m.DeletionTimestamp, OwnerReferences: owners,
		Annotations: stripAnnotations(m.Annotations),
	}
}

// stripAnnotations leaves the annotations that are read, and of those that are too long
// no more than what shows it. A template's annotation is as long as that of its pods.
func stripAnnotations(all map[string]string) map[string]string {
	var left map[string]string
	for _, key := range kept {
		if value, ok := all[key]; ok {
			if left == nil {
				left = map[string]string{}
			}
			if key != recordAnnotation && len(value) > maxAnnotation {
				value = strings.Clone(value[:maxAnnotation+1])
			}
			left[key] = value
		}
	}
	return left
}

// stripWorkload leaves of a pod template what names classes and Secrets.
func stripWorkload(m *metav1.ObjectMeta, template *corev1.PodTemplateSpec) {
	stripMeta(m)
	template.ObjectMeta = metav1.ObjectMeta{Annotations: stripAnnotations(template.Annotations)}
	spec := corev1.PodSpec{ImagePullSecrets: template.Spec.ImagePullSecrets}
	used := slices.Collect(maps.Keys(uses(template.Spec)))
	for _, s := range used {
		spec.Volumes = append(spec.Volumes, volumeOf(s))
	}
	template.Spec = spec
}

// volumeOf is the smallest volume that uses a source.
func volumeOf(s source) corev1.Volume {
	if s.kind == kindSecret {
		return corev1.Volume{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: s.name}}}
	}
	return corev1.Volume{VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: driver, VolumeAttributes: map[string]string{classAttribute: s.name}}}}
}

package restart

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	secretsstore "sigs.k8s.io/secrets-store-csi-driver/apis/v1"
)

// The annotations that the controller writes.
const (
	// recordAnnotation is on the workload itself: a change of it rolls out nothing.
	recordAnnotation = "lanyard.dev/restart-record"
	// templateAnnotation is on the pod template, and so on the pods: a change of it
	// rolls out the workload, as that of kubectl rollout restart does.
	templateAnnotation = "lanyard.dev/restarted-for"
)

// driver is the name of the Secrets Store CSI driver in volumes, and classAttribute
// the volume attribute that names the class.
const (
	driver         = "secrets-store.csi.k8s.io"
	classAttribute = "secretProviderClass"
)

// replicaSetKind is the kind of what owns the pods of a Deployment.
const replicaSetKind = "ReplicaSet"

// podKind is the kind of what nothing restarts.
const podKind = "Pod"

// found is a workload with the object that it was read from.
type found struct {
	workload
	of       client.Object     // nil for a pod that nothing restarts
	template map[string]string // annotations of the pod template
	uses     map[source]bool
}

// ownerKey is what an owner reference stands for. Whoever makes an object writes what
// he wants into its references, so that a UID alone could be of an object of another
// namespace, or of another kind.
type ownerKey struct {
	namespace, group, kind string
	uid                    types.UID
}

// ownerOf is the object that a reference of an object in the namespace stands for.
func ownerOf(namespace string, o *metav1.OwnerReference) ownerKey {
	return ownerKey{namespace, schema.FromAPIVersionAndKind(o.APIVersion, o.Kind).Group, o.Kind, o.UID}
}

// snapshot reads everything that decides from the cache.
func (r *reconciler) snapshot(ctx context.Context, now time.Time) ([]*found, error) {
	var (
		deployments  appsv1.DeploymentList
		statefulSets appsv1.StatefulSetList
		daemonSets   appsv1.DaemonSetList
		statuses     secretsstore.SecretProviderClassPodStatusList
		pods         = metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}}
		replicaSets  = metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "ReplicaSetList"}}
	)
	lists := []client.ObjectList{&deployments, &statefulSets, &daemonSets, &pods, &replicaSets}
	if r.classes {
		lists = append(lists, &statuses)
	}
	for _, list := range lists {
		if err := r.cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return nil, err
		}
	}
	var all []*found
	byOwner := map[ownerKey]*found{}
	add := func(o client.Object, template *corev1.PodTemplateSpec, describe func(*found)) {
		annotations := annotationsOf(o.GetAnnotations(), template.Annotations)
		if !optedIn(annotations) || o.GetDeletionTimestamp() != nil {
			return
		}
		f := &found{of: o, template: template.Annotations, uses: uses(template.Spec)}
		f.object = object{namespace: o.GetNamespace(), name: o.GetName(), uid: o.GetUID()}
		f.policy, f.problems = parsePolicy(annotations)
		describe(f)
		r.overlay(f)
		all = append(all, f)
		byOwner[ownerKey{f.namespace, appsv1.GroupName, f.kind, f.uid}] = f
	}
	for i := range deployments.Items {
		d := &deployments.Items[i]
		add(d, &d.Spec.Template, func(f *found) { f.deployment(d, r.limit) })
	}
	for i := range statefulSets.Items {
		s := &statefulSets.Items[i]
		add(s, &s.Spec.Template, func(f *found) { f.statefulSet(s, r.limit) })
	}
	for i := range daemonSets.Items {
		d := &daemonSets.Items[i]
		add(d, &d.Spec.Template, func(f *found) { f.daemonSet(d, r.limit) })
	}
	held := map[ownerKey][]*secretsstore.SecretProviderClassPodStatus{}
	for i := range statuses.Items {
		status := &statuses.Items[i]
		for j := range status.OwnerReferences {
			if of := ownerOf(status.Namespace, &status.OwnerReferences[j]); of.kind == podKind && len(status.Status.Objects) > 0 {
				held[of] = append(held[of], status)
			}
		}
	}
	owners := map[ownerKey]*metav1.OwnerReference{}
	for i := range replicaSets.Items {
		set := &replicaSets.Items[i]
		owners[ownerKey{set.Namespace, appsv1.GroupName, replicaSetKind, set.UID}] = metav1.GetControllerOfNoCopy(set)
	}
	secrets := map[string]map[string]written{}
	for _, f := range all {
		if _, ok := secrets[f.namespace]; !ok {
			secrets[f.namespace] = r.secrets.in(f.namespace)
		}
		f.watch(secrets[f.namespace])
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.DeletionTimestamp != nil {
			continue
		}
		owner, holds := metav1.GetControllerOfNoCopy(pod), held[ownerKey{pod.Namespace, corev1.GroupName, podKind, pod.UID}]
		if owner != nil && owner.Kind == replicaSetKind {
			above, known := owners[ownerOf(pod.Namespace, owner)]
			if !known {
				continue // its ReplicaSet is not seen yet
			}
			if above != nil {
				owner = above
			}
		}
		if owner != nil {
			if f := byOwner[ownerOf(pod.Namespace, owner)]; f != nil {
				f.read(pod, holds, secrets[f.namespace])
				continue
			}
		}
		if f := r.alone(pod, owner, holds); f != nil {
			all = append(all, f)
		}
	}
	r.forget(all, now)
	here := map[types.UID]map[source]time.Time{}
	for _, f := range all {
		f.rollout.since = r.got(f, now)
		for _, readings := range f.readings {
			for i := range readings {
				m := &readings[i]
				if r.renewed[m.pod][m.source].Equal(m.since) {
					m.fresh = true
				}
				if of := r.renewed[m.pod]; of != nil {
					here[m.pod] = of
				}
			}
		}
	}
	r.renewed = here
	return all, nil
}

// uses are the classes that a pod mounts and the Secrets that it needs.
func uses(pod corev1.PodSpec) map[source]bool {
	used := map[source]bool{}
	add := func(k kind, name string) {
		if name != "" {
			used[source{k, name}] = true
		}
	}
	for _, v := range pod.Volumes {
		if v.CSI != nil && v.CSI.Driver == driver {
			add(kindClass, v.CSI.VolumeAttributes[classAttribute])
		}
		if v.Secret != nil {
			add(kindSecret, v.Secret.SecretName)
		}
		if v.Projected != nil {
			for _, from := range v.Projected.Sources {
				if from.Secret != nil {
					add(kindSecret, from.Secret.Name)
				}
			}
		}
	}
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		for _, from := range c.EnvFrom {
			if from.SecretRef != nil {
				add(kindSecret, from.SecretRef.Name)
			}
		}
		for _, env := range c.Env {
			if env.ValueFrom != nil && env.ValueFrom.SecretKeyRef != nil {
				add(kindSecret, env.ValueFrom.SecretKeyRef.Name)
			}
		}
	}
	for _, s := range pod.ImagePullSecrets {
		add(kindSecret, s.Name)
	}
	return used
}

// watch finds out which sources the workload is to be rolled out for: those that its
// template uses, and Secrets that it names. A Secret that is recorded counts before its
// writer has told of it, as after a restart.
func (f *found) watch(secrets map[string]written) {
	candidates := maps.Clone(f.uses)
	for name := range secrets {
		candidates[source{kindSecret, name}] = true
	}
	if f.record != nil {
		for text := range f.record.Versions {
			of, name, _ := strings.Cut(text, " ")
			candidates[source{kind(of), name}] = true
		}
	}
	matching := 0
	for s := range candidates {
		matching += f.policy.cost[s.kind] * len(s.name)
	}
	if matching > maxMatching {
		f.problems = append(f.problems, fmt.Sprintf("its expressions are too large for %d classes and Secrets that it uses and that the namespace has; write names, or smaller expressions", len(candidates)))
		return
	}
	f.readings = map[source][]reading{}
	for s := range candidates {
		if wanted, ifUsed := f.policy.wants(s); wanted && (f.uses[s] || !ifUsed && s.kind == kindSecret) {
			f.readings[s] = nil
		}
	}
	f.policy.named = nil // no longer read; the memory of all workloads would add up
	if len(f.readings) > maxSources {
		f.problems = append(f.problems, fmt.Sprintf("it watches %d classes and Secrets; want at most %d", len(f.readings), maxSources))
		f.readings = nil
	}
}

// read notes what a pod of the workload holds, unless it is of an earlier template.
func (f *found) read(pod *metav1.PartialObjectMetadata, statuses []*secretsstore.SecretProviderClassPodStatus, secrets map[string]written) {
	if pod.Annotations[templateAnnotation] != f.template[templateAnnotation] {
		return
	}
	for _, status := range statuses {
		s := source{kindClass, status.Status.SecretProviderClassName}
		if _, watched := f.readings[s]; watched {
			f.readings[s] = append(f.readings[s], readStatus(pod, s, status))
		}
	}
	for name, held := range secrets {
		s := source{kindSecret, name}
		if _, watched := f.readings[s]; watched {
			f.readings[s] = append(f.readings[s], reading{pod.UID, pod.Name, s, held.versions, held.since, !pod.CreationTimestamp.Time.Before(held.since)})
		}
	}
}

// readStatus is what a pod holds of a class. The API server counts a generation for
// each change beside the metadata, since the resource has no status of its own, so
// that a status of the first generation is as it was when the pod started.
func readStatus(pod *metav1.PartialObjectMetadata, s source, status *secretsstore.SecretProviderClassPodStatus) reading {
	all := make(versions, len(status.Status.Objects))
	for _, o := range status.Status.Objects {
		all[o.ID] = o.Version
	}
	since := status.CreationTimestamp.Time
	for _, entry := range status.ManagedFields {
		if entry.Time != nil && entry.Time.After(since) {
			since = entry.Time.Time
		}
	}
	return reading{pod.UID, pod.Name, s, shorten(all), since, status.Generation <= 1}
}

// alone is a pod that opted in and that nothing restarts: it has no owner, or one that
// is none of the three kinds. Jobs end by themselves.
func (r *reconciler) alone(pod *metav1.PartialObjectMetadata, owner *metav1.OwnerReference, statuses []*secretsstore.SecretProviderClassPodStatus) *found {
	if !optedIn(pod.Annotations) || len(statuses) == 0 {
		return nil
	}
	f := &found{uses: map[source]bool{}}
	f.rollout.settled, f.rollout.ready = true, true
	f.rollout.byHand = "no controller would start it again"
	switch {
	case owner == nil:
	case owner.Kind == "Job":
		return nil
	case schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind).Group == appsv1.GroupName && owner.Kind != replicaSetKind:
		return nil // a workload that the cache does not have yet, or that opted out
	default:
		f.rollout.byHand = "pods of a " + owner.Kind + " are not restarted by Lanyard"
	}
	f.object = object{podKind, pod.Namespace, pod.Name, pod.UID}
	f.policy, f.problems = parsePolicy(pod.Annotations)
	f.template = pod.Annotations
	for _, status := range statuses {
		f.uses[source{kindClass, status.Status.SecretProviderClassName}] = true
	}
	f.watch(nil)
	f.read(pod, statuses, nil)
	f.record = r.unowned[pod.UID]
	return f
}

// overlay gives a workload the record that was written last, as long as the cache does
// not have it.
func (r *reconciler) overlay(f *found) {
	text := f.of.GetAnnotations()[recordAnnotation]
	if last, ok := r.written[f.uid]; ok {
		if f.of.GetResourceVersion() == last.over {
			text = last.text
			if last.started {
				f.rollout.settled = false
			}
		} else {
			delete(r.written, f.uid)
		}
	}
	var err error
	if f.record, err = parseRecord(text); err == nil {
		delete(r.garbled, f.uid)
	} else if garbled := digest(text); r.garbled[f.uid] != garbled {
		r.garbled[f.uid] = garbled
		klog.InfoS("The record of a workload cannot be read", "workload", f.String(), "annotation", recordAnnotation, "cause", err)
	}
	short := 0
	if f.record != nil && f.record.Rollout != nil {
		short = f.record.Rollout.Short
	}
	f.rollout.ready = f.rollout.settled && f.rollout.missing <= short
}

// forget drops what is kept of workloads that are gone.
func (r *reconciler) forget(all []*found, now time.Time) {
	here, namespaces := make(map[types.UID]bool, len(all)), map[string]bool{}
	for _, f := range all {
		here[f.uid], namespaces[f.namespace] = true, true
	}
	gone := func(uid types.UID) bool { return !here[uid] }
	maps.DeleteFunc(r.written, func(uid types.UID, _ overlaid) bool { return gone(uid) })
	maps.DeleteFunc(r.steps, func(uid types.UID, _ stepped) bool { return gone(uid) })
	maps.DeleteFunc(r.lastEvent, func(uid types.UID, _ string) bool { return gone(uid) })
	maps.DeleteFunc(r.unowned, func(uid types.UID, _ *record) bool { return gone(uid) })
	maps.DeleteFunc(r.garbled, func(uid types.UID, _ string) bool { return gone(uid) })
	maps.DeleteFunc(r.failed, func(uid types.UID, b backoff) bool { return gone(uid) || !now.Before(b.until.Add(longestPause)) })
	maps.DeleteFunc(r.served, func(namespace string, _ time.Time) bool { return !namespaces[namespace] })
}

package restart

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	secretsstore "sigs.k8s.io/secrets-store-csi-driver/apis/v1"
)

func number[T any](n T) *T { return &n }

func TestHowFarARolloutIs(t *testing.T) {
	d := func(observed int64, all, updated, available int32) appsv1.DeploymentStatus {
		return appsv1.DeploymentStatus{ObservedGeneration: observed, Replicas: all, UpdatedReplicas: updated, AvailableReplicas: available}
	}
	deployment := func(status appsv1.DeploymentStatus, change ...func(*appsv1.Deployment)) *found {
		o := &appsv1.Deployment{ObjectMeta: named("web", nil), Spec: appsv1.DeploymentSpec{Replicas: number(int32(3))}, Status: status}
		for _, c := range change {
			c(o)
		}
		f := &found{of: o}
		f.deployment(o, 10*minute)
		return f
	}
	statefulSet := func(status appsv1.StatefulSetStatus, strategy appsv1.StatefulSetUpdateStrategy) *found {
		o := &appsv1.StatefulSet{ObjectMeta: named("web", nil), Spec: appsv1.StatefulSetSpec{Replicas: number(int32(3)), UpdateStrategy: strategy}, Status: status}
		f := &found{of: o}
		f.statefulSet(o, 10*minute)
		return f
	}
	daemonSet := func(status appsv1.DaemonSetStatus, strategy appsv1.DaemonSetUpdateStrategy) *found {
		o := &appsv1.DaemonSet{ObjectMeta: named("web", nil), Spec: appsv1.DaemonSetSpec{UpdateStrategy: strategy}, Status: status}
		f := &found{of: o}
		f.daemonSet(o, 10*minute)
		return f
	}
	late := func(o *appsv1.Deployment) {
		o.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded"}}
	}
	deadline := func(seconds int32) func(*appsv1.Deployment) {
		return func(o *appsv1.Deployment) { o.Spec.ProgressDeadlineSeconds = &seconds }
	}
	partition := appsv1.StatefulSetUpdateStrategy{RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: number(int32(2))}}
	for name, test := range map[string]struct {
		found *found
		want  progress // its limit is 10 minutes where it says nothing
		ready bool
	}{
		"a Deployment that is done":         {deployment(d(1, 3, 3, 3)), progress{settled: true}, true},
		"not seen by its controller":        {deployment(d(0, 3, 3, 3)), progress{}, false},
		"with a pod of the old template":    {deployment(d(1, 4, 3, 4)), progress{}, false},
		"with a pod to be replaced":         {deployment(d(1, 3, 2, 3)), progress{}, false},
		"with a pod that is not available":  {deployment(d(1, 3, 3, 2)), progress{settled: true, missing: 1}, false},
		"a Deployment of none":              {deployment(d(1, 0, 0, 0), func(o *appsv1.Deployment) { o.Spec.Replicas = number(int32(0)) }), progress{settled: true}, true},
		"a Deployment that says nothing":    {deployment(d(1, 1, 1, 1), func(o *appsv1.Deployment) { o.Spec.Replicas = nil }), progress{settled: true}, true},
		"a paused one":                      {deployment(d(1, 3, 3, 3), func(o *appsv1.Deployment) { o.Spec.Paused = true }), progress{settled: true, paused: true}, true},
		"one whose deadline passed":         {deployment(d(1, 4, 1, 3), late), progress{stuck: true}, false},
		"one whose last deadline passed":    {deployment(d(0, 4, 1, 3), late), progress{}, false},
		"one with a longer deadline":        {deployment(d(1, 3, 3, 3), deadline(3600)), progress{settled: true, limit: time.Hour}, true},
		"one with the longest of deadlines": {deployment(d(1, 3, 3, 3), deadline(math.MaxInt32-1)), progress{settled: true, limit: time.Hour}, true},
		"one with a shorter deadline":       {deployment(d(1, 3, 3, 3), deadline(60)), progress{settled: true}, true},
		"one without a deadline":            {deployment(d(1, 3, 3, 3), deadline(math.MaxInt32)), progress{settled: true}, true},
		"a StatefulSet that is done":        {statefulSet(appsv1.StatefulSetStatus{ObservedGeneration: 1, UpdatedReplicas: 3, AvailableReplicas: 3}, appsv1.StatefulSetUpdateStrategy{}), progress{settled: true}, true},
		"one that scales up":                {statefulSet(appsv1.StatefulSetStatus{ObservedGeneration: 1, UpdatedReplicas: 2, AvailableReplicas: 2, UpdateRevision: "1", CurrentRevision: "1"}, appsv1.StatefulSetUpdateStrategy{}), progress{settled: true, missing: 1}, false},
		"one that rolls out":                {statefulSet(appsv1.StatefulSetStatus{ObservedGeneration: 1, UpdatedReplicas: 2, AvailableReplicas: 3, UpdateRevision: "2", CurrentRevision: "1"}, appsv1.StatefulSetUpdateStrategy{}), progress{}, false},
		"one not seen by its controller":    {statefulSet(appsv1.StatefulSetStatus{UpdatedReplicas: 3, AvailableReplicas: 3}, appsv1.StatefulSetUpdateStrategy{}), progress{}, false},
		"one with a partition":              {statefulSet(appsv1.StatefulSetStatus{ObservedGeneration: 1, UpdatedReplicas: 1, AvailableReplicas: 3, UpdateRevision: "2", CurrentRevision: "1"}, partition), progress{settled: true}, true},
		"one that people restart":           {statefulSet(appsv1.StatefulSetStatus{ObservedGeneration: 1, UpdatedReplicas: 3, AvailableReplicas: 3}, appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}), progress{settled: true, byHand: onDelete}, true},
		"a DaemonSet that is done":          {daemonSet(appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 3, NumberAvailable: 3}, appsv1.DaemonSetUpdateStrategy{}), progress{settled: true}, true},
		"a DaemonSet that rolls out":        {daemonSet(appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 2, NumberAvailable: 2}, appsv1.DaemonSetUpdateStrategy{}), progress{missing: 1}, false},
		"a DaemonSet of a node that is out": {daemonSet(appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 3, NumberAvailable: 2}, appsv1.DaemonSetUpdateStrategy{}), progress{settled: true, missing: 1}, false},
		"a DaemonSet that people restart":   {daemonSet(appsv1.DaemonSetStatus{ObservedGeneration: 1}, appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}), progress{settled: true, byHand: onDelete}, true},
	} {
		newWorld(t).r.overlay(test.found)
		got := test.found.rollout
		test.want.ready = test.ready
		if test.want.limit == 0 {
			test.want.limit = 10 * minute
		}
		test.want.updated = got.updated
		if got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
	// What was missing before the rollout is not held against it.
	out := daemonSet(appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 3, NumberAvailable: 2}, appsv1.DaemonSetUpdateStrategy{})
	out.of.SetAnnotations(map[string]string{recordAnnotation: (&record{Versions: map[string]versions{}, Rollout: &rollout{Short: 1}}).text()})
	if newWorld(t).r.overlay(out); !out.rollout.ready {
		t.Error("a node that was out before keeps the rollout from being ready")
	}
}

func TestTheCacheKeepsWhatIsReadAndNoMore(t *testing.T) {
	secretEnv := corev1.EnvVar{ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "db"}}}}
	tpl := template("web")
	tpl.Annotations = map[string]string{templateAnnotation: "x", "other": "y"}
	tpl.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "PLAIN", Value: "a value"}, secretEnv}
	d := &appsv1.Deployment{ObjectMeta: named("web", map[string]string{onAnnotation: "change", recordAnnotation: "r", "kubectl.kubernetes.io/last-applied-configuration": "a value"}),
		Spec: appsv1.DeploymentSpec{Template: tpl, Replicas: number(int32(3))}, Status: appsv1.DeploymentStatus{Replicas: 3}}
	want := uses(tpl.Spec)
	for range 2 {
		if _, err := strip(d); err != nil {
			t.Fatal(err)
		}
		got := uses(d.Spec.Template.Spec)
		if len(got) != 2 || !got[source{kindSecret, "db"}] || len(want) != 2 {
			t.Errorf("uses %v, want %v", got, want)
		}
		if text := fmt.Sprintf("%v", d); strings.Contains(text, "a value") || d.Annotations[recordAnnotation] != "r" || d.Spec.Template.Annotations[templateAnnotation] != "x" || *d.Spec.Replicas != 3 || d.Status.Replicas != 3 {
			t.Errorf("%s", text)
		}
	}
	d.Annotations = nil
	if _, err := strip(d); err != nil || d.Spec.Replicas != nil || d.Status.Replicas != 0 || wanted(d, &d.Spec.Template) {
		t.Errorf("a workload that wants nothing is kept: %v", d)
	}
}

// bulky is metadata as the API server gives it.
func bulky(name string) metav1.ObjectMeta {
	m := named(name, map[string]string{"cni/status": strings.Repeat("x", 500)})
	m.Labels = map[string]string{"app.kubernetes.io/name": name, "pod-template-hash": "0123456789"}
	m.UID = types.UID(name + strings.Repeat("0", 36))
	m.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: name, UID: m.UID, Controller: number(true)}}
	m.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet", Time: number(metav1.Now()), FieldsV1: metav1.NewFieldsV1(strings.Repeat("x", 3000))}}
	return m
}

// The controller shares its container's 128 MiB with the writer of Secrets.
func TestTheCacheIsSmall(t *testing.T) {
	memory := func() int {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := memory()
	kept := make([]any, 0, 20000)
	for i := range 10000 {
		name := fmt.Sprint("web-0123456789-", i)
		status := &secretsstore.SecretProviderClassPodStatus{ObjectMeta: bulky(name + "-shop-web")}
		status.Status.TargetPath = strings.Repeat("x", 150)
		for j := range 5 {
			status.Status.Objects = append(status.Status.Objects, secretsstore.SecretProviderClassObject{ID: fmt.Sprint("db/password-", j), Version: keyedVersion("key", fmt.Sprint(i, j))})
		}
		for _, o := range []any{&metav1.PartialObjectMetadata{ObjectMeta: bulky(name)}, status} {
			o, err := strip(o)
			if err != nil {
				t.Fatal(err)
			}
			kept = append(kept, o)
		}
	}
	if used := memory() - before; used > 40<<20 {
		t.Errorf("10,000 pods and their statuses take %d MiB", used>>20)
	} else {
		t.Logf("10,000 pods and their statuses take %d MiB", used>>20)
	}
	runtime.KeepAlive(kept)
}

func TestARolloutThatGetsOnHasTime(t *testing.T) {
	w := newWorld(t)
	f := &found{of: &appsv1.DaemonSet{}}
	f.uid, f.record = "web", rolling("web", "new", 0).record
	for updated := range 100 { // one node after the other, with one pod missing all the time
		f.rollout = progress{updated: updated, missing: 1}
		w.now = w.now.Add(9 * minute)
		if since := w.r.got(f, w.now); !since.Equal(w.now) {
			t.Fatalf("%d pods: since %s at %s", updated, since, w.now)
		}
	}
	last := w.now
	if since := w.r.got(f, w.now.Add(9*minute)); !since.Equal(last) {
		t.Errorf("one that does not get on: since %s, want %s", since, last)
	}
}

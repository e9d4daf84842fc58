package restart

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	secretsstore "sigs.k8s.io/secrets-store-csi-driver/apis/v1"
)

// world is a cluster in which the test is the driver, the kubelet and every other
// controller.
type world struct {
	*testing.T
	client.WithWatch
	r        *reconciler
	registry *prometheus.Registry
	now      time.Time
	patches  int
	reads    int // of whole pods
	made     []*eventsv1.Event
	refuse   error            // what patches are answered with
	refused  string           // only those of that name, if one is given
	stale    client.WithWatch // what the cache is read from in place of the cluster
}

func newWorld(t *testing.T) *world {
	t.Helper()
	kinds := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(kinds), secretsstore.AddToScheme(kinds)); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, now: noon, registry: prometheus.NewRegistry()}
	w.WithWatch = interceptor.NewClient(fake.NewClientBuilder().WithScheme(kinds).WithIndex(&corev1.Pod{}, metav1.ObjectNameField, func(o client.Object) []string { return []string{o.GetName()} }).Build(), interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			w.patches++
			if w.refuse != nil && (w.refused == "" || w.refused == o.GetName()) {
				return w.refuse
			}
			return c.Patch(ctx, o, p, opts...)
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if e, ok := o.(*eventsv1.Event); ok {
				w.made = append(w.made, e)
			}
			return c.Create(ctx, o, opts...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, ok := list.(*corev1.SecretList); ok {
				t.Error("lists Secrets")
			}
			if pods, ok := list.(*corev1.PodList); ok {
				w.reads++
				defer func() {
					if len(pods.Items) > 1 {
						t.Errorf("reads %d pods at once", len(pods.Items))
					}
				}()
			}
			if _, ok := list.(*appsv1.DeploymentList); ok && w.stale != nil {
				c = w.stale
			}
			return c.List(ctx, list, opts...)
		},
	})
	w.restart()
	return w
}

// restart is what a new controller process begins with.
func (w *world) restart() {
	w.registry = prometheus.NewRegistry()
	w.r = &reconciler{
		cache: w, live: w, writer: w, metrics: NewMetrics(w.registry), limits: all, limit: 10 * minute, classes: true,
		secrets: NewSecrets(func() time.Time { return w.now }), now: func() time.Time { return w.now },
	}
	w.r.reset()
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// pass reconciles some time after the last one.
func (w *world) pass(after time.Duration) {
	w.Helper()
	w.now = w.now.Add(after)
	if _, err := w.r.Reconcile(w.Context(), reconcile.Request{}); err != nil {
		w.Error(err)
	}
}

// events are those since the last call.
func (w *world) events() []string {
	w.Helper()
	var found []string
	for _, e := range w.made {
		found = append(found, e.Type+" "+e.Reason+" "+e.Note)
		if e.Regarding.Name == "" || e.Regarding.UID == "" || len(e.Note) > 1024 || e.Namespace != "shop" {
			w.Errorf("%+v", e)
		}
	}
	w.made = nil
	return found
}

// wantEvents compares the reasons of events since the last call.
func (w *world) wantEvents(reasons ...string) {
	w.Helper()
	var got []string
	for _, text := range w.events() {
		got = append(got, strings.Fields(text)[1])
	}
	if !slices.Equal(got, reasons) {
		w.Errorf("events %q, want %q", got, reasons)
	}
}

func classVolume(class string) corev1.Volume { return volumeOf(source{kindClass, class}) }

// template is a pod template that mounts classes.
func template(classes ...string) corev1.PodTemplateSpec {
	t := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}}}
	for _, class := range classes {
		t.Spec.Volumes = append(t.Spec.Volumes, classVolume(class))
	}
	return t
}

func named(name string, annotations map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), Generation: 1, Annotations: annotations}
}

var onChange = map[string]string{onAnnotation: "change"}

// one is a workload of a kind with one pod, settled.
func (w *world) one(kind, name string, annotations map[string]string, of corev1.PodTemplateSpec) client.Object {
	w.Helper()
	selector := &metav1.LabelSelector{MatchLabels: of.Labels}
	var o client.Object
	switch kind {
	case "Deployment":
		o = &appsv1.Deployment{ObjectMeta: named(name, annotations), Spec: appsv1.DeploymentSpec{Template: of, Selector: selector},
			Status: appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1}}
	case "StatefulSet":
		o = &appsv1.StatefulSet{ObjectMeta: named(name, annotations), Spec: appsv1.StatefulSetSpec{Template: of, Selector: selector},
			Status: appsv1.StatefulSetStatus{ObservedGeneration: 1, Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1, UpdateRevision: "1", CurrentRevision: "1"}}
	case "DaemonSet":
		o = &appsv1.DaemonSet{ObjectMeta: named(name, annotations), Spec: appsv1.DaemonSetSpec{Template: of, Selector: selector},
			Status: appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 1, UpdatedNumberScheduled: 1, NumberAvailable: 1}}
	}
	w.must(w.Create(w.Context(), o))
	return o
}

// pod starts a pod of an owner whose volume of the class web holds a value. The owner
// of a Deployment's pods is a ReplicaSet.
func (w *world) pod(name string, owner *metav1.OwnerReference, annotations map[string]string, v string) {
	w.Helper()
	pod := &corev1.Pod{ObjectMeta: named(name, annotations), Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	pod.Labels, pod.CreationTimestamp = map[string]string{"app": "web"}, metav1.NewTime(w.now)
	if owner != nil {
		pod.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(w.now)}}}}
	w.must(w.Create(w.Context(), pod))
	if v != "" {
		status := &secretsstore.SecretProviderClassPodStatus{ObjectMeta: named(name+"-shop-web", nil)}
		status.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: name, UID: pod.UID}}
		status.CreationTimestamp = metav1.NewTime(w.now)
		status.Status.SecretProviderClassName = "web"
		status.Status.Objects = objectsOf(v)
		w.must(w.Create(w.Context(), status))
	}
}

func objectsOf(v string) []secretsstore.SecretProviderClassObject {
	return []secretsstore.SecretProviderClassObject{{ID: "password", Version: value(v)["password"]}}
}

func ownedBy(kind, name string) *metav1.OwnerReference {
	yes := true
	group := "apps/v1"
	if kind == "Job" {
		group = "batch/v1"
	}
	return &metav1.OwnerReference{APIVersion: group, Kind: kind, Name: name, UID: types.UID(name), Controller: &yes}
}

// poll is a mount of a running pod that brings a value.
func (w *world) poll(pod, v string) {
	w.Helper()
	status := &secretsstore.SecretProviderClassPodStatus{}
	w.must(w.Get(w.Context(), types.NamespacedName{Namespace: "shop", Name: pod + "-shop-web"}, status))
	status.Status.Objects = objectsOf(v)
	status.Generation++
	status.CreationTimestamp = metav1.NewTime(w.now) // the fake API server shows no managed fields
	w.must(w.Update(w.Context(), status))
}

// restartedFor is the annotation of a workload's template.
func (w *world) restartedFor(o client.Object) string {
	w.Helper()
	w.must(w.Get(w.Context(), client.ObjectKeyFromObject(o), o))
	switch o := o.(type) {
	case *appsv1.Deployment:
		return o.Spec.Template.Annotations[templateAnnotation]
	case *appsv1.StatefulSet:
		return o.Spec.Template.Annotations[templateAnnotation]
	case *appsv1.DaemonSet:
		return o.Spec.Template.Annotations[templateAnnotation]
	}
	return ""
}

// deployed is a Deployment with a pod that started an hour ago, and was recorded.
func (w *world) deployed(name string, annotations map[string]string, of corev1.PodTemplateSpec, v string) client.Object {
	w.Helper()
	d := w.one("Deployment", name, annotations, of)
	set := &appsv1.ReplicaSet{ObjectMeta: named(name+"-rs", nil)}
	set.OwnerReferences = []metav1.OwnerReference{*ownedBy("Deployment", name)}
	w.must(w.Create(w.Context(), set))
	w.pod(name+"-pod", ownedBy("ReplicaSet", name+"-rs"), nil, v)
	w.pass(0)
	w.now = w.now.Add(time.Hour)
	return d
}

func TestAChangedValueRollsOutAWorkloadOfEachKindOnce(t *testing.T) {
	for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			var o client.Object
			if kind == "Deployment" {
				o = w.deployed("web", onChange, template("web"), "old")
			} else {
				o = w.one(kind, "web", onChange, template("web"))
				w.pod("web-pod", ownedBy(kind, "web"), nil, "old")
				w.pass(0)
			}
			w.pass(time.Hour)
			w.poll("web-pod", "new")
			w.pass(29 * time.Second)
			if w.patches != 1 || w.restartedFor(o) != "" {
				t.Fatalf("%d patches before anything is due", w.patches)
			}
			w.wantEvents()
			w.pass(time.Second)
			first := w.restartedFor(o)
			if !strings.HasPrefix(first, w.now.Format(time.RFC3339)+": class web ") {
				t.Fatalf("the template has %q", first)
			}
			if got := w.events(); len(got) != 1 || !strings.Contains(got[0], "Normal RestartStarted is restarted: class web: password changed from version") {
				t.Errorf("%q", got)
			}
			w.restart() // and nothing is forgotten that matters
			for range 5 {
				w.pass(time.Second)
			}
			if w.restartedFor(o) != first {
				t.Error("it is rolled out again")
			}
		})
	}
}

func TestAPodThatRunsTheNewValueAlreadyIsNotRestarted(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*corev1.Pod, metav1.Time)
		starts bool
	}{
		"a container runs since before": {func(*corev1.Pod, metav1.Time) {}, true},
		"it was restarted since":        {func(p *corev1.Pod, now metav1.Time) { p.Status.ContainerStatuses[0].State.Running.StartedAt = now }, false},
		"it waits to be restarted": {func(p *corev1.Pod, _ metav1.Time) {
			p.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
		}, false},
		"its init container was not": {func(p *corev1.Pod, now metav1.Time) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{StartedAt: p.Status.ContainerStatuses[0].State.Running.StartedAt}}}}
			p.Status.ContainerStatuses[0].State.Running.StartedAt = now
		}, true},
		"it has ended": {func(p *corev1.Pod, _ metav1.Time) { p.Status.Phase = corev1.PodFailed }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.deployed("web", onChange, template("web"), "old")
			w.poll("web-pod", "new")
			pod := &corev1.Pod{}
			w.must(w.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: "web-pod"}, pod))
			test.change(pod, metav1.NewTime(w.now.Add(time.Second)))
			w.must(w.Status().Update(t.Context(), pod))
			w.pass(minute)
			if started := w.restartedFor(d) != ""; started != test.starts {
				t.Errorf("rolled out: %t", started)
			}
			if !test.starts {
				w.pass(time.Second) // which records the new value
			}
			if w.patches != 2 {
				t.Errorf("%d patches, want the record and one more", w.patches)
			}
			if w.pass(minute); !test.starts && (w.patches != 2 || w.restartedFor(d) != "") {
				t.Error("it is looked at again")
			}
		})
	}
}

// A pod that was started again has the new value; the other has not polled, and still
// runs with the old one when it does.
func TestAPodThatWasStartedAgainDoesNotHideOneThatWasNot(t *testing.T) {
	w := newWorld(t)
	o := w.one("StatefulSet", "web", onChange, template("web"))
	w.pod("web-0", ownedBy("StatefulSet", "web"), nil, "old")
	w.pod("web-1", ownedBy("StatefulSet", "web"), nil, "old")
	w.pass(0)
	w.now = w.now.Add(time.Hour)
	w.poll("web-0", "new")
	pod := &corev1.Pod{}
	w.must(w.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: "web-0"}, pod))
	pod.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(w.now.Add(time.Second))
	w.must(w.Status().Update(t.Context(), pod))
	w.pass(minute)
	w.pass(minute)
	if w.restartedFor(o) != "" || w.patches != 1 {
		t.Fatalf("%q after %d patches", w.restartedFor(o), w.patches)
	}
	w.poll("web-1", "new")
	w.pass(minute)
	if w.restartedFor(o) == "" {
		t.Error("the pod that runs with the old value is not restarted")
	}
	if len(w.r.renewed) != 1 {
		t.Errorf("%v is kept", w.r.renewed)
	}
	w.must(w.Delete(t.Context(), pod))
	if w.pass(minute); len(w.r.renewed) != 0 {
		t.Errorf("%v is kept of a pod that is gone", w.r.renewed)
	}
}

func TestASyncedSecretRollsOutWhoUsesIt(t *testing.T) {
	of := func(change func(*corev1.PodSpec)) corev1.PodTemplateSpec {
		tpl := template()
		change(&tpl.Spec)
		return tpl
	}
	db := corev1.LocalObjectReference{Name: "db"}
	for name, test := range map[string]struct {
		template    corev1.PodTemplateSpec
		annotations map[string]string
		starts      bool
	}{
		"env": {of(func(s *corev1.PodSpec) {
			s.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "x"}, {Name: "B", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: db, Key: "k"}}}}
		}), onChange, true},
		"envFrom": {of(func(s *corev1.PodSpec) {
			s.InitContainers = []corev1.Container{{EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: db}}}}}
		}), onChange, true},
		"volume": {of(func(s *corev1.PodSpec) { s.Volumes = []corev1.Volume{volumeOf(source{kindSecret, "db"})} }), onChange, true},
		"projected volume": {of(func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{LocalObjectReference: db}}}}}}}
		}), onChange, true},
		"imagePullSecrets":                  {of(func(s *corev1.PodSpec) { s.ImagePullSecrets = []corev1.LocalObjectReference{db} }), onChange, true},
		"not used":                          {template(), onChange, false},
		"not used, but named":               {template(), map[string]string{reloaderSecretNames: "db"}, true},
		"used, but only classes are wanted": {of(func(s *corev1.PodSpec) { s.ImagePullSecrets = []corev1.LocalObjectReference{db} }), map[string]string{reloaderClassAuto: "true"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.r.secrets.Set("shop", "db", value("old"), w.now.Add(-time.Hour))
			w.r.secrets.Set("other", "db", value("old"), w.now.Add(-time.Hour))
			d := w.deployed("web", test.annotations, test.template, "")
			w.r.secrets.Set("shop", "db", value("old"), time.Time{})
			w.r.secrets.Set("other", "db", value("new"), time.Time{})
			w.pass(time.Hour)
			if w.restartedFor(d) != "" {
				t.Fatal("rolled out for nothing")
			}
			w.r.secrets.Set("shop", "db", value("new"), time.Time{})
			w.pass(minute)
			if started := strings.Contains(w.restartedFor(d), ": secret db "); started != test.starts {
				t.Errorf("rolled out: %t", started)
			}
		})
	}
}

func TestAfterARestartTheWriterSaysWhenASecretChanged(t *testing.T) {
	w := newWorld(t)
	tpl := template()
	tpl.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "db"}}
	w.r.secrets.Set("shop", "db", value("old"), w.now.Add(-time.Hour))
	d := w.deployed("web", onChange, tpl, "")
	w.restart()
	w.pass(0) // nothing is known of the Secret yet, and nothing is forgotten
	w.r.secrets.Set("shop", "db", value("new"), w.now.Add(-10*minute))
	w.pass(0)
	if !strings.Contains(w.restartedFor(d), ": secret db ") {
		t.Error("what changed while nobody looked is not rolled out")
	}
}

func TestOnlyPodsOfTheCurrentTemplateCount(t *testing.T) {
	w := newWorld(t)
	d := w.deployed("web", onChange, template("web"), "old")
	w.pod("slow-pod", ownedBy("ReplicaSet", "web-rs"), nil, "old")
	w.poll("web-pod", "new")
	w.pass(minute)
	first := w.restartedFor(d)
	// The other pod polls later, while new ones start. All was rolled out already.
	w.pod("new-pod", ownedBy("ReplicaSet", "web-rs"), map[string]string{templateAnnotation: first}, "new")
	w.poll("slow-pod", "new")
	w.pass(minute)
	w.pass(minute)
	if first == "" || w.restartedFor(d) != first {
		t.Errorf("%q, then %q", first, w.restartedFor(d))
	}
	// The value changes again under a new pod, and now that counts.
	w.poll("new-pod", "newer")
	w.pass(minute)
	if w.restartedFor(d) == first {
		t.Error("not rolled out again")
	}
}

func TestNothingIsWrittenTwiceWhileTheCacheLags(t *testing.T) {
	w := newWorld(t)
	w.r.limits.inNamespace = 1
	first := w.deployed("a", onChange, template("web"), "old")
	second := w.deployed("b", onChange, template("web"), "old")
	w.poll("a-pod", "new")
	w.now = w.now.Add(time.Second)
	w.poll("b-pod", "new")
	before := fake.NewClientBuilder().WithScheme(w.Scheme()).WithObjects(w.copies(first, second)...).Build()
	w.pass(minute)
	started := w.restartedFor(first)
	w.stale = before
	w.pass(time.Second)
	if started == "" || w.restartedFor(first) != started || w.restartedFor(second) != "" {
		t.Errorf("%q, then %q, and the other %q", started, w.restartedFor(first), w.restartedFor(second))
	}
}

// copies are objects as they are now.
func (w *world) copies(of ...client.Object) []client.Object {
	var found []client.Object
	for _, o := range of {
		w.must(w.Get(w.Context(), client.ObjectKeyFromObject(o), o))
		found = append(found, o.DeepCopyObject().(client.Object))
	}
	return found
}

func TestPodsThatNothingRestartsAreTold(t *testing.T) {
	for name, test := range map[string]struct {
		owner  *metav1.OwnerReference
		reason string
		note   string
	}{
		"a bare pod":               {nil, eventByHand, "no controller"},
		"a pod of an Argo Rollout": {ownedBy("ReplicaSet", "canary-rs"), eventByHand, "pods of a Rollout"},
		"a pod of a Job":           {ownedBy("Job", "job"), "", ""},
		"a pod of something else":  {ownedBy("StatefulSet", "gone"), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			set := &appsv1.ReplicaSet{ObjectMeta: named("canary-rs", nil)}
			set.OwnerReferences = []metav1.OwnerReference{*ownedBy("Rollout", "canary")}
			set.OwnerReferences[0].APIVersion = "argoproj.io/v1alpha1"
			w.must(w.Create(t.Context(), set))
			w.pod("lonely", test.owner, onChange, "old")
			w.pass(time.Hour)
			w.wantEvents()
			w.poll("lonely", "new")
			w.pass(minute)
			w.pass(minute)
			got := w.events()
			if test.reason == "" && len(got) > 0 || test.reason != "" && (len(got) != 1 || !strings.Contains(got[0], test.reason) || !strings.Contains(got[0], test.note)) {
				t.Errorf("events %q", got)
			}
			if w.patches != 0 {
				t.Errorf("%d patches", w.patches)
			}
		})
	}
}

// A policy refuses one workload, in whatever words. It waits longer each time, its place
// in the budget is free, and the passes go on.
func TestARefusedPatchHoldsUpNobody(t *testing.T) {
	resource, kind := schema.GroupResource{Group: "apps", Resource: "deployments"}, schema.GroupKind{Group: "apps", Kind: "Deployment"}
	for name, refusal := range map[string]error{
		"forbidden":           apierrors.NewForbidden(resource, "a", errors.New("a policy says no")),
		"invalid":             apierrors.NewInvalid(kind, "a", nil),
		"bad request":         apierrors.NewBadRequest("a policy says no"),
		"a webhook's own":     apierrors.NewGenericServerResponse(418, "patch", resource, "a", "a policy says no", 0, false),
		"a webhook is broken": apierrors.NewInternalError(errors.New("failed calling webhook")),
		"unauthorized":        apierrors.NewUnauthorized("a policy says no"),
		"too large":           apierrors.NewRequestEntityTooLargeError("a policy says no"),
		"not allowed":         apierrors.NewMethodNotSupported(resource, "patch"),
		"gone":                apierrors.NewResourceExpired("a policy says no"),
		"wrapped":             fmt.Errorf("patch: %w", apierrors.NewBadRequest("a policy says no")),
		"too many":            apierrors.NewTooManyRequests("wait", 1),
		"unavailable":         apierrors.NewServiceUnavailable("wait"),
		"a timeout":           apierrors.NewTimeoutError("wait", 1),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.r.limits.inNamespace, w.r.limits.inCluster = 1, 1
			first, second := w.deployed("a", onChange, template("web"), "old"), w.deployed("b", onChange, template("web"), "old")
			w.patches = 0
			w.refuse, w.refused = refusal, "a"
			w.poll("a-pod", "new")
			w.now = w.now.Add(time.Second)
			w.poll("b-pod", "new")
			w.pass(minute)
			got := w.events()
			told := slices.ContainsFunc(got, func(e string) bool { return strings.Contains(e, "Warning RestartRefused") })
			if busy := strings.Contains(refusal.Error(), "wait"); told == busy {
				t.Errorf("%q", got)
			}
			w.pass(time.Second)
			if w.restartedFor(second) == "" || w.restartedFor(first) != "" {
				t.Errorf("the other: %q, the refused: %q", w.restartedFor(second), w.restartedFor(first))
			}
			w.events()
			w.r.limits.inNamespace, w.r.limits.inCluster = 2, 2
			w.patches = 0
			for range 60 {
				w.pass(minute)
			}
			if w.patches < 8 || w.patches > 16 {
				t.Errorf("tried %d times in an hour", w.patches)
			}
			for _, e := range w.events() {
				if strings.Contains(e, eventRefused) {
					t.Errorf("told again: %s", e)
				}
			}
			w.refuse = nil
			w.pass(longestPause)
			if w.restartedFor(first) == "" || len(w.r.failed) != 0 {
				t.Errorf("it is not tried again after the pause, or that is kept: %v", w.r.failed)
			}
		})
	}
}

func TestOtherErrorsAreRetried(t *testing.T) {
	w := newWorld(t)
	w.deployed("web", onChange, template("web"), "old")
	w.poll("web-pod", "new")
	w.now = w.now.Add(minute)
	w.refuse = apierrors.NewConflict(schema.GroupResource{}, "web", errors.New("changed"))
	w.pass(0)
	w.wantEvents()
	w.refuse = errors.New("connection refused")
	if _, err := w.r.Reconcile(t.Context(), reconcile.Request{}); err == nil || !strings.Contains(err.Error(), "Deployment shop/web: ") {
		t.Errorf("%v", err)
	}
	w.refuse = nil
	w.pass(0)
	w.wantEvents(eventStarted)
}

// A DaemonSet may have any number of pods, of any size: a pass reads a few of them, one
// by one, and the next goes on.
func TestAPassReadsFewPods(t *testing.T) {
	w := newWorld(t)
	o := w.one("DaemonSet", "web", onChange, template("web"))
	const pods = 2*maxConfirmed + 5
	for i := range pods {
		w.pod(fmt.Sprint("web-", i), ownedBy("DaemonSet", "web"), nil, "old")
	}
	w.pass(0)
	w.now = w.now.Add(time.Hour)
	for i := range pods {
		name := fmt.Sprint("web-", i)
		w.poll(name, "new")
		pod := &corev1.Pod{}
		w.must(w.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: name}, pod))
		pod.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(w.now.Add(time.Second))
		w.must(w.Status().Update(t.Context(), pod))
	}
	for pass, want := range []int{maxConfirmed, maxConfirmed, 5, 0} {
		w.reads = 0
		w.pass(minute)
		if w.reads != want {
			t.Errorf("pass %d reads %d pods, want %d", pass, w.reads, want)
		}
	}
	if got := w.restartedFor(o); got != "" {
		t.Errorf("rolled out: %s", got)
	}
}

func TestARecordThatCannotBeReadIsLoggedOnceForEachChange(t *testing.T) {
	w := newWorld(t)
	w.one("Deployment", "web", map[string]string{onAnnotation: "change", recordAnnotation: "garbled"}, template("web"))
	logged := logs(t, func() {
		for range 5 {
			w.pass(minute)
		}
	})
	if n := strings.Count(logged, "cannot be read"); n != 1 {
		t.Errorf("logged %d times: %s", n, logged)
	}
	logged = logs(t, func() {
		d := &appsv1.Deployment{}
		w.must(w.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: "web"}, d))
		d.Annotations[recordAnnotation] = "garbled again"
		w.must(w.Update(t.Context(), d))
		w.pass(minute)
		w.pass(minute)
		w.must(w.Delete(t.Context(), d))
		w.pass(minute)
	})
	if n := strings.Count(logged, "cannot be read"); n != 1 || len(w.r.garbled) != 0 {
		t.Errorf("logged %d times, kept %v", n, w.r.garbled)
	}
}

// logs is what is logged while something is done.
func logs(t *testing.T, do func()) string {
	t.Helper()
	var text strings.Builder
	state := klog.CaptureState()
	defer state.Restore()
	klog.LogToStderr(false)
	klog.SetOutput(&text)
	do()
	klog.Flush()
	return text.String()
}

func TestWhatIsWrongWithAnnotationsIsToldOnce(t *testing.T) {
	w := newWorld(t)
	many := strings.Repeat("("+strings.Repeat("x", 100)+",", 64)
	d := w.deployed("web", map[string]string{onAnnotation: "changes", reloaderClassNames: many}, template("web"), "old")
	w.poll("web-pod", "new")
	w.pass(minute)
	w.wantEvents(eventInvalid)
	if w.patches != 0 || w.restartedFor(d) != "" {
		t.Error("it is rolled out")
	}
}

func TestMetricsShowRolloutsAndWhoWaits(t *testing.T) {
	w := newWorld(t)
	w.r.limits.inNamespace = 1
	first := w.deployed("a", onChange, template("web"), "old").(*appsv1.Deployment)
	w.deployed("b", onChange, template("web"), "old")
	w.poll("a-pod", "new")
	w.now = w.now.Add(time.Second)
	w.poll("b-pod", "new")
	want := func(running, failing, budget, failed, ready, late int) {
		t.Helper()
		text := `
# HELP lanyard_restart_failing Workloads that did not get ready after their restart and still are not.
# TYPE lanyard_restart_failing gauge
lanyard_restart_failing %d
# HELP lanyard_restart_rollouts_total Rollouts because of changed versions that ended: ready, or failed (not ready in time).
# TYPE lanyard_restart_rollouts_total counter
lanyard_restart_rollouts_total{result="failed"} %d
lanyard_restart_rollouts_total{result="ready"} %d
# HELP lanyard_restart_running Workloads that are being restarted.
# TYPE lanyard_restart_running gauge
lanyard_restart_running %d
# HELP lanyard_restart_waiting Workloads that wait to be restarted, by the reason.
# TYPE lanyard_restart_waiting gauge
`
		text = fmt.Sprintf(text, failing, late, ready, running)
		for _, reason := range slices.Sorted(slices.Values(waitReasons)) {
			text += fmt.Sprintf("lanyard_restart_waiting{reason=%q} %d\n", reason, map[string]int{waitsForBudget: budget, waitsForFailed: failed}[reason])
		}
		if err := testutil.GatherAndCompare(w.registry, strings.NewReader(text)); err != nil {
			t.Error(err)
		}
	}
	w.pass(minute)
	want(1, 0, 1, 0, 0, 0)
	w.wantEvents(eventStarted, eventWaiting)
	// Nobody rolls it out; its controller has not even seen it.
	w.restartedFor(first)
	first.Generation = 2
	w.must(w.Update(t.Context(), first))
	w.pass(minute)
	w.pass(10 * minute)
	want(0, 1, 0, 1, 0, 1)
	w.wantEvents(eventFailed, eventWaiting)
	w.restartedFor(first)
	first.Status.ObservedGeneration = 2
	w.must(w.Status().Update(t.Context(), first))
	w.pass(minute)
	want(0, 0, 0, 1, 0, 1)
	w.wantEvents(eventReady)
	w.pass(10 * minute)
	want(1, 0, 0, 0, 0, 1)
	w.wantEvents(eventStarted)
}

func TestAStatusTellsWhenItChangedAndWhetherItDid(t *testing.T) {
	at := func(d time.Duration) *metav1.Time { when := metav1.NewTime(noon.Add(d)); return &when }
	pod, status := metadata("v1", "Pod"), &secretsstore.SecretProviderClassPodStatus{}
	status.CreationTimestamp, status.Generation = *at(0), 1
	status.Status.Objects = objectsOf("new")
	status.ManagedFields = []metav1.ManagedFieldsEntry{{Time: at(0)}, {}}
	if r := readStatus(pod, web, status); !r.fresh || !r.since.Equal(noon) {
		t.Errorf("as it was made: %+v", r)
	}
	status.Generation = 2
	status.ManagedFields = []metav1.ManagedFieldsEntry{{Time: at(-minute)}, {Time: at(minute)}, {}}
	for range 2 { // the cache may strip twice
		if r := readStatus(pod, web, status); r.fresh || !r.since.Equal(noon.Add(minute)) || r.versions.digest() != value("new").digest() {
			t.Errorf("changed: %+v", r)
		}
		if _, err := strip(status); err != nil || len(status.ManagedFields) != 1 {
			t.Errorf("%v, %v", status.ManagedFields, err)
		}
	}
}

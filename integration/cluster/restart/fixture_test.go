// Package restart holds server/sync/restart to what it promises on a real API server
// with the real controllers of Deployments, StatefulSets and DaemonSets, and with the
// rights that its documentation names. The test is the kubelet and the driver: it
// makes pods ready and writes their SecretProviderClassPodStatuses.
package restart

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	secretsstore "sigs.k8s.io/secrets-store-csi-driver/apis/v1"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/server/sync/restart"
)

const (
	namespace = "shop"
	user      = "lanyard-sync"
	driver    = "secrets-store.csi.k8s.io"
	class     = "web"
)

func TestMain(m *testing.M) {
	log.SetLogger(klog.Background())
	os.Exit(m.Run())
}

// bench is a control plane with a manager that runs the controller.
type bench struct {
	*testing.T
	client.Client
	config   *rest.Config
	kinds    *runtime.Scheme
	secrets  *restart.Secrets
	registry *prometheus.Registry
	stop     func() // ends the manager
	deadline int32  // of a Deployment to get on, in seconds

	mu    sync.Mutex
	key   string // of versions
	value string // in the store
	polls bool   // whether running pods get a changed value
}

func newBench(t *testing.T, opts restart.Options) *bench {
	t.Helper()
	b, api := newPlane(t)
	manifests, err := cluster.DriverManifests(t.Context())
	b.must(err)
	b.must(api.Apply(t.Context(), manifests))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); b.kubelet(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	b.start(opts)
	return b
}

// newPlane is a control plane with workloads' controllers and the user as which the
// manager runs, without the driver's kinds of object.
func newPlane(t *testing.T) (*bench, *cluster.APIServer) {
	t.Helper()
	plane, err := cluster.NewPlane(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	b := &bench{T: t, kinds: runtime.NewScheme(), key: "key", value: "old", deadline: 600}
	b.must(scheme.AddToScheme(b.kinds))
	b.must(secretsstore.AddToScheme(b.kinds))
	api, err := plane.APIServer()
	b.must(err)
	b.must(api.Start(t.Context()))
	b.must(api.Await(t.Context()))
	b.must(api.Controllers(t.Context(), "deployment-controller", "replicaset-controller", "statefulset-controller", "daemonset-controller", "garbage-collector-controller"))
	b.config, err = api.Config()
	b.must(err)
	b.Client, err = client.New(b.config, client.Options{Scheme: b.kinds})
	b.must(err)
	role := metav1.ObjectMeta{Name: user}
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"}},
		&rbacv1.ClusterRole{ObjectMeta: role, Rules: restart.Rights()},
		&rbacv1.ClusterRoleBinding{ObjectMeta: role, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user}, Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "one"}},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "two"}},
	} {
		b.must(b.Create(t.Context(), o))
	}
	return b, api
}

// start runs the controller in a manager of its own, with its rights alone.
func (b *bench) start(opts restart.Options) {
	b.Helper()
	config := rest.CopyConfig(b.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	skip := true // a second manager in one process has a controller of the same name
	options := manager.Options{Scheme: b.kinds, Metrics: server.Options{BindAddress: "0"}}
	options.Controller.SkipNameValidation = &skip
	mgr, err := manager.New(config, options)
	b.must(err)
	b.registry, b.secrets = prometheus.NewRegistry(), restart.NewSecrets(nil)
	opts.Registry, opts.Secrets = b.registry, b.secrets
	b.must(restart.Add(mgr, opts))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(b.stop)
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// set changes what the store holds, or the key of versions.
func (b *bench) set(key, value string, polls bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.key, b.value, b.polls = key, value, polls
}

// version is one as the engine makes them.
func version(key, value string) string {
	hash := func(text string) string { sum := sha256.Sum256([]byte(text)); return hex.EncodeToString(sum[:16]) }
	return hash(key)[:8] + "-" + hash(key+value)
}

// kubelet makes pods ready and gives them their values, and polls one running pod in
// each round, until it is told to end. What it fails in, it does in its next round.
func (b *bench) kubelet(ctx context.Context) {
	for ; ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		var pods corev1.PodList
		var statuses secretsstore.SecretProviderClassPodStatusList
		if b.List(ctx, &pods, inNamespace) != nil || b.List(ctx, &statuses, inNamespace) != nil {
			continue
		}
		held := map[string]*secretsstore.SecretProviderClassPodStatus{}
		for i := range statuses.Items {
			held[string(statuses.Items[i].OwnerReferences[0].UID)] = &statuses.Items[i]
		}
		b.mu.Lock()
		key, value, polls := b.key, b.value, b.polls
		b.mu.Unlock()
		polled := false
		for i := range pods.Items {
			pod, status := &pods.Items[i], held[string(pods.Items[i].UID)]
			switch {
			case pod.DeletionTimestamp != nil:
			case status == nil:
				b.mount(ctx, pod, version(key, value))
				b.run(ctx, pod, value != "bad")
			case len(pod.Status.ContainerStatuses) == 0:
				b.run(ctx, pod, value != "bad")
			case polls && !polled && status.Status.Objects[0].Version != version(key, value):
				status.Status.Objects[0].Version = version(key, value)
				polled = b.Update(ctx, status) == nil
			}
		}
	}
}

// mount is the first mount of a pod's volume, after which the driver writes a status.
func (b *bench) mount(ctx context.Context, pod *corev1.Pod, version string) {
	status := &secretsstore.SecretProviderClassPodStatus{ObjectMeta: metav1.ObjectMeta{
		Namespace: pod.Namespace, Name: pod.Name + "-" + pod.Namespace + "-" + class,
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}},
	}}
	status.Status.SecretProviderClassName, status.Status.PodName, status.Status.Mounted = class, pod.Name, true
	status.Status.Objects = []secretsstore.SecretProviderClassObject{{ID: "db/password", Version: version}}
	if err := b.Create(ctx, status); !apierrors.IsAlreadyExists(err) {
		return
	}
	// As the driver does for a StatefulSet's pod of a name that was there before.
	before := &secretsstore.SecretProviderClassPodStatus{}
	if b.Get(ctx, client.ObjectKeyFromObject(status), before) == nil {
		before.Status, before.OwnerReferences = status.Status, status.OwnerReferences
		_ = b.Update(ctx, before)
	}
}

// run starts the container of a pod.
func (b *bench) run(ctx context.Context, pod *corev1.Pod, ready bool) {
	state := corev1.ConditionFalse
	if ready {
		state = corev1.ConditionTrue
	}
	now := metav1.NewTime(time.Now().Add(time.Second)) // as if it took a moment
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: state, LastTransitionTime: now}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "web", Ready: ready, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}}}
	_ = b.Status().Update(ctx, pod)
}

// workload makes one that opted in and mounts the class.
func (b *bench) workload(kind, name string, replicas int32, annotations map[string]string) {
	b.Helper()
	all := map[string]string{"lanyard.dev/restart-on": "change", "lanyard.dev/restart-after": "1s"}
	maps.Copy(all, annotations)
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: all}
	labels := map[string]string{"app": name}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
		Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}}, // no node is ready
		Containers:  []corev1.Container{{Name: "web", Image: "web", Env: []corev1.EnvVar{{Name: "SOMETHING", Value: "else"}}}},
		Volumes: []corev1.Volume{{Name: "secrets", VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{
			Driver: driver, VolumeAttributes: map[string]string{"secretProviderClass": class},
		}}}},
	}}
	one := intstr.FromInt32(1)
	var o client.Object
	switch kind {
	case "Deployment":
		o = &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: selector, Template: template, ProgressDeadlineSeconds: &b.deadline}}
	case "StatefulSet":
		o = &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Replicas: &replicas, Selector: selector, Template: template}}
	case "DaemonSet":
		o = &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template, UpdateStrategy: appsv1.DaemonSetUpdateStrategy{
			Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &one},
		}}}
	}
	b.must(b.Create(b.Context(), o))
}

// templates are how many templates each workload has had: ReplicaSets of Deployments,
// revisions of the others.
func (b *bench) templates() map[string]int {
	b.Helper()
	var sets appsv1.ReplicaSetList
	var revisions appsv1.ControllerRevisionList
	b.must(b.List(b.Context(), &sets, inNamespace))
	b.must(b.List(b.Context(), &revisions, inNamespace))
	found := map[string]int{}
	for _, o := range sets.Items {
		found[o.Labels["app"]]++
	}
	for _, o := range revisions.Items {
		found[o.OwnerReferences[0].Name]++
	}
	return found
}

// wantTemplates waits until every workload has had so many templates, has been
// recorded, and is ready.
func (b *bench) wantTemplates(want, workloads int) {
	b.Helper()
	b.eventually(fmt.Sprintf("%d workloads with %d templates, and ready", workloads, want), func() string {
		found := b.templates()
		for name, n := range found {
			if n != want {
				return fmt.Sprintf("%s has %d templates", name, n)
			}
		}
		if len(found) != workloads {
			return fmt.Sprintf("%d workloads", len(found))
		}
		return b.unsettled()
	})
	b.running() // a change that comes before a container has started needs no restart
}

// unsettled says which workload is in the middle of something.
func (b *bench) unsettled() string {
	b.Helper()
	var deployments appsv1.DeploymentList
	var statefulSets appsv1.StatefulSetList
	var daemonSets appsv1.DaemonSetList
	for _, list := range []client.ObjectList{&deployments, &statefulSets, &daemonSets} {
		b.must(b.List(b.Context(), list, inNamespace))
	}
	for _, d := range deployments.Items {
		if want := *d.Spec.Replicas; d.Status.ObservedGeneration != d.Generation || d.Status.UpdatedReplicas != want || d.Status.Replicas != want || d.Status.AvailableReplicas != want || !recorded(&d) {
			return fmt.Sprintf("Deployment %s is at %+v, %v", d.Name, d.Status, d.Annotations)
		}
	}
	for _, s := range statefulSets.Items {
		if s.Status.ObservedGeneration != s.Generation || s.Status.CurrentRevision != s.Status.UpdateRevision || s.Status.AvailableReplicas != *s.Spec.Replicas || !recorded(&s) {
			return fmt.Sprintf("StatefulSet %s is at %+v, %v", s.Name, s.Status, s.Annotations)
		}
	}
	for _, d := range daemonSets.Items {
		if want := d.Status.DesiredNumberScheduled; want == 0 || d.Status.ObservedGeneration != d.Generation || d.Status.UpdatedNumberScheduled != want || d.Status.NumberAvailable != want || !recorded(&d) {
			return fmt.Sprintf("DaemonSet %s is at %+v, %v", d.Name, d.Status, d.Annotations)
		}
	}
	return ""
}

// recorded says whether the controller has recorded the workload, and sees no rollout
// of its own in progress.
func recorded(o client.Object) bool {
	text := o.GetAnnotations()["lanyard.dev/restart-record"]
	return text != "" && (!strings.Contains(text, `"rollout"`) || strings.Contains(text, `"ready":true`))
}

// polled waits until every pod holds what the store has.
func (b *bench) polled() {
	b.Helper()
	b.mu.Lock()
	want := version(b.key, b.value)
	b.mu.Unlock()
	b.eventually("every pod polled", func() string {
		var statuses secretsstore.SecretProviderClassPodStatusList
		b.must(b.List(b.Context(), &statuses, inNamespace))
		if i := slices.IndexFunc(statuses.Items, func(s secretsstore.SecretProviderClassPodStatus) bool { return s.Status.Objects[0].Version != want }); i >= 0 {
			return statuses.Items[i].Name
		}
		return ""
	})
}

// events are the notes of the events of one reason, by the name of the workload.
func (b *bench) events(reason string) map[string]string {
	b.Helper()
	var all eventsv1.EventList
	b.must(b.List(b.Context(), &all, inNamespace))
	found := map[string]string{}
	for _, e := range all.Items {
		if e.Reason == reason {
			found[e.Regarding.Name] += e.Note + "\n"
		}
	}
	return found
}

// gauge is a metric without labels.
func (b *bench) gauge(name string) int {
	b.Helper()
	families, err := b.registry.Gather()
	b.must(err)
	for _, family := range families {
		if family.GetName() == name {
			return int(family.GetMetric()[0].GetGauge().GetValue())
		}
	}
	b.Fatalf("no metric %s", name)
	return 0
}

// eventually waits until nothing is missing.
func (b *bench) eventually(what string, missing func() string) {
	b.Helper()
	last := ""
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if last = missing(); last == "" {
			return
		}
	}
	b.Fatalf("%s: %s", what, last)
}

// inNamespace is the namespace of all workloads.
var inNamespace = client.InNamespace(namespace)

// annotation is one of a Deployment.
func (b *bench) annotation(name, key string) string {
	b.Helper()
	d := &appsv1.Deployment{}
	b.must(b.Get(b.Context(), client.ObjectKey{Namespace: namespace, Name: name}, d))
	return d.Annotations[key]
}

// running waits until the containers of all pods have started.
func (b *bench) running() {
	b.Helper()
	b.eventually("containers run", func() string {
		var pods corev1.PodList
		b.must(b.List(b.Context(), &pods, inNamespace))
		for _, pod := range pods.Items {
			if len(pod.Status.ContainerStatuses) == 0 || !pod.Status.ContainerStatuses[0].State.Running.StartedAt.Time.Before(time.Now().Add(-time.Second)) {
				return pod.Name
			}
		}
		return ""
	})
}

// Package restart rolls out workloads whose mounted or synced secrets changed, so that
// processes that read a secret only when they start get the new value.
//
// It compares versions: those in the SecretProviderClassPodStatus of each pod, and
// those that the writer of Secrets registers with Secrets. It never reads a value, and
// never restarts a pod itself: an annotation of the pod template makes the workload's
// own controller roll it out, by the workload's own strategy.
//
// Start with decide, which holds the whole logic as a pure function. snapshot makes
// its input from a cache, and reconciler does what it says.
package restart

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	watch "sigs.k8s.io/controller-runtime/pkg/source"
	secretsstore "sigs.k8s.io/secrets-store-csi-driver/apis/v1"
)

// Options are the operator's. The zero value of a field stands for its default.
type Options struct {
	// MaxInCluster and MaxInNamespace are how many workloads may roll out at once:
	// 10 and 3 by default.
	MaxInCluster, MaxInNamespace int
	// PauseAfterFailure is how long after a rollout that did not get ready no other
	// workload is rolled out for the same class or Secret, at least: 10m by default.
	PauseAfterFailure time.Duration
	// ReadyTimeout is how long a rollout may not get on before it has failed: 10m by
	// default, and a Deployment's own progressDeadlineSeconds if that is longer, up to an
	// hour. A Deployment fails before, when its controller says so.
	ReadyTimeout time.Duration
	// Window is when rollouts may begin, in the form of the annotation
	// lanyard.dev/restart-window; always, by default. A workload's own window takes
	// its place.
	Window string
	// Secrets are the Secrets that Lanyard writes; nil if it writes none.
	Secrets *Secrets
	// Registry takes the metrics; nil keeps them to itself.
	Registry prometheus.Registerer
	// Now is the clock, by default time.Now.
	Now func() time.Time
}

// withDefaults fills in what is not set, and tells all that is wrong.
func (o Options) withDefaults() (Options, window, error) {
	var problems []error
	number := func(name string, value *int, otherwise int) {
		if *value < 0 {
			problems = append(problems, fmt.Errorf("%s is %d; want at least 1", name, *value))
		} else if *value == 0 {
			*value = otherwise
		}
	}
	period := func(name string, value *time.Duration) {
		if *value < 0 {
			problems = append(problems, fmt.Errorf("%s is %s; want a positive duration", name, *value))
		} else if *value == 0 {
			*value = 10 * time.Minute
		}
	}
	number("MaxInCluster", &o.MaxInCluster, 10)
	number("MaxInNamespace", &o.MaxInNamespace, 3)
	period("PauseAfterFailure", &o.PauseAfterFailure)
	period("ReadyTimeout", &o.ReadyTimeout)
	var open window
	if o.Window != "" {
		var err error
		if open, err = parseWindow(o.Window); err != nil {
			problems = append(problems, fmt.Errorf("the window %w", err))
		}
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, open, errors.Join(problems...)
}

// Rights are what the controller needs in all namespaces. None is for Secrets.
func Rights() []rbacv1.PolicyRule {
	see := []string{"list", "watch"}
	return []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: see},
		{APIGroups: []string{appsv1.GroupName}, Resources: []string{"replicasets"}, Verbs: see},
		{APIGroups: []string{appsv1.GroupName}, Resources: []string{"deployments", "statefulsets", "daemonsets"}, Verbs: append(see, "patch")},
		{APIGroups: []string{secretsstore.SchemeGroupVersion.Group}, Resources: []string{"secretproviderclasspodstatuses"}, Verbs: see},
		{APIGroups: []string{eventsv1.GroupName}, Resources: []string{"events"}, Verbs: []string{"create"}},
	}
}

// Add adds the controller to the manager, whose leader runs it, with the Rights. It has
// a cache of its own, which keeps little of each object. The manager's scheme needs the
// kinds of v1, apps/v1, events.k8s.io/v1 and secrets-store.csi.x-k8s.io/v1.
func Add(mgr manager.Manager, opts Options) error {
	opts, open, err := opts.withDefaults()
	if err != nil {
		return err
	}
	// Pods that have ended hold nothing that matters, and are left out by the server.
	running := fields.AndSelectors(
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)))
	small, err := cache.New(mgr.GetConfig(), cache.Options{
		HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(),
		DefaultTransform: strip,
		ByObject:         map[client.Object]cache.ByObject{&corev1.Pod{}: {Field: running}},
	})
	if err != nil {
		return err
	}
	if err := mgr.Add(cached{small}); err != nil {
		return err
	}
	r := &reconciler{
		cache: small, live: mgr.GetAPIReader(), writer: mgr.GetClient(),
		metrics: NewMetrics(opts.Registry), secrets: opts.Secrets, now: opts.Now, limit: opts.ReadyTimeout,
		limits: limits{opts.MaxInCluster, opts.MaxInNamespace, opts.PauseAfterFailure, open},
	}
	r.reset()
	_, err = mgr.GetRESTMapper().RESTMapping(secretsstore.SchemeGroupVersion.WithKind("SecretProviderClassPodStatus").GroupKind(), secretsstore.SchemeGroupVersion.Version)
	switch {
	case err == nil:
		r.classes = true
	case meta.IsNoMatchError(err):
		klog.InfoS("The cluster has no SecretProviderClassPodStatus: workloads are restarted for synced Secrets only, until the Secrets Store CSI driver is installed and this process is restarted")
	default:
		return err
	}
	c, err := controller.New("restart", mgr, controller.Options{Reconciler: r})
	if err != nil {
		return err
	}
	sources := []watch.Source{
		watch.Kind[client.Object](small, &appsv1.Deployment{}, enqueue, whoOptedIn),
		watch.Kind[client.Object](small, &appsv1.StatefulSet{}, enqueue, whoOptedIn),
		watch.Kind[client.Object](small, &appsv1.DaemonSet{}, enqueue, whoOptedIn),
		watch.Kind[client.Object](small, metadata("v1", "Pod"), enqueue, whoCameOrWent),
		watch.Kind[client.Object](small, metadata("apps/v1", replicaSetKind), enqueue, whoCameOrWent),
	}
	if r.classes {
		sources = append(sources, watch.Kind[client.Object](small, &secretsstore.SecretProviderClassPodStatus{}, enqueue))
	}
	if opts.Secrets != nil {
		sources = append(sources, watch.Channel(opts.Secrets.changed, enqueue))
	}
	for _, s := range sources {
		if err := c.Watch(s); err != nil {
			return err
		}
	}
	return nil
}

// reset makes the memory of a reconciler, empty.
func (r *reconciler) reset() {
	r.written, r.steps, r.lastEvent = map[types.UID]overlaid{}, map[types.UID]stepped{}, map[types.UID]string{}
	r.unowned, r.failed, r.renewed = map[types.UID]*record{}, map[types.UID]backoff{}, map[types.UID]map[source]time.Time{}
	r.served, r.garbled = map[string]time.Time{}, map[types.UID]string{}
}

// cached makes the manager start a cache before the controllers, as its own.
type cached struct{ cache.Cache }

// GetCache is how the manager knows that it is one.
func (c cached) GetCache() cache.Cache { return c.Cache }

// metadata names a kind of which only the metadata is kept.
func metadata(apiVersion, kind string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: kind}}
}

// enqueue asks for a pass soon, one for all that happens until then.
var enqueue = handler.Funcs{
	CreateFunc: func(_ context.Context, _ event.CreateEvent, q queue) { q.AddAfter(reconcile.Request{}, soon) },
	UpdateFunc: func(_ context.Context, _ event.UpdateEvent, q queue) { q.AddAfter(reconcile.Request{}, soon) },
	DeleteFunc: func(_ context.Context, _ event.DeleteEvent, q queue) { q.AddAfter(reconcile.Request{}, soon) },
	GenericFunc: func(_ context.Context, _ event.GenericEvent, q queue) {
		q.AddAfter(reconcile.Request{}, soon)
	},
}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// whoOptedIn leaves out the workloads that want nothing.
var whoOptedIn = predicate.NewPredicateFuncs(func(o client.Object) bool {
	switch o := o.(type) {
	case *appsv1.Deployment:
		return wanted(o, &o.Spec.Template)
	case *appsv1.StatefulSet:
		return wanted(o, &o.Spec.Template)
	case *appsv1.DaemonSet:
		return wanted(o, &o.Spec.Template)
	}
	return false
})

// whoCameOrWent leaves out what the life of a pod brings otherwise.
var whoCameOrWent = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	return (e.ObjectOld.GetDeletionTimestamp() == nil) != (e.ObjectNew.GetDeletionTimestamp() == nil)
}}

// Package controller runs what keeps Secrets as their stores have them, on
// controller-runtime. It is linked into the binary lanyard-sync alone, because it would
// double the provider of each node.
package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	secretsstore "sigs.k8s.io/secrets-store-csi-driver/apis/v1"

	"github.com/lanyardhq/lanyard/server/sync"
	"github.com/lanyardhq/lanyard/server/sync/class"
	"github.com/lanyardhq/lanyard/server/sync/restart"
	"github.com/lanyardhq/lanyard/server/sync/secretsync"
	"github.com/lanyardhq/lanyard/server/sync/settings"
)

// leaderName is the Lease of the controller that works.
const leaderName = "lanyard-sync"

// Run keeps Secrets until ctx ends. Its error says what keeps the controller from its
// work; one that is no longer the leader ends with an error, so that it begins anew.
func Run(ctx context.Context, s settings.Settings) error {
	access, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig)
	if err != nil {
		return fmt.Errorf("the API server cannot be asked: %w", err)
	}
	// The API server itself divides its time between its clients.
	access.QPS, access.UserAgent = -1, "lanyard-sync"
	ctrl.SetLogger(klog.Background())
	refusals := sync.NewRefusals(time.Now)
	mgr, err := newManager(access, s, refusals)
	if err != nil {
		return err
	}
	if err := add(mgr, access, s, refusals); err != nil {
		return err
	}
	klog.InfoS("Lanyard syncs Secrets", "leaderElection", s.LeaderElection, "secretSyncs", s.SecretSyncs, "interval", s.Interval, "driftInterval", s.DriftInterval)
	err = mgr.Start(ctx)
	if err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func newManager(access *rest.Config, s settings.Settings, refusals *sync.Refusals) (manager.Manager, error) {
	known, err := newScheme()
	if err != nil {
		return nil, err
	}
	return ctrl.NewManager(access, manager.Options{
		Scheme:  known,
		Metrics: metricsserver.Options{BindAddress: "0"}, // the admin listener has them
		Cache: cache.Options{
			DefaultTransform: slim,
			DefaultWatchErrorHandler: func(ctx context.Context, r *toolscache.Reflector, err error) {
				refusals.Note(err)
				toolscache.DefaultWatchErrorHandler(ctx, r, err)
			},
			ByObject: map[client.Object]cache.ByObject{serviceAccount(): {Transform: nameAndUID}},
		},
		LeaderElection: s.LeaderElection, LeaderElectionID: leaderName, LeaderElectionNamespace: s.Namespace,
		LeaderElectionReleaseOnCancel: true,
	})
}

// newScheme has the kinds of object that the controller reads and writes.
func newScheme() (*runtime.Scheme, error) {
	known := runtime.NewScheme()
	return known, errors.Join(scheme.AddToScheme(known), secretsstore.AddToScheme(known), secretsync.AddToScheme(known))
}

func serviceAccount() *meta.PartialObjectMetadata {
	return &meta.PartialObjectMetadata{TypeMeta: meta.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}}
}

// slim leaves out of memory what nobody reads.
func slim(object any) (any, error) {
	if o, ok := object.(meta.Object); ok {
		o.SetManagedFields(nil)
		delete(o.GetAnnotations(), core.LastAppliedConfigAnnotation)
	}
	return object, nil
}

// nameAndUID is all that counts of a service account.
func nameAndUID(object any) (any, error) {
	if o, ok := object.(*meta.PartialObjectMetadata); ok {
		o.ObjectMeta = meta.ObjectMeta{Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion}
	}
	return object, nil
}

// add adds a controller for each Input.
func add(mgr manager.Manager, access *rest.Config, s settings.Settings, refusals *sync.Refusals) error {
	clients, err := kubernetes.NewForConfigAndClient(access, mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	shared := &sync.Shared{
		Settings: s, Accounts: mgr.GetClient(), Writer: sync.NewWriter(clients.CoreV1().RESTClient()),
		Events: mgr.GetClient(), Metrics: sync.NewMetrics(s.Registry, time.Now), Refusals: refusals, Now: time.Now,
	}
	if s.Facts != nil {
		s.Facts(shared.Facts)
	}
	if s.Restart.Enabled {
		if err := addRestart(mgr, shared); err != nil {
			return err
		}
	}
	options := controller.Options{MaxConcurrentReconciles: s.Workers}
	classes := class.Input{Client: mgr.GetClient()}
	reconciler := sync.NewReconciler(classes, shared)
	err = builder.ControllerManagedBy(mgr).Named(classes.Kind()).WithOptions(options).WatchesRawSource(reconciler).
		For(&secretsstore.SecretProviderClass{}, builder.WithPredicates(syncedClasses, changed(class.StatusAnnotation))).
		Complete(reconciler)
	if err == nil && s.SecretSyncs {
		err = whenDefined{mgr.GetRESTMapper(), func() error { return addSecretSyncs(mgr, shared, options) }}.add(mgr)
	}
	return errors.Join(err, mgr.Add(whenFilled{mgr.GetCache(), s.Ready}))
}

// addRestart rolls out workloads when what the Reconcilers write changes, and what pods
// mount.
func addRestart(mgr manager.Manager, shared *sync.Shared) error {
	s, secrets := shared.Settings.Restart, restart.NewSecrets(nil)
	shared.Changed = func(namespace, secret string, versions map[string]string) {
		if len(versions) == 0 {
			secrets.Delete(namespace, secret)
			return
		}
		secrets.Set(namespace, secret, versions, time.Time{})
	}
	return restart.Add(mgr, restart.Options{
		MaxInCluster: s.Max, MaxInNamespace: s.MaxNamespace, PauseAfterFailure: s.Pause, Window: s.Window,
		Secrets: secrets, Registry: shared.Settings.Registry,
	})
}

// whenDefined follows SecretSyncs once their definition is installed. Until then classes
// are synced without them.
type whenDefined struct {
	mapper apimeta.RESTMapper
	follow func() error
}

// definitionPause is how often the definition is looked for.
const definitionPause = 10 * time.Second

func (w whenDefined) add(mgr manager.Manager) error {
	if w.look() == nil {
		return w.follow()
	}
	return mgr.Add(w)
}

func (w whenDefined) look() error {
	_, err := w.mapper.RESTMapping(secretsync.Version.WithKind("SecretSync").GroupKind(), secretsync.Version.Version)
	return err
}

// Start waits for the definition.
func (w whenDefined) Start(ctx context.Context) error {
	klog.InfoS("SecretSync is not defined in this cluster; its objects are followed once it is", "cause", w.look())
	for w.look() != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(definitionPause):
		}
	}
	klog.InfoS("SecretSync is defined; its objects are followed")
	return w.follow()
}

// NeedLeaderElection is false: who waits to be the leader knows the objects too.
func (whenDefined) NeedLeaderElection() bool { return false }

// classOf is the index of SecretSyncs by the class that they name.
const classOf = "spec.secretProviderClassName"

func addSecretSyncs(mgr manager.Manager, shared *sync.Shared, options controller.Options) error {
	input := secretsync.Input{Client: mgr.GetClient(), ControllerName: shared.Settings.ControllerName}
	err := mgr.GetFieldIndexer().IndexField(context.Background(), &secretsync.SecretSync{}, classOf, func(o client.Object) []string {
		if s, ok := o.(*secretsync.SecretSync); ok {
			return []string{s.Spec.SecretProviderClassName}
		}
		return nil
	})
	if err != nil {
		return err
	}
	ofClass := func(ctx context.Context, class client.Object) (all []reconcile.Request) {
		var syncs secretsync.SecretSyncList
		if err := mgr.GetClient().List(ctx, &syncs, client.InNamespace(class.GetNamespace()), client.MatchingFields{classOf: class.GetName()}); err != nil {
			klog.ErrorS(nil, "The SecretSyncs of a class cannot be listed", "class", klog.KObj(class), "cause", err.Error())
		}
		for i := range syncs.Items {
			all = append(all, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: syncs.Items[i].Namespace, Name: syncs.Items[i].Name}})
		}
		return all
	}
	reconciler := sync.NewReconciler(input, shared)
	return builder.ControllerManagedBy(mgr).Named(input.Kind()).WithOptions(options).WatchesRawSource(reconciler).
		For(&secretsync.SecretSync{}, builder.WithPredicates(changed(""))).
		Watches(&secretsstore.SecretProviderClass{}, handler.EnqueueRequestsFromMapFunc(ofClass), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Complete(reconciler)
}

// syncedClasses passes the classes that ask for Secrets, or did.
var syncedClasses = predicate.Funcs{
	CreateFunc:  func(e event.CreateEvent) bool { return wantsSecrets(e.Object) },
	UpdateFunc:  func(e event.UpdateEvent) bool { return wantsSecrets(e.ObjectOld) || wantsSecrets(e.ObjectNew) },
	DeleteFunc:  func(e event.DeleteEvent) bool { return wantsSecrets(e.Object) },
	GenericFunc: func(e event.GenericEvent) bool { return wantsSecrets(e.Object) },
}

// wantsSecrets says that a class asks for Secrets, or that its status tells of some.
func wantsSecrets(o client.Object) bool {
	annotations := o.GetAnnotations()
	_, now := annotations[class.Annotation]
	_, before := annotations[class.StatusAnnotation]
	return now || before
}

// changed lets updates pass that change what an object asks for, and not what the
// controller says of it, which is its status and an annotation.
func changed(status string) predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		if e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() || e.ObjectOld.GetUID() != e.ObjectNew.GetUID() {
			return true
		}
		before, after := e.ObjectOld.GetAnnotations(), e.ObjectNew.GetAnnotations()
		for _, name := range []string{class.Annotation, sync.RefreshAnnotation} {
			if before[name] != after[name] {
				return true
			}
		}
		_, had := before[class.Annotation]
		_, has := after[class.Annotation]
		return had != has || status != "" && after[status] == "" && before[status] != ""
	}}
}

// whenFilled tells once that the caches are filled. Each replica runs it.
type whenFilled struct {
	cache  cache.Cache
	notify func()
}

// Start waits for the caches.
func (w whenFilled) Start(ctx context.Context) error {
	if w.notify != nil && w.cache.WaitForCacheSync(ctx) {
		w.notify()
	}
	<-ctx.Done()
	return nil
}

// NeedLeaderElection is false: who waits to be the leader is ready too.
func (whenFilled) NeedLeaderElection() bool { return false }

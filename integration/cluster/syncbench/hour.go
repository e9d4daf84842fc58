package main

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	gosync "sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	secretsstore "sigs.k8s.io/secrets-store-csi-driver/apis/v1"

	"github.com/lanyardhq/lanyard/integration/bench/syncresult"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/dialect/lanyard"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/vault"
	"github.com/lanyardhq/lanyard/server/sync"
	"github.com/lanyardhq/lanyard/server/sync/class"
	"github.com/lanyardhq/lanyard/server/sync/settings"
)

// hour has the controller's own parts in this process, on the same API server and Vault,
// and turns their clock: each object is looked at when it is due by that clock, an hour
// long, and the next look follows at once. What is not there is controller-runtime, whose
// queue would wait.
func (w *world) hour(ctx context.Context, r *syncresult.Result) (err error) {
	w.stopController()
	c := &clock{now: time.Now()}
	objects, err := w.readObjects(ctx)
	if err != nil {
		return err
	}
	served, err := w.drivenEngine(c)
	if err != nil {
		return err
	}
	defer served.Close()
	shared := &sync.Shared{
		Settings: settings.Settings{
			Engine: served, Interval: settings.DefaultInterval, DriftInterval: settings.DefaultDriftInterval,
			Workers: settings.DefaultWorkers, SecretTypes: settings.DefaultSecretTypes(),
		},
		Accounts: objects, Writer: sync.NewWriter(w.kube.CoreV1().RESTClient()), Events: objects,
		Metrics: sync.NewMetrics(prometheus.NewRegistry(), c.Now), Now: c.Now,
	}
	reconciler := sync.NewReconciler(class.Input{Client: objects}, shared)
	due := &looks{}
	for _, name := range slices.SortedFunc(maps.Keys(objects.classes), func(a, b types.NamespacedName) int { return len(a.Name) - len(b.Name) }) {
		heap.Push(due, look{c.now, name})
	}
	// The first round reads what a controller that ran on would have.
	if err := w.run(ctx, reconciler, c, due, c.now.Add(time.Minute)); err != nil {
		return err
	}
	w.proxy.Reset()
	calls, err := w.apiCalls(ctx)
	if err != nil {
		return err
	}
	processor, began := ownProcessorTime(), due.done
	if err := w.run(ctx, reconciler, c, due, c.now.Add(time.Hour)); err != nil {
		return err
	}
	after, err := w.apiCalls(ctx)
	if err != nil {
		return err
	}
	r.Hour = syncresult.Hour{Looks: due.done - began, StoreCalls: w.proxy.Count("", ""), APICalls: after - calls, CPU: seconds(ownProcessorTime() - processor)}
	return nil
}

// run turns the clock until end.
func (w *world) run(ctx context.Context, r *sync.Reconciler, c *clock, due *looks, end time.Time) error {
	for ctx.Err() == nil {
		next, ok := heap.Pop(due).(look)
		if !ok || next.at.After(end) {
			heap.Push(due, next)
			c.set(end)
			return nil
		}
		c.set(next.at)
		result, err := r.Reconcile(ctx, reconcile.Request{NamespacedName: next.object})
		if err != nil || result.RequeueAfter <= 0 {
			return fmt.Errorf("%s is not looked at again: %w", next.object, err)
		}
		due.done++
		heap.Push(due, look{next.at.Add(result.RequeueAfter), next.object})
	}
	return ctx.Err()
}

// drivenEngine is the controller's engine, with one dialect, one store and another clock.
func (w *world) drivenEngine(c *clock) (*engine.Engine, error) {
	file, err := config.Parse("syncbench", []byte(w.configuration()))
	if err != nil {
		return nil, err
	}
	calls := remote.NewCalls(file.Config.Bounds.StoreCalls)
	return engine.New(engine.Options{
		Config: file.Config, Calls: calls, Dialects: map[string]spec.Dialect{lanyard.Name: lanyard.Parse},
		Types:   []store.Type{vault.NewType(vault.Options{Tokens: &tokens{world: w, clock: c}, Calls: calls, Now: c.Now})},
		Metrics: prometheus.NewRegistry(), Cluster: true, Now: c.Now,
	})
}

// clock is turned by hand.
type clock struct {
	mu  gosync.Mutex
	now time.Time
}

// Now is what the clock shows.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// tokens are real ones, which end by the clock.
type tokens struct {
	world *world
	clock *clock
	mu    gosync.Mutex
	last  identity.Token
}

// Token is that of identity.TokenSource.
func (t *tokens) Token(ctx context.Context, id identity.Identity, audience string) (identity.Token, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.clock.Now().Before(t.last.Expires.Add(-10 * time.Minute)) {
		return t.last, nil
	}
	lifetime := int64(time.Hour / time.Second)
	made, err := t.world.kube.CoreV1().ServiceAccounts(id.Namespace).CreateToken(ctx, id.ServiceAccount,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: &lifetime}}, metav1.CreateOptions{})
	if err != nil {
		return identity.Token{}, err
	}
	t.last = identity.Token{JWT: secret.NewString(made.Status.Token), Expires: t.clock.Now().Add(time.Hour)}
	return t.last, nil
}

// memory has the objects as the controller's caches have them, and writes to the API
// server.
type memory struct {
	client.Client
	mu      gosync.Mutex
	classes map[types.NamespacedName]*secretsstore.SecretProviderClass
	account types.UID
}

func (w *world) readObjects(ctx context.Context) (*memory, error) {
	known := runtime.NewScheme()
	if err := secretsstore.AddToScheme(known); err != nil {
		return nil, err
	}
	server, err := client.New(w.config, client.Options{Scheme: known})
	if err != nil {
		return nil, err
	}
	m := &memory{Client: server, classes: map[types.NamespacedName]*secretsstore.SecretProviderClass{}}
	var all secretsstore.SecretProviderClassList
	if err := server.List(ctx, &all, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	for i := range all.Items {
		m.classes[client.ObjectKeyFromObject(&all.Items[i])] = &all.Items[i]
	}
	web, err := w.kube.CoreV1().ServiceAccounts(namespace).Get(ctx, account, metav1.GetOptions{})
	if err == nil {
		m.account = web.UID
	}
	return m, err
}

// Get reads from memory.
func (m *memory) Get(_ context.Context, key types.NamespacedName, into client.Object, _ ...client.GetOption) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch o := into.(type) {
	case *secretsstore.SecretProviderClass:
		m.classes[key].DeepCopyInto(o)
	case *metav1.PartialObjectMetadata:
		o.Namespace, o.Name, o.UID = key.Namespace, key.Name, m.account
	default:
		return errors.ErrUnsupported
	}
	return nil
}

// Patch writes, and keeps what is there then.
func (m *memory) Patch(ctx context.Context, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
	if err := m.Client.Patch(ctx, o, patch, opts...); err != nil {
		return err
	}
	if written, ok := o.(*secretsstore.SecretProviderClass); ok {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.classes[client.ObjectKeyFromObject(o)] = written
	}
	return nil
}

// Create takes no Event: none is due in an hour without changes.
func (m *memory) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	return fmt.Errorf("%T: %w", o, errors.ErrUnsupported)
}

// look is when an object is looked at next.
type look struct {
	at     time.Time
	object types.NamespacedName
}

// looks is a heap.Interface, the next one first.
type looks struct {
	all  []look
	done int
}

func (l *looks) Len() int           { return len(l.all) }
func (l *looks) Less(i, j int) bool { return l.all[i].at.Before(l.all[j].at) }
func (l *looks) Swap(i, j int)      { l.all[i], l.all[j] = l.all[j], l.all[i] }

// Push adds one.
func (l *looks) Push(x any) {
	if one, ok := x.(look); ok {
		l.all = append(l.all, one)
	}
}

// Pop takes the last one.
func (l *looks) Pop() any {
	last := l.all[len(l.all)-1]
	l.all = l.all[:len(l.all)-1]
	return last
}

// ownProcessorTime is what this process has used of processors.
func ownProcessorTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

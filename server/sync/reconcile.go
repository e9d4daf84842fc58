package sync

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	gosync "sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/server/status"
	"github.com/lanyardhq/lanyard/server/sync/event"
	"github.com/lanyardhq/lanyard/server/sync/settings"
)

// Reconciler keeps the Secrets of all objects of one Input. It implements
// reconcile.Reconciler and is safe for concurrent use.
type Reconciler struct {
	input    Input
	shared   *Shared
	settings *settings.Settings

	queue workqueue.TypedInterface[reconcile.Request]

	mu     gosync.Mutex
	states map[types.NamespacedName]*state
}

// Shared is what the Reconcilers of all inputs have in common.
type Shared struct {
	// Settings are the operator's.
	Settings settings.Settings
	// Accounts reads service accounts' metadata from memory.
	Accounts client.Reader
	// Writer writes the Secrets.
	Writer SecretWriter
	// Events writes Events.
	Events event.Creator
	// Metrics count what is done.
	Metrics *Metrics
	// Refusals are the lists that the API server refuses.
	Refusals *Refusals
	// Changed is told what a Secret was written with; nil for nobody.
	Changed func(namespace, secret string, versions map[string]string)
	// Now tells the time.
	Now func() time.Time

	busy busy
}

// state is what is remembered of an object.
type state struct {
	owner   types.UID // whose it is: an object that is made anew begins anew
	secrets map[string]*written
	// refresh is Want.Refresh as it was last, and asked when it changed: no older value is
	// good enough. Zero if it never did.
	refresh        string
	refreshChanged time.Time
	problem        *Problem
	failing        bool
	since          time.Time // that it is failing or not; zero if it was not tried
	success        time.Time // of the last attempt that left all as it should be
	failed         int       // attempts in a row
	// unserved is why the API server did not serve the last attempt, and unservedSince when
	// the first of those in a row was; empty if it did.
	unserved      string
	unservedSince time.Time
	published     []status.SyncedSecret // for Facts; never changed
}

// written is what is remembered of a Secret.
type written struct {
	uid     types.UID
	digest  string
	refresh string    // Want.Refresh at that time
	at      time.Time // zero if it was another process that wrote it
}

// NewReconciler returns a Reconciler of the input's objects.
func NewReconciler(input Input, shared *Shared) *Reconciler {
	r := &Reconciler{input: input, shared: shared, settings: &shared.Settings, states: map[types.NamespacedName]*state{}}
	shared.Metrics.follow(r)
	return r
}

// waits is the key of an object that waits for a worker.
type waits struct {
	of     *Reconciler
	object types.NamespacedName
}

// Start takes the queue from which objects are reconciled, to put back into it those that
// have to wait. It implements source.Source, which the controller has to watch.
func (r *Reconciler) Start(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	r.queue = queue
	return nil
}

// Reconcile brings the Secrets of one object to what it asks for.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	done, free := r.shared.busy.begin(req.Namespace, r.settings.Workers, waits{r, req.NamespacedName}, func() { r.queue.Add(req) })
	if !free {
		return reconcile.Result{}, nil
	}
	defer done()
	want, err := r.input.Want(ctx, req.NamespacedName)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("%s: %w", r.input.Kind(), err)
	}
	if want == nil {
		r.forget(req.NamespacedName)
		return reconcile.Result{}, nil
	}
	s := r.state(req.NamespacedName, want)
	ctx, traced := r.settings.Tracer.Start(ctx, "sync")
	outcome := r.bring(ctx, want, s)
	r.endSpan(traced, req.NamespacedName, outcome)
	if ctx.Err() != nil {
		return reconcile.Result{}, nil // the controller stops; nothing is known of the object
	}
	r.reportSecrets(ctx, want, outcome)
	if outcome.unanswered == nil {
		r.reportState(ctx, want, s, outcome)
		err = r.input.Report(ctx, want, outcome)
	}
	switch err = cmp.Or(outcome.unanswered, err); {
	case unanswered(err) || withoutRight(err):
		r.notServed(s, err)
		klog.ErrorS(nil, "The API server does not serve the controller; the object is looked at again", r.input.Kind(), klog.KRef(req.Namespace, req.Name), "cause", err.Error())
		return reconcile.Result{RequeueAfter: r.next(s)}, nil
	case err != nil && !apierrors.IsNotFound(err):
		return reconcile.Result{}, fmt.Errorf("status of %s: %w", r.input.Kind(), err)
	}
	r.notServed(s, nil)
	if len(want.Secrets) == 0 && outcome.Problem == nil {
		r.forget(req.NamespacedName)
		return reconcile.Result{}, nil
	}
	return reconcile.Result{RequeueAfter: r.next(s)}, nil
}

// notServed notes for Facts that the API server did not serve an attempt; without an error,
// that it did.
func (r *Reconciler) notServed(s *state, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		s.unserved, s.unservedSince = "", time.Time{}
		return
	}
	s.failed++
	if s.unserved == "" {
		s.unservedSince = r.shared.Now()
	}
	s.unserved = message.Passage(err.Error())
}

// firstRetry is the pause after a first failure; it doubles up to the interval.
const firstRetry = 2 * time.Second

// next is when the object is looked at again: spread, so that objects which began together
// do not stay together.
func (r *Reconciler) next(s *state) time.Duration {
	pause := r.settings.Interval
	if s.failed > 0 && s.failed < 16 {
		pause = min(pause, firstRetry<<(s.failed-1))
	}
	return pause - time.Duration(rand.Int64N(int64(pause)/5+1))
}

// state is what is remembered of the object, at first what its status says.
func (r *Reconciler) state(key types.NamespacedName, want *Want) *state {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.states[key]
	if s == nil || s.owner != want.Owner.UID {
		r.release(key, s)
		s = &state{owner: want.Owner.UID, secrets: map[string]*written{}, refresh: want.Refresh, failing: want.Failing, since: want.Since}
		for name, known := range want.Known {
			s.secrets[name] = &written{digest: known.Digest, refresh: known.Refresh}
			if known.Refresh != want.Refresh {
				s.refreshChanged = r.shared.Now()
			}
		}
		s.published = secretsOf(s)
		r.states[key] = s
	}
	if s.refresh != want.Refresh {
		s.refresh, s.refreshChanged = want.Refresh, r.shared.Now()
	}
	return s
}

// forget is for an object that asks for nothing, or is gone.
func (r *Reconciler) forget(key types.NamespacedName) {
	r.mu.Lock()
	s := r.states[key]
	delete(r.states, key)
	r.mu.Unlock()
	r.release(key, s)
}

// release says that the Secrets of an object that is gone are nobody's; the object may be
// nil.
func (r *Reconciler) release(key types.NamespacedName, s *state) {
	if s != nil {
		for name := range s.secrets {
			r.changed(key.Namespace, name, nil)
		}
	}
}

// changed passes on what a Secret holds now; nil for one that is gone, or nobody's.
func (r *Reconciler) changed(namespace, secret string, versions map[string]string) {
	if r.shared.Changed != nil {
		r.shared.Changed(namespace, secret, versions)
	}
}

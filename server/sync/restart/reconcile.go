package restart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/server/sync/event"
)

const (
	// fieldManager is who the API server says has written the annotations.
	fieldManager = "lanyard-restart"
	// again is how soon is looked again while something waits or rolls out: windows
	// open and deadlines pass without anybody saying so.
	again = time.Minute
	// soon is how soon is looked again after something was written, by when the cache
	// has it.
	soon = time.Second
)

// reconciler looks at everything in each pass: the budget and failed rollouts concern
// all workloads. It is called by one goroutine.
type reconciler struct {
	cache, live client.Reader
	writer      client.Writer
	metrics     *Metrics
	secrets     *Secrets
	limits      limits
	limit       time.Duration // how long a rollout may take without getting on
	classes     bool          // whether the cluster has statuses of mounted classes
	now         func() time.Time

	// What a restart of the controller may forget.
	written   map[types.UID]overlaid // what the cache may not have yet
	steps     map[types.UID]stepped  // how far rollouts are, and since when
	lastEvent map[types.UID]string   // the last event
	unowned   map[types.UID]*record  // of pods that nothing restarts
	failed    map[types.UID]backoff  // of what the API server did not let be done
	served    map[string]time.Time   // when a namespace last had a turn
	garbled   map[types.UID]string   // the digest of a record that cannot be read
	// Pods whose containers have all started since what they hold of a source moved.
	renewed map[types.UID]map[source]time.Time
}

// overlaid is a record that was written over an object's version.
type overlaid struct {
	over, text string
	started    bool
}

// stepped is how far a rollout is, and since when.
type stepped struct {
	step progress
	at   time.Time
}

// backoff is how long a workload is let alone after attempts that failed.
type backoff struct {
	times int
	until time.Time
}

// The first pause after a failed attempt, which doubles up to the longest.
const (
	firstPause   = 5 * time.Second
	longestPause = 10 * time.Minute
)

// Reconcile looks at all workloads.
func (r *reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	now := r.now()
	all, err := r.snapshot(ctx, now)
	if err != nil {
		return reconcile.Result{}, err
	}
	workloads := make([]*workload, len(all))
	for i, f := range all {
		f.retry = r.failed[f.uid].until
		workloads[i] = &f.workload
	}
	verdicts := decide(now, r.limits, r.served, workloads)
	r.metrics.show(workloads, verdicts)
	next := time.Duration(0)
	sooner := func(d time.Duration) {
		if next == 0 || d < next {
			next = d
		}
	}
	for i, f := range all {
		v := &verdicts[i]
		if v.waits != "" || f.record != nil && f.record.Rollout != nil && !f.record.Rollout.Ready {
			sooner(again)
		}
		if !v.until.IsZero() {
			sooner(max(soon, v.until.Sub(now)))
		}
		if v.write != nil {
			sooner(soon)
		}
		if v.start {
			r.served[f.namespace] = now // even if the attempt fails: it is the others' turn
		}
		if err := r.act(ctx, now, f, v); err != nil {
			if !errors.As(err, new(apierrors.APIStatus)) {
				return reconcile.Result{}, fmt.Errorf("%s: %w", f, err) // no API server answers
			}
			r.backOff(ctx, now, f, err)
		}
	}
	return reconcile.Result{RequeueAfter: next}, nil
}

// backOff lets a workload alone for a while, and no other, because the API server did not
// let something of it be done. Its place in the budget is free again.
func (r *reconciler) backOff(ctx context.Context, now time.Time, f *found, err error) {
	times := r.failed[f.uid].times
	pause := min(firstPause<<min(times, 16), longestPause)
	r.failed[f.uid] = backoff{times + 1, now.Add(pause)}
	klog.InfoS("A workload cannot be restarted", "workload", f.String(), "retry", pause.String(), "cause", message.Excerpt(err.Error()))
	if apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsServiceUnavailable(err) {
		return // it is the API server that is in trouble
	}
	r.recordEvent(ctx, now, f, &verdict{event: eventRefused, warning: true, note: "cannot be restarted: the API server refuses: " + message.Excerpt(err.Error())})
}

// act does what was decided.
func (r *reconciler) act(ctx context.Context, now time.Time, f *found, v *verdict) error {
	if v.start {
		needed, err := r.confirm(ctx, f, v.moved)
		if err != nil {
			return err
		}
		if !needed {
			klog.InfoS("Containers have started with the changed versions already", "workload", f.String(), "changes", list(v.changes))
			return nil // the next pass decides with that
		}
	}
	if v.write != nil {
		if f.kind == podKind {
			r.unowned[f.uid] = v.write
		} else if done, err := r.write(ctx, f, v); err != nil || !done {
			return err
		}
	}
	if v.result != "" {
		r.metrics.rollouts.WithLabelValues(v.result).Inc()
	}
	r.recordEvent(ctx, now, f, v)
	return nil
}

// maxConfirmed bounds the pods of one workload that are read in a pass. The next pass
// goes on with the others.
const maxConfirmed = 20

// confirm asks the API server itself whether one of the pods runs a process from
// before its change. What a cache of metadata cannot tell: a container that was
// restarted since has read the new value, and a pod may have ended. It reads one pod
// at a time, up to the first that has to be restarted, since there may be any number.
func (r *reconciler) confirm(ctx context.Context, f *found, moved []reading) (bool, error) {
	for _, m := range moved[:min(len(moved), maxConfirmed)] {
		var pods corev1.PodList
		if err := r.live.List(ctx, &pods, client.InNamespace(f.namespace), client.MatchingFields{metav1.ObjectNameField: m.name}, client.Limit(1)); err != nil {
			return false, fmt.Errorf("pod %s: %w", m.name, err)
		}
		for i := range pods.Items {
			pod := &pods.Items[i]
			ended := pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
			if pod.UID == m.pod && !ended && startedBefore(pod, m.since) {
				return true, nil
			}
		}
		if r.renewed[m.pod] == nil {
			r.renewed[m.pod] = map[source]time.Time{}
		}
		r.renewed[m.pod][m.source] = m.since
	}
	return false, nil
}

// startedBefore says whether a container of the pod, an init container too, runs or
// ran since before the time. Times are those of the node on one side and of the API
// server on the other, in seconds; that they differ by more matters only to a
// container that was restarted in between.
func startedBefore(pod *corev1.Pod, when time.Time) bool {
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		switch {
		case c.State.Running != nil && !c.State.Running.StartedAt.After(when),
			c.State.Terminated != nil && !c.State.Terminated.StartedAt.After(when):
			return true
		}
	}
	return false
}

// write patches the workload: its record, and its template if a rollout begins. It
// reports false if the workload has changed meanwhile; the next pass sees that.
func (r *reconciler) write(ctx context.Context, f *found, v *verdict) (bool, error) {
	text := v.write.text()
	patch := map[string]any{"metadata": map[string]any{
		// Neither is changed: another workload of that name, or one that the cache
		// has not seen the last change of, is not patched.
		"uid": f.uid, "resourceVersion": f.of.GetResourceVersion(),
		"annotations": map[string]string{recordAnnotation: text},
	}}
	if v.start {
		patch["spec"] = map[string]any{"template": map[string]any{"metadata": map[string]any{
			"annotations": map[string]string{templateAnnotation: v.write.Rollout.text()},
		}}}
	}
	data, err := json.Marshal(patch)
	if err != nil {
		return false, err
	}
	named := metav1.ObjectMeta{Namespace: f.namespace, Name: f.name}
	var target client.Object
	switch f.kind {
	case "Deployment":
		target = &appsv1.Deployment{ObjectMeta: named}
	case "StatefulSet":
		target = &appsv1.StatefulSet{ObjectMeta: named}
	default:
		target = &appsv1.DaemonSet{ObjectMeta: named}
	}
	err = r.writer.Patch(ctx, target, client.RawPatch(types.MergePatchType, data), client.FieldOwner(fieldManager))
	switch {
	case err == nil:
		r.written[f.uid] = overlaid{f.of.GetResourceVersion(), text, v.start}
		delete(r.failed, f.uid)
		return true, nil
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return false, nil
	}
	return false, err
}

// text is the annotation of the pod template: when, and the digests of the versions
// that the rollout is for.
func (r *rollout) text() string {
	parts := []string{}
	for _, s := range slices.Sorted(maps.Keys(r.For)) {
		parts = append(parts, s+" "+r.For[s])
	}
	return r.At.Format(time.RFC3339) + ": " + strings.Join(parts, ", ")
}

// recordEvent makes an event and a line of the log of what is new. The recorders of client-go
// are not used: they take events of one reason for one, whatever their notes say.
func (r *reconciler) recordEvent(ctx context.Context, now time.Time, f *found, v *verdict) {
	if v.event == "" {
		if v.waits == "" {
			delete(r.lastEvent, f.uid)
		}
		return
	}
	what := v.event + v.note
	if v.waits != "" {
		what = v.event + v.waits + list(v.changes)
	}
	if r.lastEvent[f.uid] == what {
		return
	}
	r.lastEvent[f.uid] = what
	klog.InfoS(v.event, "workload", f.String(), "note", v.note)
	version := "apps/v1"
	if f.kind == podKind {
		version = "v1"
	}
	event.Write(ctx, r.writer, now, event.Event{
		Of: corev1.ObjectReference{APIVersion: version, Kind: f.kind, Namespace: f.namespace, Name: f.name, UID: f.uid},
		By: fieldManager, Warning: v.warning, Reason: v.event, Action: "Restart", Note: v.note,
	})
}

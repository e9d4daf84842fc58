package restart

import (
	"math"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// progress is how far the workload's own controller is.
type progress struct {
	settled bool          // no pod of an earlier template is to be replaced
	ready   bool          // all pods are of the template and available, Short aside
	updated int           // pods of the template
	missing int           // pods that are not available
	stuck   bool          // its controller says that the deadline is exceeded
	paused  bool          // nothing is rolled out before somebody resumes it
	byHand  string        // why only people can restart its pods
	since   time.Time     // when it last got on
	limit   time.Duration // how long after that it counts as failed
}

// maxDeadline bounds for how long the author of a Deployment may take a place of the
// cluster's budget without getting on.
const maxDeadline = time.Hour

// deployment tells how far a Deployment is.
func (f *found) deployment(d *appsv1.Deployment, limit time.Duration) {
	f.kind = "Deployment"
	want := replicas(d.Spec.Replicas)
	current := d.Status.ObservedGeneration >= d.Generation
	f.rollout = progress{
		settled: current && d.Status.UpdatedReplicas >= want && d.Status.Replicas == d.Status.UpdatedReplicas,
		updated: int(d.Status.UpdatedReplicas),
		missing: max(0, int(want-d.Status.AvailableReplicas)),
		paused:  d.Spec.Paused,
		limit:   limit,
	}
	// The largest number stands for no deadline.
	if seconds := d.Spec.ProgressDeadlineSeconds; seconds != nil && *seconds != math.MaxInt32 {
		f.rollout.limit = max(limit, min(time.Duration(*seconds)*time.Second, maxDeadline))
	}
	for _, c := range d.Status.Conditions {
		if current && c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && c.Reason == "ProgressDeadlineExceeded" {
			f.rollout.stuck = true
		}
	}
}

// statefulSet tells how far a StatefulSet is. Pods below its partition keep their
// template.
func (f *found) statefulSet(s *appsv1.StatefulSet, limit time.Duration) {
	f.kind = "StatefulSet"
	want, update := replicas(s.Spec.Replicas), replicas(s.Spec.Replicas)
	if rolling := s.Spec.UpdateStrategy.RollingUpdate; rolling != nil && rolling.Partition != nil {
		update = max(0, want-*rolling.Partition)
	}
	f.rollout = progress{
		settled: s.Status.ObservedGeneration >= s.Generation && (s.Status.UpdatedReplicas >= update || s.Status.UpdateRevision == s.Status.CurrentRevision),
		updated: int(s.Status.UpdatedReplicas),
		missing: max(0, int(want-s.Status.AvailableReplicas)),
		limit:   limit,
	}
	if s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
		f.rollout.byHand = onDelete
	}
}

// daemonSet tells how far a DaemonSet is.
func (f *found) daemonSet(d *appsv1.DaemonSet, limit time.Duration) {
	f.kind = "DaemonSet"
	f.rollout = progress{
		settled: d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedNumberScheduled >= d.Status.DesiredNumberScheduled,
		updated: int(d.Status.UpdatedNumberScheduled),
		missing: max(0, int(d.Status.DesiredNumberScheduled-d.Status.NumberAvailable)),
		limit:   limit,
	}
	if d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType {
		f.rollout.byHand = onDelete
	}
}

// onDelete is why a workload of that strategy is not rolled out.
const onDelete = "its update strategy is OnDelete; delete its pods one by one"

func replicas(n *int32) int32 {
	if n == nil {
		return 1 // the API server's default
	}
	return *n
}

// got is when the workload's rollout last got on.
func (r *reconciler) got(f *found, now time.Time) time.Time {
	step := f.rollout
	step.since, step.limit = time.Time{}, 0
	last, ok := r.steps[f.uid]
	if !ok || last.step != step || f.record == nil || !f.record.Rollout.running() {
		last = stepped{step, now}
		r.steps[f.uid] = last
	}
	return last.at
}

package restart

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lanyardhq/lanyard/internal/message"
)

// workload is what is known of a workload that opted in.
type workload struct {
	object
	policy   policy
	problems []string // of its annotations
	record   *record  // nil before its pods were seen for the first time
	// readings are, by source, what the pods of its current template hold. A source
	// that it watches has an entry even if no pod holds anything.
	readings map[source][]reading
	rollout  progress
	retry    time.Time // nothing of it is written before, since the last attempt failed
}

// object names a workload, and sorts before others of a later name.
type object struct {
	kind, namespace, name string
	uid                   types.UID
}

func (o object) String() string { return o.kind + " " + o.namespace + "/" + o.name }

// reading is what a pod holds of a source.
type reading struct {
	pod      types.UID
	name     string // the pod's
	source   source
	versions versions
	since    time.Time // when it got these
	// fresh says that its containers have all started with these.
	fresh bool
}

// limits are the operator's.
type limits struct {
	inCluster, inNamespace int
	pause                  time.Duration
	window                 window
}

// Reasons why a workload waits, as the label of the metric has them.
const (
	waitsForAfter   = "after"
	waitsForPeriod  = "period"
	waitsForPaused  = "paused"
	waitsForRollout = "rollout"
	waitsForWindow  = "window"
	waitsForFailed  = "failed"
	waitsForBudget  = "budget"
	waitsForRetry   = "refused"
)

// waitReasons are all of them.
var waitReasons = []string{waitsForAfter, waitsForPeriod, waitsForPaused, waitsForRollout, waitsForWindow, waitsForFailed, waitsForBudget, waitsForRetry}

// Results of rollouts, as the label of the metric has them.
const (
	resultReady  = "ready"
	resultFailed = "failed"
)

// Reasons of events.
const (
	eventStarted = "RestartStarted"
	eventReady   = "RestartReady"
	eventFailed  = "RestartFailed"
	eventWaiting = "RestartWaiting"
	eventByHand  = "RestartByHand"
	eventInvalid = "RestartAnnotationInvalid"
	eventRefused = "RestartRefused"
)

// verdict is what is to be done with a workload.
type verdict struct {
	write   *record  // to be recorded, nil if nothing is
	start   bool     // the record goes with a new template
	changes []change // what the rollout is for, also one that waits
	// moved are the readings that the rollout is for, and what it is not needed for if
	// none of those pods runs a process from before its change.
	moved   []reading
	waits   string // the reason why it waits, empty if it does not
	result  string // of a rollout that ended: ready or failed
	event   string // the reason of an event
	warning bool
	note    string
	until   time.Time // when to look again, if that is known
}

// need is what a workload is to be rolled out for.
type need struct {
	recorded map[string]versions // what is recorded in any case
	target   map[string]versions // what is recorded with the rollout
	changes  []change
	moved    []reading
	since    time.Time // when the last of the changes was first seen
}

// need compares what pods hold with what they are known to have started with.
func (w *workload) need() need {
	n := need{recorded: map[string]versions{}, target: map[string]versions{}}
	for _, s := range slices.SortedFunc(maps.Keys(w.readings), func(a, b source) int { return cmp.Compare(a.String(), b.String()) }) {
		all := w.readings[s]
		var known versions
		if w.record != nil {
			known = w.record.Versions[s.String()]
		}
		if known == nil {
			known = earliest(all)
		}
		if known == nil {
			continue
		}
		n.recorded[s.String()] = known
		latest, since, moved := moved(s, known, all)
		switch {
		case latest != nil:
			n.target[s.String()] = latest
			n.changes = append(n.changes, changes(s, known, latest)...)
			n.moved = append(n.moved, moved...)
			if since.After(n.since) {
				n.since = since
			}
		case uniform(all):
			n.recorded[s.String()] = all[0].versions
		}
	}
	return n
}

// earliest are the versions that most likely were there before all others: of a pod
// that started with them, or that has had them for the longest time.
func earliest(all []reading) versions {
	var first *reading
	for i := range all {
		r := &all[i]
		if first == nil || r.fresh && !first.fresh || r.fresh == first.fresh && r.since.Before(first.since) {
			first = r
		}
	}
	if first == nil {
		return nil
	}
	return first.versions
}

// moved are the newest versions that came to a pod while it ran, when they were first
// seen, and the pods to which others than the known ones came.
func moved(s source, known versions, all []reading) (latest versions, since time.Time, pods []reading) {
	var newest time.Time
	for _, r := range all {
		if r.fresh || len(changes(s, known, r.versions)) == 0 {
			continue
		}
		pods = append(pods, r)
		if latest == nil || r.since.After(newest) {
			latest, newest = r.versions, r.since
		}
	}
	since = newest
	for _, r := range pods {
		if maps.Equal(r.versions, latest) && r.since.Before(since) {
			since = r.since
		}
	}
	return latest, since, pods
}

// uniform says whether all pods hold the same.
func uniform(all []reading) bool {
	return len(all) > 0 && !slices.ContainsFunc(all, func(r reading) bool { return !maps.Equal(r.versions, all[0].versions) })
}

// triedAgain says whether the pods of a failed rollout hold another value than the
// one that it failed with.
func (w *workload) triedAgain(s source) bool {
	var latest *reading
	for i, r := range w.readings[s] {
		if latest == nil || r.since.After(latest.since) {
			latest = &w.readings[s][i]
		}
	}
	return latest != nil && latest.versions.digest() != w.record.Rollout.For[s.String()]
}

// decide says for each workload what is to be done now. It is the whole logic:
// whatever it knows is in its arguments, and whatever it wants is in what it returns.
// The workloads' records are afterwards as if all that is no rollout had been written.
// served is when a namespace last had a turn.
func decide(now time.Time, l limits, served map[string]time.Time, all []*workload) []verdict {
	now = now.UTC().Truncate(time.Second)
	verdicts := make([]verdict, len(all))
	needs := make([]need, len(all))
	var queue []int
	inNamespace, inCluster := map[string]int{}, 0
	for i, w := range all {
		v := &verdicts[i]
		if len(w.problems) > 0 {
			v.event, v.warning = eventInvalid, true
			v.note = "is not restarted on change until its annotations are right: " + strings.Join(w.problems, "; ")
			continue
		}
		needs[i] = w.need()
		next := w.record.clone()
		next.Versions = needs[i].recorded
		w.follow(now, next, v)
		if w.record == nil && len(next.Versions) > 0 || w.record != nil && next.text() != w.record.text() {
			v.write = next
		}
		w.record = next
		if next.Rollout.running() {
			inNamespace[w.namespace]++
		}
		if now.Before(w.retry) {
			*v = verdict{until: w.retry}
		}
		if len(needs[i].changes) > 0 {
			queue = append(queue, i)
		}
	}
	for _, running := range inNamespace {
		// People write what they want into the records of their workloads.
		inCluster += min(running, l.inNamespace)
	}
	blocked := blocked(now, l, all)
	slices.SortFunc(queue, func(a, b int) int {
		return cmp.Or(needs[a].since.Compare(needs[b].since), cmp.Compare(all[a].String(), all[b].String()))
	})
	wait := func(i int, reason, note string, until time.Time) {
		v := &verdicts[i]
		v.waits, v.until, v.changes = reason, until, needs[i].changes
		if note != "" && v.event == "" {
			v.event, v.note = eventWaiting, "waits "+note+" before it is restarted: "+list(v.changes)
		}
	}
	queue = slices.DeleteFunc(queue, func(i int) bool {
		reason, note, until := all[i].waits(now, l, needs[i], blocked)
		if reason != "" {
			wait(i, reason, note, until)
		}
		return reason != ""
	})
	for _, i := range inTurn(queue, all, served) {
		w, v, n := all[i], &verdicts[i], needs[i]
		switch {
		case w.rollout.byHand != "":
		case inNamespace[w.namespace] >= l.inNamespace:
			wait(i, waitsForBudget, fmt.Sprintf("for one of the %d rollouts in its namespace to end", l.inNamespace), time.Time{})
			continue
		case inCluster >= l.inCluster:
			wait(i, waitsForBudget, fmt.Sprintf("for one of the %d rollouts in the cluster to end", l.inCluster), time.Time{})
			continue
		}
		next := w.record.clone()
		maps.Copy(next.Versions, n.target)
		v.write, v.changes, v.moved = next, n.changes, n.moved
		if w.rollout.byHand != "" {
			v.event, v.warning, v.note = eventByHand, true, fmt.Sprintf("cannot be restarted, because %s: %s", w.rollout.byHand, list(n.changes))
			continue
		}
		inCluster++
		inNamespace[w.namespace]++
		next.Rollout = &rollout{At: now, For: map[string]string{}, Short: w.rollout.missing}
		for s, target := range n.target {
			next.Rollout.For[s] = target.digest()
		}
		v.start, v.event, v.warning, v.note = true, eventStarted, false, "is restarted: "+list(n.changes)
	}
	return verdicts
}

// inTurn has namespaces take turns: first that whose last turn is longest ago, and of
// each the workload that has waited longest, as the queue has them. Nothing that is
// written in a namespace says when its last turn was.
func inTurn(queue []int, all []*workload, served map[string]time.Time) []int {
	var namespaces []string
	of := map[string][]int{}
	for _, i := range queue {
		namespace := all[i].namespace
		if of[namespace] == nil {
			namespaces = append(namespaces, namespace)
		}
		of[namespace] = append(of[namespace], i)
	}
	slices.SortStableFunc(namespaces, func(a, b string) int { return served[a].Compare(served[b]) })
	ordered := make([]int, 0, len(queue))
	for round := 0; len(namespaces) > 0; round++ {
		namespaces = slices.DeleteFunc(namespaces, func(namespace string) bool { return round == len(of[namespace]) })
		for _, namespace := range namespaces {
			ordered = append(ordered, of[namespace][round])
		}
	}
	return ordered
}

// follow notes how a rollout that was begun goes on.
func (w *workload) follow(now time.Time, next *record, v *verdict) {
	last := next.Rollout
	switch {
	case last == nil || last.Ready:
	case w.rollout.ready:
		last.Ready = true
		if last.Failed == nil {
			v.result = resultReady
		}
		v.event, v.note = eventReady, "is ready after its restart"
	case last.Failed != nil:
	case w.rollout.stuck || !now.Before(w.rollout.since.Add(w.rollout.limit)):
		last.Failed, v.result = &now, resultFailed
		v.event, v.warning = eventFailed, true
		v.note = fmt.Sprintf("did not get ready after its restart for %s; other workloads are not restarted for that until it is ready, or the value changes again",
			strings.Join(slices.Sorted(maps.Keys(last.For)), ", "))
	default:
		v.until = w.rollout.since.Add(w.rollout.limit)
	}
}

// sourceIn is a source in its namespace.
type sourceIn struct{ namespace, source string }

// blocked are the sources that nothing is rolled out for, with the workload whose
// rollout failed. A failed rollout holds up others until it is ready and the pause
// is over, or the value changed again.
func blocked(now time.Time, l limits, all []*workload) map[sourceIn]*workload {
	held := map[sourceIn]*workload{}
	for _, w := range all {
		if len(w.problems) > 0 || w.record.Rollout == nil || w.record.Rollout.Failed == nil {
			continue
		}
		last := w.record.Rollout
		if last.Ready && !now.Before(last.Failed.Add(l.pause)) {
			continue
		}
		for s := range w.readings {
			at := sourceIn{w.namespace, s.String()}
			if last.For[s.String()] != "" && !w.triedAgain(s) && held[at] == nil {
				held[at] = w
			}
		}
	}
	return held
}

// waits says why a workload cannot be rolled out now, the budget aside. People are
// told in the note, unless it is a matter of moments.
func (w *workload) waits(now time.Time, l limits, n need, blocked map[sourceIn]*workload) (reason, note string, until time.Time) {
	last := w.record.Rollout
	open := l.window
	if w.policy.window != nil {
		open = *w.policy.window
	}
	if until = n.since.Add(w.policy.after); now.Before(until) {
		return waitsForAfter, "", until
	}
	if now.Before(w.retry) {
		return waitsForRetry, "", w.retry
	}
	if w.rollout.byHand != "" {
		return "", "", time.Time{}
	}
	if w.rollout.paused {
		return waitsForPaused, "to be resumed (its rollout is paused)", time.Time{}
	}
	if !w.rollout.settled && !last.failing() || last.running() {
		return waitsForRollout, "for its rollout in progress to end", time.Time{}
	}
	if last != nil && now.Before(last.At.Add(w.policy.period)) {
		return waitsForPeriod, "", last.At.Add(w.policy.period)
	}
	if !open.open(now) {
		return waitsForWindow, fmt.Sprintf("for its window (%s)", message.Printable(open.text)), time.Time{}
	}
	for _, s := range slices.Sorted(maps.Keys(n.target)) {
		if other := blocked[sourceIn{w.namespace, s}]; other != nil && other != w {
			return waitsForFailed, fmt.Sprintf("because the restart of %s for %s did not get ready; fix that, or change the value again,", other, s), time.Time{}
		}
	}
	return "", "", time.Time{}
}

// maxList leaves room for a sentence in an event's note, which may have 1024 bytes.
const maxList = 700

// list tells of changes.
func list(all []change) string { return message.Cut(message.Names(all, change.String), maxList) }

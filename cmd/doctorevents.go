package cmd

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/lanyardhq/lanyard/internal/message"
)

// doctorEvent is what is looked at of an event.
type doctorEvent struct {
	Metadata doctorMeta `json:"metadata"`
	Message  string     `json:"message"`
	Involved doctorMeta `json:"involvedObject"`
	Last     string     `json:"lastTimestamp"`
	Time     string     `json:"eventTime"`
	Count    int64      `json:"count"`
}

// waitingPod is a pod that waits, by its newest event.
type waitingPod struct {
	doctorEvent
	unread error // why the pod could not be looked at
}

// newest is when the event was seen last, as times of Kubernetes sort.
func (e *doctorEvent) newest() string { return max(e.Last, e.Time) }

// isOfPod says that the event is of a pod of its own namespace: API servers take no other,
// and names that no pod can have are nobody's.
func (e *doctorEvent) isOfPod() bool {
	return e.Involved.Kind == "Pod" && e.Involved.Namespace == e.Metadata.Namespace &&
		len(validation.IsDNS1123Label(e.Involved.Namespace)) == 0 && len(validation.IsDNS1123Subdomain(e.Involved.Name)) == 0
}

// maxDoctorPods is how many pods that do not mount are looked at.
const maxDoctorPods = 200

// waitingPods are the newest events of pods that wait, and how many pods were not looked at.
type waitingPods struct {
	pods      []waitingPod
	unlooked  int
	elsewhere []string // the namespaces of those
}

// newestEvents are the newest event of each pod, those of a namespace with the newest
// first.
func newestEvents(items []unstructured.Unstructured) map[string][]doctorEvent {
	byPod := map[string]doctorEvent{}
	for i := range items {
		var event doctorEvent
		if runtime.DefaultUnstructuredConverter.FromUnstructured(items[i].Object, &event) != nil || !event.isOfPod() {
			continue
		}
		pod := event.Involved.Namespace + "/" + event.Involved.Name
		if before, ok := byPod[pod]; !ok || before.newest() < event.newest() {
			byPod[pod] = event
		}
	}
	byNamespace := map[string][]doctorEvent{}
	for _, pod := range slices.Sorted(maps.Keys(byPod)) {
		event := byPod[pod]
		byNamespace[event.Involved.Namespace] = append(byNamespace[event.Involved.Namespace], event)
	}
	for _, events := range byNamespace {
		slices.SortStableFunc(events, func(a, b doctorEvent) int { return strings.Compare(b.newest(), a.newest()) })
	}
	return byNamespace
}

// takeTurns chooses up to most events: the newest of each namespace, then the next of each,
// so that none hides another's.
func takeTurns(byNamespace map[string][]doctorEvent, limit int) (chosen []doctorEvent, unlooked int, elsewhere []string) {
	namespaces := slices.Sorted(maps.Keys(byNamespace))
	for turn, more := 0, true; more; turn++ {
		more = false
		for _, namespace := range namespaces {
			if turn >= len(byNamespace[namespace]) {
				continue
			}
			more = true
			if len(chosen) < limit {
				chosen = append(chosen, byNamespace[namespace][turn])
				continue
			}
			unlooked++
			if !slices.Contains(elsewhere, namespace) {
				elsewhere = append(elsewhere, namespace)
			}
		}
	}
	return chosen, unlooked, elsewhere
}

// findWaiting leaves of the events those of pods that are there, and that mount a class of
// a release.
func (r *clusterReader) findWaiting(ctx context.Context, c *doctorCluster) {
	if c.lists["events"] == nil {
		return
	}
	var chosen []doctorEvent
	chosen, c.waiting.unlooked, c.waiting.elsewhere = takeTurns(newestEvents(c.lists["events"].items), maxDoctorPods)
	var (
		mu    sync.Mutex
		group errgroup.Group
	)
	group.SetLimit(doctorAtOnce)
	for _, event := range chosen {
		group.Go(func() error {
			own, err := r.mountsOwn(ctx, c, event.Involved.Namespace, event.Involved.Name)
			if !own && err == nil {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			c.waiting.pods = append(c.waiting.pods, waitingPod{event, err})
			return nil
		})
	}
	_ = group.Wait() //nolint:errcheck // nothing returns one
	slices.SortFunc(c.waiting.pods, func(a, b waitingPod) int {
		return strings.Compare(a.Involved.Namespace+"/"+a.Involved.Name, b.Involved.Namespace+"/"+b.Involved.Name)
	})
}

// mountsOwn says whether a pod is there, does not run, and mounts a class of a release.
func (r *clusterReader) mountsOwn(ctx context.Context, c *doctorCluster, namespace, name string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, r.within)
	defer cancel()
	object, err := r.objects.Resource(podResource).Namespace(namespace).Get(ctx, name, meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var pod doctorPod
	if runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &pod) != nil || pod.Status.Phase != "Pending" {
		return false, nil
	}
	for _, volume := range pod.Spec.Volumes {
		if volume.CSI != nil && volume.CSI.Driver == driverName {
			own, known := c.ownClass(namespace, volume.CSI.Attributes["secretProviderClass"])
			return own || !known, nil // that there is no such class is what is wrong
		}
	}
	// A part of Lanyard itself whose Secret or ConfigMap is missing.
	return slices.ContainsFunc(c.releases, func(of *doctorRelease) bool { return of.provider.Metadata.Namespace == namespace }), nil
}

// ownClass says whether a class is of a release's, and whether there is such a class.
func (c *doctorCluster) ownClass(namespace, name string) (own, known bool) {
	provider, known := c.classes()[namespace+"/"+name]
	return known && slices.ContainsFunc(c.releases, func(of *doctorRelease) bool { return slices.Contains(of.dialects, provider) }), known
}

func (c *doctorCluster) checkPods(_ context.Context, n *doctorNotes) {
	if !c.needs(n, "events") {
		return
	}
	for _, event := range c.waiting.pods {
		namespace, name := event.Involved.Namespace, event.Involved.Name
		place, fix := "pod "+namespace+"/"+name, fixWith("kubectl describe pod %s -n %s", name, namespace)
		if event.unread != nil {
			n.unknown(place, fix, "whether it waits is not known (%v); its last event says: %s", event.unread, mountCause(event.Message))
			continue
		}
		n.fail(place, fix, "%s", mountCause(event.Message))
	}
	switch {
	case c.waiting.unlooked > 0:
		n.unknown("", fixWith("kubectl get events -A --field-selector reason=FailedMount"), "not looked at: %s with failed mounts, in namespaces %s",
			count(c.waiting.unlooked, "further pod"), message.Names(c.waiting.elsewhere, message.Printable))
	case len(c.waiting.pods) == 0:
		n.ok("", "no pod waits for its secrets")
	}
}

// mountCause is an event's text without what the kubelet and the driver say before the
// provider's own.
func mountCause(text string) string {
	if at := strings.LastIndex(text, " desc = "); at >= 0 {
		return text[at+len(" desc = "):]
	}
	return text
}

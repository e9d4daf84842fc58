package restart

import (
	"fmt"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanyardhq/lanyard/server/sync/restart"
)

// quiet is how long nothing has to happen where nothing should: several passes of the
// controller.
const quiet = 5 * time.Second

func TestOneChangeIsOneRolloutOfEachKindAndNothingElseIs(t *testing.T) {
	t.Parallel()
	b := newBench(t, restart.Options{})
	b.workload("Deployment", "deployment", 3, nil)
	b.workload("StatefulSet", "statefulset", 2, nil)
	b.workload("DaemonSet", "daemonset", 0, nil)
	b.wantTemplates(1, 3)

	b.set("key", "new", true)
	b.polled()
	b.wantTemplates(2, 3)
	for name, notes := range b.events("RestartStarted") {
		if strings.Count(notes, "\n") != 1 || !strings.Contains(notes, "is restarted: class web: db/password changed from version ") {
			t.Errorf("%s: %q", name, notes)
		}
	}
	if n := len(b.events("RestartStarted")); n != 3 {
		t.Errorf("%d workloads have an event", n)
	}
	b.eventually("events of what is ready", func() string {
		if n := len(b.events("RestartReady")); n != 3 {
			return fmt.Sprint(n)
		}
		return ""
	})

	// A provider that was restarted shows the same versions; one with another key, all
	// others. A node more has pods more. The controller itself is restarted too.
	b.stop()
	b.set("another key", "new", true)
	b.must(b.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "three"}}))
	b.start(restart.Options{})
	b.polled()
	time.Sleep(quiet)
	b.wantTemplates(2, 3)

	// After that a change counts as before, also one that nobody saw happen.
	b.stop()
	b.set("another key", "newer", true)
	b.polled()
	b.start(restart.Options{})
	b.wantTemplates(3, 3)
	time.Sleep(quiet)
	b.wantTemplates(3, 3)
}

func TestPodsThatStartWithTheNewValueAreNotRestarted(t *testing.T) {
	t.Parallel()
	b := newBench(t, restart.Options{})
	b.workload("Deployment", "web", 2, nil)
	b.wantTemplates(1, 1)
	// All pods are replaced before one of them polls.
	b.set("key", "new", false)
	b.must(b.DeleteAllOf(t.Context(), &corev1.Pod{}, inNamespace))
	b.polled()
	b.set("key", "new", true)
	time.Sleep(quiet)
	b.wantTemplates(1, 1)
}

func TestFiftyWorkloadsRollOutWithinTheBudget(t *testing.T) {
	t.Parallel()
	const budget = 5
	b := newBench(t, restart.Options{MaxInNamespace: budget})
	for i := range 50 {
		b.workload("Deployment", fmt.Sprintf("web-%02d", i), 1, map[string]string{"lanyard.dev/restart-after": "0s"})
	}
	b.wantTemplates(1, 50)
	b.set("key", "new", true)
	most := 0
	b.eventually("all rolled out", func() string {
		most = max(most, b.gauge("lanyard_restart_running"))
		for name, n := range b.templates() {
			if n != 2 {
				return name
			}
		}
		return ""
	})
	b.wantTemplates(2, 50)
	if most > budget || most < 2 {
		t.Errorf("up to %d rollouts were seen at once, want %d at most", most, budget)
	}
}

func TestABadValueStopsTheOthersAndSaysSo(t *testing.T) {
	t.Parallel()
	b := newBench(t, restart.Options{MaxInNamespace: 2, ReadyTimeout: 5 * time.Second, PauseAfterFailure: time.Second})
	b.deadline = 5
	const workloads, budget = 6, 2
	for i := range workloads {
		b.workload("Deployment", fmt.Sprintf("web-%d", i), 1, nil)
	}
	b.wantTemplates(1, workloads)
	b.set("key", "bad", true)
	b.eventually("both failed", func() string {
		if failing := b.gauge("lanyard_restart_failing"); failing != budget {
			return fmt.Sprintf("%d failing, %v", failing, b.events("RestartFailed"))
		}
		return ""
	})
	b.polled()
	b.eventually("the others say why they wait", func() string {
		waiting := 0
		for _, notes := range b.events("RestartWaiting") {
			if strings.Contains(notes, "did not get ready") {
				waiting++
			}
		}
		if waiting != workloads-budget {
			return fmt.Sprint(b.events("RestartWaiting"))
		}
		return ""
	})
	time.Sleep(quiet)
	touched := 0
	for _, n := range b.templates() {
		touched += n - 1
	}
	if touched != budget || len(b.events("RestartFailed")) != budget {
		t.Errorf("%d workloads were rolled out, %v", touched, b.events("RestartFailed"))
	}
	// The value is fixed.
	b.set("key", "good", true)
	b.eventually("all are ready with the good value", func() string {
		for name, n := range b.templates() {
			if n < 2 {
				return name
			}
		}
		return b.unsettled()
	})
}

func TestASyncedSecretRestartsWhoUsesItWithoutARightToReadIt(t *testing.T) {
	t.Parallel()
	b := newBench(t, restart.Options{})
	b.workload("Deployment", "web", 1, map[string]string{"lanyard.dev/restart-on": "off"})
	b.workload("Deployment", "named", 1, map[string]string{"secret.reloader.stakater.com/reload": "db"})
	b.secrets.Set(namespace, "db", map[string]string{"password": version("key", "old")}, time.Now().Add(-time.Hour))
	b.eventually("recorded", func() string {
		if record := b.annotation("named", "lanyard.dev/restart-record"); !strings.Contains(record, "secret db") {
			return "it has " + record
		}
		return ""
	})
	b.running()
	b.secrets.Set(namespace, "db", map[string]string{"password": version("key", "new")}, time.Time{})
	b.eventually("rolled out", func() string {
		if b.templates()["named"] != 2 {
			return fmt.Sprint(b.templates())
		}
		return ""
	})
	if b.templates()["web"] != 1 {
		t.Error("a workload that is off was rolled out")
	}
	for _, verb := range []string{"get", "list", "watch", "patch"} {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: verb, Resource: "secrets"},
		}}
		b.must(b.Create(t.Context(), review))
		if review.Status.Allowed {
			t.Errorf("the controller may %s Secrets", verb)
		}
	}
}

func TestWithoutTheDriverSyncedSecretsStillCount(t *testing.T) {
	t.Parallel()
	b, _ := newPlane(t)
	b.start(restart.Options{})
	b.workload("Deployment", "web", 1, map[string]string{"secret.reloader.stakater.com/reload": "db"})
	b.secrets.Set(namespace, "db", map[string]string{"password": version("key", "old")}, time.Now().Add(-time.Hour))
	b.eventually("recorded", func() string {
		if record := b.annotation("web", "lanyard.dev/restart-record"); !strings.Contains(record, "secret db") {
			return "it has " + record
		}
		return ""
	})
}

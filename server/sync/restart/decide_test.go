package restart

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

var (
	noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	web  = source{kindClass, "web"}
	all  = limits{inCluster: 10, inNamespace: 3, pause: 10 * time.Minute}
)

// value is what a pod holds of the class web.
func value(v string) versions { return versions{"password": keyedVersion("key", v)} }

// held is a reading of a pod that got a value in the given time before noon while it
// ran; startedWith is one of a pod that started with it.
func held(v string, ago time.Duration) reading {
	return reading{types.UID(fmt.Sprint(v, ago)), "", web, value(v), noon.Add(-ago), false}
}

func startedWith(v string, ago time.Duration) reading {
	r := held(v, ago)
	r.fresh = true
	return r
}

// aWorkload is a Deployment that is settled and was recorded with a value.
func aWorkload(name, recorded string, of ...reading) *workload {
	w := &workload{object: object{"Deployment", "shop", name, types.UID(name)}, readings: map[source][]reading{web: of}}
	w.policy, _ = parsePolicy(map[string]string{onAnnotation: "change"})
	w.rollout = progress{settled: true, ready: true, since: noon, limit: 10 * time.Minute}
	if recorded != "" {
		w.record = &record{Versions: map[string]versions{web.String(): value(recorded)}}
	}
	return w
}

// rolling is a workload whose rollout for a value began some time before noon.
func rolling(name, target string, ago time.Duration, of ...reading) *workload {
	w := aWorkload(name, target, of...)
	w.record.Rollout = &rollout{At: noon.Add(-ago), For: map[string]string{web.String(): value(target).digest()}}
	w.rollout.settled, w.rollout.ready, w.rollout.since = false, false, noon.Add(-ago)
	return w
}

func failed(w *workload, ago time.Duration) *workload {
	at := noon.Add(-ago)
	w.record.Rollout.Failed = &at
	return w
}

func ready(w *workload) *workload {
	w.rollout.settled, w.rollout.ready = true, true
	return w
}

// with is a workload after a change.
func with(w *workload, change func(*workload)) *workload {
	change(w)
	return w
}

const minute = time.Minute

func TestWhatIsDecidedForAWorkload(t *testing.T) {
	moved := func(name string) *workload { return aWorkload(name, "old", held("new", minute)) }
	for name, test := range map[string]struct {
		all    []*workload // the first is judged
		limits *limits
		start  bool
		writes string // the value that is recorded, empty if nothing is written
		waits  string
		event  string // what the event begins with, and a part of it
		note   string
	}{
		"a pod's value moved":                 {all: []*workload{moved("a")}, start: true, writes: "new", event: eventStarted, note: "class web: password changed from version " + digest("key", "old")[:12] + " to " + digest("key", "new")[:12]},
		"first seen":                          {all: []*workload{aWorkload("a", "", held("old", minute))}, writes: "old"},
		"first seen without pods":             {all: []*workload{aWorkload("a", "")}},
		"first seen while a change is coming": {all: []*workload{aWorkload("a", "", startedWith("old", time.Hour), held("new", minute))}, start: true, writes: "new", event: eventStarted},
		"nothing moved, provider restarted":   {all: []*workload{aWorkload("a", "old", held("old", minute), startedWith("old", time.Hour))}},
		"a new node's pod":                    {all: []*workload{aWorkload("a", "old", startedWith("old", time.Hour), startedWith("old", 0))}},
		"scaled to zero":                      {all: []*workload{aWorkload("a", "old")}},
		"all pods started with the new value": {all: []*workload{aWorkload("a", "old", startedWith("new", minute), startedWith("new", 0))}, writes: "new"},
		"one pod started with the new value":  {all: []*workload{aWorkload("a", "old", held("old", time.Hour), startedWith("new", 0))}},
		"some pods have moved, others not":    {all: []*workload{aWorkload("a", "old", held("old", time.Hour), held("new", minute))}, start: true, writes: "new", event: eventStarted},
		"the newest of two values":            {all: []*workload{aWorkload("a", "old", held("new", 2*minute), held("newer", minute))}, start: true, writes: "newer", event: eventStarted},
		"the value came back":                 {all: []*workload{aWorkload("a", "old", held("old", minute))}},
		"another key of versions": {all: []*workload{with(aWorkload("a", "old", held("old", minute)), func(w *workload) {
			w.readings[web][0].versions = versions{"password": keyedVersion("another", "old")}
		})}, writes: "other"},
		"another key on one node": {all: []*workload{with(aWorkload("a", "old", held("old", minute), held("old", minute)), func(w *workload) {
			w.readings[web][0].versions = versions{"password": keyedVersion("another", "old")}
		})}},
		"not watched any more": {all: []*workload{with(moved("a"), func(w *workload) { w.readings = nil })}, writes: "none"},
		"wrong annotations":    {all: []*workload{with(moved("a"), func(w *workload) { w.problems = []string{"one", "two"} })}, event: eventInvalid, note: "one; two"},

		"debounced":                 {all: []*workload{aWorkload("a", "old", held("new", 29*time.Second))}, waits: waitsForAfter},
		"from the first pod's move": {all: []*workload{aWorkload("a", "old", held("new", minute), held("new", time.Second))}, start: true, writes: "new", event: eventStarted},
		"not debounced":             {all: []*workload{with(aWorkload("a", "old", held("new", 0)), func(w *workload) { w.policy.after = 0 })}, start: true, writes: "new", event: eventStarted},
		"paused":                    {all: []*workload{with(moved("a"), func(w *workload) { w.rollout.paused = true })}, waits: waitsForPaused, event: eventWaiting, note: "paused"},
		"its own rollout":           {all: []*workload{with(moved("a"), func(w *workload) { w.rollout.settled = false })}, waits: waitsForRollout, event: eventWaiting},
		"OnDelete":                  {all: []*workload{with(moved("a"), func(w *workload) { w.rollout.byHand = onDelete })}, writes: "new", event: eventByHand, note: "delete its pods"},
		"the operator's window":     {all: []*workload{moved("a")}, limits: &limits{10, 3, minute, mustWindow("02:00-04:00")}, waits: waitsForWindow, event: eventWaiting, note: "02:00-04:00"},
		"in the operator's window":  {all: []*workload{moved("a")}, limits: &limits{10, 3, minute, mustWindow("11:00-13:00")}, start: true, writes: "new", event: eventStarted},
		"its own window":            {all: []*workload{with(moved("a"), func(w *workload) { o := mustWindow("11:00-13:00"); w.policy.window = &o })}, limits: &limits{10, 3, minute, mustWindow("02:00-04:00")}, start: true, writes: "new", event: eventStarted},
		"Reloader's period": {all: []*workload{with(ready(rolling("a", "old", 4*minute, held("new", minute))), func(w *workload) { w.policy.period = 5 * minute })},
			waits: waitsForPeriod, writes: "old", event: eventReady},

		"its rollout goes on":          {all: []*workload{rolling("a", "new", minute, startedWith("new", 0))}},
		"moved again while it goes on": {all: []*workload{rolling("a", "new", minute, held("newer", 45*time.Second))}, waits: waitsForRollout, event: eventWaiting},
		"it is ready":                  {all: []*workload{ready(rolling("a", "new", minute, startedWith("new", 0)))}, writes: "new", event: eventReady},
		"it is late":                   {all: []*workload{rolling("a", "new", 10*minute, startedWith("new", 0))}, writes: "new", event: eventFailed, note: "class web"},
		"it is stuck":                  {all: []*workload{with(rolling("a", "new", minute), func(w *workload) { w.rollout.stuck = true })}, writes: "new", event: eventFailed},
		"it failed before":             {all: []*workload{failed(rolling("a", "new", 20*minute), 10*minute)}},
		"it failed, and is ready":      {all: []*workload{ready(failed(rolling("a", "new", 20*minute), 10*minute))}, writes: "new", event: eventReady},
		"it failed, and moved again":   {all: []*workload{failed(rolling("a", "new", 20*minute, held("newer", minute)), 10*minute)}, start: true, writes: "newer", event: eventStarted},

		"another failed":               {all: []*workload{moved("a"), failed(rolling("b", "new", 20*minute, startedWith("new", 20*minute)), minute)}, waits: waitsForFailed, event: eventWaiting, note: "Deployment shop/b for class web"},
		"another fails now":            {all: []*workload{moved("a"), rolling("b", "new", 10*minute, startedWith("new", 10*minute))}, waits: waitsForFailed, event: eventWaiting},
		"another failed without pods":  {all: []*workload{moved("a"), failed(rolling("b", "new", 20*minute), 15*minute)}, waits: waitsForFailed, event: eventWaiting},
		"failed, ready, in the pause":  {all: []*workload{moved("a"), ready(failed(rolling("b", "new", 20*minute, startedWith("new", 20*minute)), 9*minute))}, waits: waitsForFailed, event: eventWaiting},
		"failed, ready, after it":      {all: []*workload{moved("a"), ready(failed(rolling("b", "new", 20*minute, startedWith("new", 20*minute)), 10*minute))}, start: true, writes: "new", event: eventStarted},
		"failed with an earlier value": {all: []*workload{moved("a"), failed(rolling("b", "bad", 20*minute, held("new", minute)), minute)}, start: true, writes: "new", event: eventStarted},
		"failed for another class": {all: []*workload{moved("a"), with(failed(rolling("b", "new", 20*minute), minute), func(w *workload) {
			w.record.Rollout.For = map[string]string{"class db": "x"}
		})}, start: true, writes: "new", event: eventStarted},
		"failed in another namespace": {all: []*workload{moved("a"), with(failed(rolling("b", "new", 20*minute), minute), func(w *workload) { w.namespace = "other" })},
			start: true, writes: "new", event: eventStarted},

		"the namespace's budget": {all: []*workload{moved("z"), rolling("a", "x", minute), rolling("b", "x", minute), rolling("c", "x", minute)}, waits: waitsForBudget, event: eventWaiting, note: "3 rollouts in its namespace"},
		"the cluster's budget": {all: []*workload{moved("z"), with(rolling("a", "x", minute), func(w *workload) { w.namespace = "other" })},
			limits: &limits{1, 1, minute, window{}}, waits: waitsForBudget, event: eventWaiting, note: "1 rollouts in the cluster"},
		"failed ones take no place":  {all: []*workload{moved("z"), with(failed(rolling("a", "x", time.Hour), minute), func(w *workload) { w.record.Rollout.For = nil })}, limits: &limits{1, 1, minute, window{}}, start: true, writes: "new", event: eventStarted},
		"who waits longest is first": {all: []*workload{moved("a"), aWorkload("b", "old", held("new", 2*minute))}, limits: &limits{1, 1, minute, window{}}, waits: waitsForBudget, event: eventWaiting},
	} {
		t.Run(name, func(t *testing.T) {
			l := all
			if test.limits != nil {
				l = *test.limits
			}
			v := decide(noon, l, nil, test.all)[0]
			if v.start != test.start || v.waits != test.waits || v.event != test.event || !strings.Contains(v.note, test.note) {
				t.Errorf("start %t, waits %q, event %q: %q", v.start, v.waits, v.event, v.note)
			}
			if v.warning != (v.event == eventFailed || v.event == eventInvalid || v.event == eventByHand) {
				t.Errorf("%s is a warning: %t", v.event, v.warning)
			}
			recorded := ""
			if v.write != nil {
				recorded = "none"
				if of := v.write.Versions[web.String()]; of != nil {
					recorded = "other"
					for _, known := range []string{"old", "new", "newer"} {
						if of.digest() == value(known).digest() {
							recorded = known
						}
					}
				}
			}
			if recorded != test.writes {
				t.Errorf("records %q, want %q", recorded, test.writes)
			}
			if v.start != (v.write != nil && v.write.Rollout.running() && v.write.Rollout.At.Equal(noon)) {
				t.Errorf("the record does not tell of the rollout: %s", v.write.text())
			}
		})
	}
}

func mustWindow(text string) window {
	w, err := parseWindow(text)
	if err != nil {
		panic(err)
	}
	return w
}

func TestSeveralChangesAreOneRollout(t *testing.T) {
	w := aWorkload("a", "old", held("new", minute))
	db := source{kindSecret, "db"}
	w.readings[db] = []reading{held("new", 40*time.Second)}
	w.record.Versions[db.String()] = value("old")
	v := decide(noon, all, nil, []*workload{w})[0]
	if !v.start || len(v.changes) != 2 || len(v.write.Rollout.For) != 2 || !strings.Contains(v.write.Rollout.text(), "2026-11-28T12:00:00Z: class web ") {
		t.Errorf("%+v", v)
	}
	w.record = v.write
	if again := decide(noon, all, nil, []*workload{w})[0]; again.start || again.waits != "" {
		t.Error("the same change begins a rollout again")
	}
}

// fleet is workloads of one class in two namespaces whose rollouts take three steps.
type fleet struct {
	all     []*workload
	left    map[*workload]int
	started map[*workload]int
	bad     map[*workload]bool // whose pods do not get ready with the value "bad"
}

// step decides and does what was decided, ten seconds later each time.
func (f *fleet) step(t *testing.T, now time.Time) {
	t.Helper()
	for i, v := range decide(now, all, nil, f.all) {
		w := f.all[i]
		if v.write != nil {
			w.record = v.write
		}
		if v.start {
			f.started[w]++
			f.left[w] = 3
			w.rollout.settled, w.rollout.ready, w.rollout.since = false, false, now
			r := startedWith("", 0)
			r.versions, r.since = v.write.Versions[web.String()], now
			w.readings[web] = []reading{r}
			continue
		}
		if f.left[w] > 0 {
			f.left[w]--
			if f.left[w] == 0 && (!f.bad[w] || w.readings[web][0].versions.digest() != value("bad").digest()) {
				w.rollout.settled, w.rollout.ready = true, true
			}
		}
	}
	running := map[string]int{}
	for _, w := range f.all {
		if w.record != nil && w.record.Rollout.running() {
			running[w.namespace]++
			running[""]++
		}
	}
	for namespace, n := range running {
		if most := map[bool]int{true: all.inCluster, false: all.inNamespace}[namespace == ""]; n > most {
			t.Fatalf("%d rollouts at once in %q", n, namespace)
		}
	}
}

// move gives every pod a value, each a second after the one before.
func (f *fleet) move(v string, at time.Time) {
	for i, w := range f.all {
		w.readings[web] = []reading{{types.UID(w.name), w.name, web, value(v), at.Add(time.Duration(i) * time.Second), false}}
	}
}

func newFleet(namespaces int) *fleet {
	f := &fleet{left: map[*workload]int{}, started: map[*workload]int{}, bad: map[*workload]bool{}}
	for i := range 50 {
		w := aWorkload(fmt.Sprintf("w%02d", i), "old")
		w.namespace = fmt.Sprint("shop-", i%namespaces)
		f.all = append(f.all, w)
	}
	return f
}

func TestFiftyWorkloadsOfOneClassRollOutOnceWithinTheBudget(t *testing.T) {
	for _, namespaces := range []int{1, 2, 5} {
		f := newFleet(namespaces)
		f.move("new", noon)
		for i := range 200 {
			f.step(t, noon.Add(time.Duration(i)*10*time.Second))
		}
		for _, w := range f.all {
			if f.started[w] != 1 || !w.record.Rollout.Ready {
				t.Errorf("%d namespaces: %s rolled out %d times, %s", namespaces, w.name, f.started[w], w.record.text())
			}
		}
	}
}

func TestABadValueStopsTheOthersUntilItIsMended(t *testing.T) {
	f := newFleet(1)
	for _, w := range f.all {
		f.bad[w] = true
	}
	f.move("bad", noon)
	now := noon
	run := func(d time.Duration) {
		for end := now.Add(d); now.Before(end); now = now.Add(10 * time.Second) {
			f.step(t, now)
		}
	}
	run(3 * time.Hour)
	started := 0
	for _, w := range f.all {
		started += f.started[w]
	}
	if started != all.inNamespace {
		t.Fatalf("%d workloads were rolled out for a value that none gets ready with", started)
	}
	f.move("good", now)
	run(2 * time.Hour)
	for _, w := range f.all {
		if n := f.started[w]; n < 1 || n > 2 || !w.record.Rollout.Ready {
			t.Errorf("%s rolled out %d times, %s", w.name, n, w.record.text())
		}
	}
}

func TestWorkloadsAreDecidedForInOneOrder(t *testing.T) {
	a, b := aWorkload("a", "old", held("new", minute)), aWorkload("b", "old", held("new", minute))
	one := limits{1, 1, minute, window{}}
	first, second := decide(noon, one, nil, []*workload{a, b}), decide(noon, one, nil, []*workload{b, a})
	if !first[0].start || first[1].start || second[0].start || !second[1].start || cmp.Or(first[1].waits, second[0].waits) != waitsForBudget {
		t.Errorf("%+v, %+v", first, second)
	}
}

// in is a workload of a namespace whose pod's value moved some time ago.
func in(namespace, name string, ago time.Duration) *workload {
	return with(aWorkload(name, "old", held("new", ago)), func(w *workload) { w.namespace = namespace })
}

// People write what they want into the annotations of their workloads.
func TestForgedRecordsTakeTheBudgetOfTheirOwnNamespaceOnly(t *testing.T) {
	forged := make([]*workload, 0, 103)
	for i := range 100 {
		forged = append(forged, with(rolling(fmt.Sprint("forged-", i), "x", 0), func(w *workload) { w.namespace = "evil" }))
	}
	verdicts := decide(noon, all, nil, append(forged, in("shop", "a", minute), in("evil", "b", time.Hour), in("shop", "c", minute)))
	for i, starts := range []bool{true, false, true} {
		if v := verdicts[100+i]; v.start != starts {
			t.Errorf("%d: start %t, waits %q: %s", i, v.start, v.waits, v.note)
		}
	}
}

func TestNamespacesTakeTurns(t *testing.T) {
	var crowd []*workload
	for i := range 100 {
		crowd = append(crowd, in("crowd", fmt.Sprintf("w%02d", i), time.Hour))
	}
	started := func(l limits, served map[string]time.Time, of ...*workload) string {
		var names []string
		for i, v := range decide(noon, l, served, of) {
			if v.start {
				names = append(names, of[i].namespace+"/"+of[i].name)
			}
		}
		return strings.Join(names, " ")
	}
	all := slices.Concat(crowd, []*workload{in("shop", "young", minute), in("shop", "old", 2*minute), in("other", "a", 3*minute)})
	for name, test := range map[string]struct {
		limits limits
		served map[string]time.Time
		want   string
	}{
		"one each":                        {limits{3, 3, minute, window{}}, nil, "crowd/w00 shop/old other/a"},
		"then another each":               {limits{5, 3, minute, window{}}, nil, "crowd/w00 crowd/w01 shop/young shop/old other/a"},
		"who has waited longest":          {limits{1, 1, minute, window{}}, nil, "crowd/w00"},
		"whose last turn was long ago":    {limits{1, 1, minute, window{}}, map[string]time.Time{"crowd": noon, "shop": noon.Add(-minute), "other": noon.Add(-2 * minute)}, "other/a"},
		"who had none":                    {limits{1, 1, minute, window{}}, map[string]time.Time{"crowd": noon, "other": noon.Add(-time.Hour)}, "shop/old"},
		"no more than a namespace's own":  {limits{10, 2, minute, window{}}, nil, "crowd/w00 crowd/w01 shop/young shop/old other/a"},
		"places that nobody else can use": {limits{10, 10, minute, window{}}, nil, "crowd/w00 crowd/w01 crowd/w02 crowd/w03 crowd/w04 crowd/w05 crowd/w06 shop/young shop/old other/a"},
	} {
		fresh := make([]*workload, len(all))
		for i, w := range all {
			c := *w
			fresh[i] = &c
		}
		if got := started(test.limits, test.served, fresh...); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func TestAWorkloadThatBacksOffTakesNoPlace(t *testing.T) {
	w, other := in("shop", "a", time.Hour), in("shop", "b", minute)
	w.retry = noon.Add(minute)
	one := limits{1, 1, minute, window{}}
	v := decide(noon, one, nil, []*workload{w, other})
	if v[0].start || v[0].write != nil || v[0].waits != waitsForRetry || !v[0].until.Equal(w.retry) || !v[1].start {
		t.Errorf("%+v", v)
	}
	// Its rollout still counts, and how that ends is told once it is recorded.
	for waits, of := range map[string]*workload{waitsForBudget: rolling("a", "new", minute), waitsForFailed: rolling("a", "new", time.Hour)} {
		of.retry = noon.Add(minute)
		v := decide(noon, one, nil, []*workload{of, in("shop", "b", minute)})
		if v[0].write != nil || v[0].result != "" || v[0].event != "" || v[1].waits != waits {
			t.Errorf("%s: %+v", waits, v)
		}
	}
}

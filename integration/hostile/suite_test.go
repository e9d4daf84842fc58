package hostile

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

var (
	each     = flag.Duration("each", time.Second, "how long each attack goes on alone")
	together = flag.Duration("together", 15*time.Second, "how long all attacks go on together; more than the victim's lease of 60s shows that it is renewed")
	timed    = flag.Bool("timed", false, "hold the victim's mounts to their time, which needs a machine that does nothing else")
	only     = flag.String("only", "", "the one attack to run, by its name")
)

// What the victim is promised, whatever others do.
const (
	worstMount = 2 * time.Second
	interval   = 5 * time.Second        // between two polls with all attacks
	quick      = 300 * time.Millisecond // with one of them
)

// allTogether is the name of the last row.
const allTogether = "all together"

// row is one line of the table.
type row struct {
	name     string
	mounts   int
	worst    time.Duration
	resident float64 // MiB, the most that was seen
	failed   []error
}

// A victim whose pod runs, is polled and starts anew beside an attacker loses nothing:
// each attack alone, then all of them together, and the provider ends when it is told.
func TestTenantsAreEqual(t *testing.T) {
	l := newLab(t)
	e := newEvil(t, l)
	a := &attacker{l, e, 1}
	v, err := newVictim(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	// An attack with templates that are refused would show nothing.
	if _, err := l.mount(t.Context(), l.newPod(namespace(0), "mallory"), map[string]string{"objects": "- {path: f, template: '" + costly(1) + "'}"}); err != nil {
		t.Fatal(err)
	}
	all := attacks(t, e)
	rows := []row{l.watch(v, "nobody attacks", *each, quick, nil)}
	for _, attack := range all {
		// What one does alone, all do together: the rows are for the table.
		if *only != "" && attack.name != *only || *only == "" && !*timed {
			continue
		}
		rows = append(rows, l.watch(v, attack.name, *each, quick, func(ctx context.Context) { attack.run(ctx, a) }))
	}
	if *only == "" || *only == allTogether {
		rows = append(rows, l.watch(v, allTogether, *together, interval, func(ctx context.Context) {
			var running sync.WaitGroup
			for _, attack := range all {
				running.Go(func() { attack.run(ctx, &attacker{l, e, 4}) })
			}
			running.Wait()
		}))
	}
	show(t, rows)
	for _, r := range rows {
		if *timed && r.worst > worstMount {
			t.Errorf("%s: the 99th percentile of the victim's mounts is %v, promised are %v", r.name, r.worst, worstMount)
		}
		if r.resident > memory {
			t.Errorf("%s: %.0f MiB resident, the chart's limit is %d", r.name, r.resident, memory)
		}
		for _, err := range r.failed[:min(3, len(r.failed))] {
			t.Errorf("%s: %v", r.name, err)
		}
	}
	if _, err := l.postgres.Query(v.user, v.password(t), "SELECT 1"); err != nil {
		t.Errorf("the victim's credential does not work at the end: %v", err)
	}
	if _, series, err := l.metric("lanyard_"); err != nil || series > 2000 {
		t.Errorf("%d series of metrics, %v", series, err)
	}
	l.ends(t)
}

// watch runs an attack beside the victim for some time; nil is none.
func (l *lab) watch(v *victim, name string, long, interval time.Duration, run func(context.Context)) row {
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	r := row{name: name}
	var running sync.WaitGroup
	defer running.Wait()
	if run != nil {
		running.Go(func() { run(ctx) })
	}
	running.Go(func() {
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for ctx.Err() == nil {
			if mib, err := residentOf(l.provider.PID()); err == nil {
				r.resident = max(r.resident, mib)
			}
			<-ticker.C
		}
	})
	v.live(ctx, interval)
	running.Wait()
	r.worst = v.worst()
	r.mounts, r.failed = v.takeFailures()
	return r
}

// ends tells the provider to end while reads hang, and waits as long as is promised.
func (l *lab) ends(t *testing.T) {
	t.Helper()
	start := time.Now()
	if err := l.provider.Terminate(); err != nil {
		t.Fatal(err)
	}
	if code, err := l.provider.Wait(); err != nil || code != 0 {
		t.Errorf("exit code %d after SIGTERM, %v", code, err)
	}
	if took := time.Since(start); took > (ending+5)*time.Second {
		t.Errorf("the provider was gone %v after SIGTERM, promised are %ds", took, ending+5)
	}
}

// password is that of the victim's credential.
func (v *victim) password(t *testing.T) string {
	t.Helper()
	response, err := v.mount(t.Context(), v.pod, victimClass())
	if err != nil {
		t.Fatal(err)
	}
	return contents(response)["password"]
}

func show(t *testing.T, rows []row) {
	t.Helper()
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "attack\tvictim's mounts\tfailed\t99th percentile\tresident, at most")
	for _, r := range rows {
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%v\t%.0f MiB\n", r.name, r.mounts, len(r.failed), r.worst.Round(time.Millisecond), r.resident)
	}
	_ = w.Flush()
	t.Log("\n" + text.String())
}

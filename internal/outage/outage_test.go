package outage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

var errSilent = errors.New("no answer")

// at is so many seconds after the beginning.
func at(seconds int) time.Time {
	return time.Unix(1_000_000, 0).Add(time.Duration(seconds) * time.Second)
}

// tracked is a Tracker and what it has told.
func tracked() (*Tracker, *[]string) {
	var told []string
	up := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "up"}, []string{"service"})
	return New(up, func(c Change) {
		state := "up"
		if c.Down {
			state = "down"
		}
		told = append(told, fmt.Sprintf("%s %s since %d: %v", c.Name, state, int(c.Since.Sub(at(0)).Seconds()), c.Cause))
	}), &told
}

func TestEachChangeIsToldOnce(t *testing.T) {
	tracker, told := tracked()
	tracker.Answered("vault", at(0))
	tracker.Answered("vault", at(1))
	tracker.Failed("vault", at(2), at(3), errSilent)
	tracker.Failed("vault", at(4), at(5), errSilent)
	tracker.Failed("other", at(6), at(6), errSilent)
	if n := testutil.ToFloat64(tracker.up.WithLabelValues("vault")); n != 0 {
		t.Errorf("the gauge is %v while it is down", n)
	}
	tracker.Answered("vault", at(7))
	tracker.Answered("vault", at(8))
	if n := testutil.ToFloat64(tracker.up.WithLabelValues("vault")); n != 1 {
		t.Errorf("the gauge is %v while it is up", n)
	}
	want := []string{"vault down since 2: no answer", "other down since 6: no answer", "vault up since 2: no answer"}
	if !slices.Equal(*told, want) {
		t.Errorf("told %q, want %q", *told, want)
	}
}

// One request may fail for a reason of its own while others are answered.
func TestAFailureBesideAnswersIsNoOutage(t *testing.T) {
	tracker, told := tracked()
	tracker.Answered("vault", at(5))
	tracker.Failed("vault", at(4), at(6), errSilent)
	if len(*told) != 0 {
		t.Errorf("told %q", *told)
	}
	tracker.Failed("vault", at(6), at(7), errSilent)
	if len(*told) != 1 {
		t.Errorf("told %q", *told)
	}
}

func TestAServiceThatGoesUpAndDownDoesNotFillTheLog(t *testing.T) {
	tracker, told := tracked()
	for second := range 3600 {
		if second%2 == 0 {
			tracker.Failed("vault", at(second), at(second), errSilent)
		} else {
			tracker.Answered("vault", at(second))
		}
	}
	if n := len(*told); n < 60 || n > 60+reportBurst {
		t.Errorf("%d lines in an hour", n)
	}
	// What was held back is told in the end.
	tracker.Answered("vault", at(3700))
	if last := (*told)[len(*told)-1]; !strings.Contains(last, "up") {
		t.Errorf("the last word is %q", last)
	}
}

func TestWhatIsNotKeptIsForgotten(t *testing.T) {
	tracker, _ := tracked()
	tracker.Answered("vault", at(0))
	tracker.Answered("other", at(0))
	tracker.Keep(func(name string) bool { return name == "vault" })
	if n := testutil.CollectAndCount(tracker.up); n != 1 {
		t.Errorf("%d values", n)
	}
}

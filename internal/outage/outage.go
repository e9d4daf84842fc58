// Package outage tells from the results of calls whether a service is up, and says so
// once at each change. It makes no calls and knows nothing of services.
//
// Start with New.
package outage

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// The changes of one service that are told at once, and how often one more is: a
// service that goes up and down all the time does not fill the log. What was held
// back is told with a later result.
const (
	reportBurst    = 6
	reportInterval = time.Minute
)

// Change is what is told of a service.
type Change struct {
	// Name is the service's.
	Name string
	// Down is true if it stopped answering, and false if it answers again.
	Down bool
	// Since is when it stopped answering.
	Since time.Time
	// Cause is the error of the call that found it.
	Cause error
}

// Tracker knows which services are up. It is safe for concurrent use.
type Tracker struct {
	up     *prometheus.GaugeVec
	report func(Change)

	mu       sync.Mutex
	services map[string]*service
}

type service struct {
	down     bool
	since    time.Time // when it went down
	cause    error
	answered time.Time // when it answered last
	reported bool      // the state that was reported last: whether it is down
	reports  *rate.Limiter
}

// New returns a Tracker that sets the gauge up, whose one label is a service's name,
// to 1 or 0, and calls tell at each change. A service that no call was made to has no
// value there.
func New(up *prometheus.GaugeVec, report func(Change)) *Tracker {
	return &Tracker{up: up, report: report, services: map[string]*service{}}
}

// Answered notes that a call got an answer at a time.
func (t *Tracker) Answered(name string, at time.Time) {
	t.mu.Lock()
	s := t.service(name)
	s.answered, s.down = at, false
	t.done(name, s, at)
}

// Failed notes that a call that began at a time has ended at another without an
// answer. It counts unless another call was answered meanwhile.
func (t *Tracker) Failed(name string, began, ended time.Time, cause error) {
	t.mu.Lock()
	s := t.service(name)
	if !s.down && s.answered.After(began) {
		t.mu.Unlock()
		return
	}
	if !s.down {
		s.down, s.since = true, began
	}
	s.cause = cause
	t.done(name, s, ended)
}

// service is the one of a name. The caller holds mu.
func (t *Tracker) service(name string) *service {
	s := t.services[name]
	if s == nil {
		s = &service{reports: rate.NewLimiter(rate.Every(reportInterval), reportBurst)}
		t.services[name] = s
	}
	return s
}

// done sets the gauge, gives mu back and tells what has changed.
func (t *Tracker) done(name string, s *service, now time.Time) {
	value := 1.0
	if s.down {
		value = 0
	}
	t.up.WithLabelValues(name).Set(value)
	change, telling := Change{name, s.down, s.since, s.cause}, s.down != s.reported && s.reports.AllowN(now, 1)
	if telling {
		s.reported = s.down
	}
	t.mu.Unlock()
	if telling {
		t.report(change)
	}
}

// State is what is known of a service.
type State struct {
	// Down is true while it does not answer, and Since when it stopped.
	Down  bool
	Since time.Time
}

// States are the services that calls were made to, by name.
func (t *Tracker) States() map[string]State {
	t.mu.Lock()
	defer t.mu.Unlock()
	states := make(map[string]State, len(t.services))
	for name, s := range t.services {
		states[name] = State{Down: s.down}
		if s.down {
			states[name] = State{Down: true, Since: s.since}
		}
	}
	return states
}

// Keep forgets the services for which keep is false.
func (t *Tracker) Keep(keep func(name string) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name := range t.services {
		if !keep(name) {
			delete(t.services, name)
			t.up.DeleteLabelValues(name)
		}
	}
}

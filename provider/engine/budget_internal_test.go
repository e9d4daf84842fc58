package engine

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
)

// A front door goes on after a panic; the memory of the mount must not be lost then.
func TestAMountThatPanicsGivesItsMemoryBack(t *testing.T) {
	e, err := New(Options{Config: config.Default(), Calls: remote.NewCalls(1), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	r := e.current.Load()
	broken := &plan{objects: []planned{{source: 1}}} // of no sources
	func() {
		defer func() {
			if recover() == nil {
				t.Error("it does not panic")
			}
		}()
		_, _ = e.mountWithin(t.Context(), time.Now().Add(time.Hour), r, scope{config: &r.config}, broken, Request{Delivery: new(Delivery)})
	}()
	if held := e.shares.memory.held.Load(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
}

package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/outage"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// ClassDefined stands in logs, metrics and facts for all stores that classes define.
const ClassDefined = "class-defined"

// label is the name of a store in logs and metrics: ClassDefined if the class chose
// where it leads, so that no class can make the operator's look down. What the operator
// leaves to every class, such as a role, does not count.
func (r *resolved) label() string {
	workload := r.WorkloadSettings()
	if !r.settings.ByOperator || slices.ContainsFunc(r.settings.FromClass, func(setting string) bool { return !slices.Contains(workload, setting) }) {
		return ClassDefined
	}
	return r.name
}

// storeLabelOf is storeLabel of a configuration.
func storeLabelOf(config *config.Config) func(string) string {
	return func(name string) string { return storeLabel(config, name) }
}

// storeLabel is a label while the configuration names the store, else ClassDefined.
func storeLabel(config *config.Config, name string) string {
	if _, named := config.Stores[name]; named {
		return name
	}
	return ClassDefined
}

// outages tell which stores are up, from the results of reads and renewals.
type outages struct {
	*outage.Tracker
	stores *storeCalls // which are told too
	now    func() time.Time
	// staleOnError is how long values may stand in.
	staleOnError func() time.Duration
}

// newOutages returns outages that the log tells of unless silent.
func newOutages(registry prometheus.Registerer, stores *storeCalls, now func() time.Time, silent bool, staleOnError func() time.Duration) *outages {
	up := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "lanyard_store_up",
		Help: "1 if the store answered the last read, 0 if it was unavailable, by the operator's name of the store.",
	}, []string{"store"})
	registry.MustRegister(up)
	o := &outages{stores: stores, now: now, staleOnError: staleOnError}
	report := o.logChange
	if silent {
		report = func(outage.Change) {}
	}
	o.Tracker = outage.New(up, report)
	return o
}

// logChange logs that a store went down or came back.
func (o *outages) logChange(c outage.Change) {
	if !c.Down {
		klog.InfoS("The store answers again", "store", c.Name, "downSince", c.Since.UTC().Format(time.RFC3339), "downFor", o.now().Sub(c.Since).Round(time.Second))
		return
	}
	standIn := "not at all: cache.staleOnError is 0"
	if stale := o.staleOnError(); stale > 0 {
		// A value that was due right then is the first that may not any more.
		standIn = c.Since.Add(stale).UTC().Format(time.RFC3339)
	}
	klog.ErrorS(nil, "The store is down; values that were read before stand in for a while", "store", c.Name, "since", c.Since.UTC().Format(time.RFC3339), "standInUntil", standIn, "cause", message.Excerpt(c.Cause.Error()))
}

// note takes in the result of a read or a renewal that began at a time.
func (o *outages) note(store string, began time.Time, err error) {
	switch {
	case errors.Is(err, remote.ErrNoSlot) || errors.Is(err, context.Canceled) || errors.Is(err, identity.ErrNoToken):
		// The store was not asked, or nobody waited for its answer.
		return
	case errors.Is(err, fault.ErrUnavailable):
		o.Failed(store, began, o.now(), err)
	case err == nil || errors.Is(err, fault.ErrNotFound) || errors.Is(err, fault.ErrDenied) || errors.Is(err, fault.ErrUnauthenticated):
		o.Answered(store, o.now())
	}
	if errors.Is(err, fault.ErrNotFound) {
		err = nil // an answer: whether it is a failure, the class decides
	}
	o.stores.read(store, o.now(), err)
}

package cmd

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/server/status"
)

// statusReport is what status prints, and as --output json has it: docs/status.md explains
// the fields. They are only added to.
type statusReport struct {
	// Time is when it was collected.
	Time time.Time `json:"time"`
	// Holders are the pods and Secrets, the worst first.
	Holders []statusRow `json:"holders"`
	// Providers are the pods of Lanyard that were asked.
	Providers []statusProvider `json:"providers"`
	// NotRead says what could not be read, and why.
	NotRead []string `json:"notRead"`
}

// statusRow is a pod's volume or a synced Secret.
type statusRow struct {
	Namespace      string       `json:"namespace"`
	Kind           string       `json:"kind"`
	Name           string       `json:"name"`
	Class          string       `json:"class"`
	Provider       string       `json:"provider,omitempty"`
	ServiceAccount string       `json:"serviceAccount,omitempty"`
	Node           string       `json:"node,omitempty"`
	State          holdingState `json:"state"`
	// Since is when the state began, where that is known.
	Since   time.Time      `json:"since,omitzero"`
	Cause   string         `json:"cause,omitempty"`
	Objects []statusObject `json:"objects"`

	stores []string // by the names in the class and in the configuration
}

// clean makes the names printable that others chose.
func (r *statusRow) clean() {
	for _, name := range []*string{&r.Namespace, &r.Name, &r.Class, &r.Provider, &r.ServiceAccount, &r.Node} {
		*name = printableText(message.Cut(*name, maxName))
	}
}

// statusObject is what a pod or a Secret holds of an object; of a Secret, a file.
type statusObject struct {
	Object  string `json:"object"`
	Store   string `json:"store,omitempty"`
	Version string `json:"version,omitempty"`
	// State is ok, stale, behind, lagging, ended or absent; empty if no provider tells.
	State    string    `json:"state,omitempty"`
	Read     time.Time `json:"read,omitzero"`
	Due      time.Time `json:"due,omitzero"`
	LeaseEnd time.Time `json:"leaseEnd,omitzero"`
}

// statusProvider is a pod of Lanyard, or the reason why it tells nothing.
type statusProvider struct {
	Namespace string              `json:"namespace,omitempty"`
	Pod       string              `json:"pod,omitempty"`
	Node      string              `json:"node,omitempty"`
	Program   string              `json:"program,omitempty"`
	Version   string              `json:"version,omitempty"`
	Error     string              `json:"error,omitempty"`
	Stores    []engine.StoreFacts `json:"stores,omitempty"`
	// Ring is the key ring of a KMS plugin, and Problems what keeps the process from its work.
	Ring     *status.Ring     `json:"ring,omitempty"`
	Problems []status.Problem `json:"problems,omitempty"`

	volumes []engine.VolumeFacts
	synced  []status.Synced // that fail
	started time.Time
}

// holdingState is the state of a pod's volume or a Secret.
type holdingState string

// The states, the worst first.
const (
	holdingFailed  holdingState = "failed"  // the last mount or sync failed
	holdingStale   holdingState = "stale"   // old values stand in for a store that is down
	holdingBehind  holdingState = "behind"  // a newer value was read and has not been delivered
	holdingWaiting holdingState = "waiting" // nothing was mounted or written yet
	holdingMounted holdingState = "mounted" // the driver has mounted it; no provider tells more
	holdingOK      holdingState = "ok"
)

var holdingStates = []holdingState{holdingFailed, holdingStale, holdingBehind, holdingWaiting, holdingMounted, holdingOK}

// wrong says whether somebody has to look at it.
func (s holdingState) wrong() bool {
	return s == holdingFailed || s == holdingStale || s == holdingBehind
}

// The kinds of rows.
const (
	kindPod    = "pod"
	kindSecret = "secret"
)

// The states of an object beside those of holdingState.
const (
	objectLagging = "lagging" // the store answers with an earlier version than the one held
	objectEnded   = "ended"   // its lease is over
)

// statusFilter chooses rows. An empty field takes all.
type statusFilter struct {
	namespace, pod, class, store string
	problems                     bool
}

// names says whether a row is of the namespace, pod and class that are meant.
func (f *statusFilter) names(row *statusRow) bool {
	return (f.namespace == "" || f.namespace == row.Namespace) && (f.pod == "" || row.Kind == kindPod && f.pod == row.Name) && (f.class == "" || f.class == row.Class)
}

// chooses says whether a row is one of those that are meant.
func (f *statusFilter) chooses(row *statusRow) bool {
	return f.names(row) && (f.store == "" || slices.Contains(row.stores, f.store))
}

// takes says whether one of those is shown.
func (f *statusFilter) takes(row *statusRow) bool {
	return !f.problems || row.State != holdingOK && row.State != holdingMounted
}

// newStatusReport joins what the cluster and the providers say. Without a cluster there are
// the volumes that providers tell of.
func newStatusReport(now time.Time, s *clusterState, providers []statusProvider, filter statusFilter) *statusReport {
	b := &statusBuilder{now: now, state: s, volumes: map[mountKey]*engine.VolumeFacts{}, objects: map[string]*engine.VolumeFacts{}, down: map[storeOf]*engine.StoreFacts{}, synced: map[syncedKey]*status.Synced{}, started: map[string]time.Time{}}
	report := &statusReport{Time: now, Holders: []statusRow{}, Providers: []statusProvider{}, NotRead: []string{}}
	for i := range providers {
		p := &providers[i]
		b.learn(p)
		b.learnSynced(p)
		report.Providers = append(report.Providers, *p)
	}
	var rows []statusRow
	if s == nil {
		rows = append(b.volumeRows(providers), b.syncedRows()...)
	} else {
		for _, text := range s.notRead {
			report.NotRead = append(report.NotRead, printablePassage(text))
		}
		rows = append(b.podRows(), b.secretRows()...)
	}
	used := map[string]bool{}
	for i := range rows {
		if filter.chooses(&rows[i]) {
			for _, store := range rows[i].stores {
				used[store] = filter.store == "" || filter.store == store
			}
			if filter.takes(&rows[i]) {
				rows[i].clean()
				report.Holders = append(report.Holders, rows[i])
			}
		}
	}
	if filter != (statusFilter{problems: filter.problems}) {
		for i := range report.Providers {
			p := &report.Providers[i]
			p.Stores = slices.DeleteFunc(slices.Clone(p.Stores), func(s engine.StoreFacts) bool { return !used[s.Name] })
		}
	}
	slices.SortFunc(report.Holders, func(a, b statusRow) int {
		return cmp.Or(slices.Index(holdingStates, a.State)-slices.Index(holdingStates, b.State), strings.Compare(a.Namespace, b.Namespace),
			strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name), strings.Compare(a.Class, b.Class))
	})
	return report
}

package cmd

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/spec"
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

	facts *status.Facts
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
	b := &statusBuilder{now: now, state: s, volumes: map[mountKey]*engine.VolumeFacts{}, objects: map[string]*engine.VolumeFacts{}, down: map[storeOf]*engine.StoreFacts{}}
	report := &statusReport{Time: now, Holders: []statusRow{}, Providers: []statusProvider{}, NotRead: []string{}}
	for i := range providers {
		p := &providers[i]
		if p.facts != nil && p.facts.Facts != nil {
			b.learn(p.facts.Facts)
			p.Stores = p.facts.Stores
		}
		report.Providers = append(report.Providers, *p)
	}
	var rows []statusRow
	if s == nil {
		rows = b.volumeRows(providers)
	} else {
		report.NotRead = append(report.NotRead, s.notRead...)
		rows = append(b.podRows(), b.secretRows()...)
	}
	used := map[string]bool{}
	for i := range rows {
		if filter.chooses(&rows[i]) {
			for _, store := range rows[i].stores {
				used[store] = filter.store == "" || filter.store == store
			}
			if filter.takes(&rows[i]) {
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

// statusBuilder makes rows.
type statusBuilder struct {
	now     time.Time
	state   *clusterState
	volumes map[mountKey]*engine.VolumeFacts
	// objects are what the sync controller reads, by the UID of who asks for it.
	objects map[string]*engine.VolumeFacts
	down    map[storeOf]*engine.StoreFacts // stores that are down, by volume
}

// storeOf is a store as the provider of a volume sees it.
type storeOf struct {
	volume *engine.VolumeFacts
	store  string
}

// learn takes what a provider says.
func (b *statusBuilder) learn(facts *engine.Facts) {
	down := map[string]*engine.StoreFacts{}
	for i := range facts.Stores {
		if facts.Stores[i].State == engine.StoreDown {
			down[facts.Stores[i].Name] = &facts.Stores[i]
		}
	}
	for i := range facts.Volumes {
		volume := &facts.Volumes[i]
		key := mountKey{volume.PodUID, volume.Class}
		// A pod that was moved to another controller, or mounted in two dialects: what was
		// polled last is how it is.
		if known := b.volumes[key]; known != nil && known.Polled.After(volume.Polled) {
			continue
		}
		b.volumes[key] = volume
		if volume.Pod == "" {
			b.objects[volume.PodUID] = volume
		}
		for _, object := range volume.Objects {
			if store := down[object.StoreName]; store != nil {
				b.down[storeOf{volume, object.StoreName}] = store
			}
		}
	}
}

// eventAge is after how long an event of a volume that was mounted before is over: the
// kubelet repeats a mount within two minutes, and tells of one in five minutes at the least.
// https://github.com/kubernetes/client-go/blob/v0.36.0/tools/record/events_cache.go
const eventAge = 6 * time.Minute

func (b *statusBuilder) podRows() (rows []statusRow) {
	for i := range b.state.pods {
		pod := &b.state.pods[i]
		for _, name := range slices.Sorted(maps.Keys(pod.classes)) {
			class := b.state.classes[named{pod.namespace, name}]
			if class != nil && !b.state.serves(class.provider) {
				continue
			}
			rows = append(rows, b.podRow(pod, name, class))
		}
	}
	return rows
}

func (b *statusBuilder) podRow(pod *podState, name string, class *classState) statusRow {
	key := mountKey{pod.uid, name}
	mount, volume := b.state.mounts[key], b.volumes[key]
	row := statusRow{Namespace: pod.namespace, Kind: kindPod, Name: pod.name, Class: name, ServiceAccount: pod.account, Node: pod.node, Objects: []statusObject{}}
	var objects []spec.Object
	if class != nil {
		row.Provider, objects = class.provider, class.objects
	}
	var held map[string]string
	if mount != nil {
		held = mount.versions
	}
	b.hold(&row, objects, held, volume)
	failure := b.eventOf(pod, name, mount)
	switch {
	case class == nil && b.state.classes != nil:
		row.be(holdingFailed, pod.created, fmt.Sprintf("there is no SecretProviderClass %s in namespace %s", message.Printable(name), message.Printable(pod.namespace)))
		if failure != nil {
			row.Since = failure.first
		}
	case volume != nil && volume.State == engine.VolumeFailed:
		row.be(holdingFailed, volume.Since, volume.Error)
	case failure != nil && (mount == nil || volume == nil || failure.last.After(volume.Answered)):
		row.be(holdingFailed, failure.first, failure.text)
	case mount == nil && pod.node == "":
		row.be(holdingWaiting, pod.created, "the pod has no node yet")
	case mount == nil || !mount.mounted:
		row.be(holdingWaiting, pod.created, "the driver has not mounted it yet")
	default:
		b.judge(&row, volume, mount.made)
	}
	return row
}

// eventOf is the kubelet's event of a mount that failed and was not followed by one that
// did not; nil for none.
func (b *statusBuilder) eventOf(pod *podState, class string, mount *mountState) (latest *mountEvent) {
	events := b.state.events[pod.uid]
	for i := range events {
		event := &events[i]
		over := mount != nil && (b.now.Sub(event.last) > eventAge || event.last.Before(mount.made))
		if !over && slices.Contains(pod.classes[class], event.volume) && (latest == nil || event.last.After(latest.last)) {
			latest = event
		}
	}
	return latest
}

// be sets the state of a row.
func (r *statusRow) be(state holdingState, since time.Time, cause string) {
	r.State, r.Since, r.Cause = state, since, message.Passage(cause)
}

// judge sets the state of a row that was mounted or written at a time.
func (b *statusBuilder) judge(row *statusRow, volume *engine.VolumeFacts, made time.Time) {
	in := func(state string) (names []string) {
		for _, object := range row.Objects {
			if object.State == state {
				names = append(names, object.Object)
			}
		}
		return names
	}
	switch ended, stale, behind := in(objectEnded), in(string(holdingStale)), in(string(holdingBehind)); {
	case volume == nil:
		row.be(holdingMounted, made, "")
	case volume.State == engine.VolumeFailed:
		row.be(holdingFailed, volume.Since, volume.Error)
	case len(ended) > 0:
		row.be(holdingFailed, time.Time{}, "the lease is over of "+message.Names(ended, message.Printable)+"; it is replaced by the next poll")
	case len(stale) > 0 || volume.State == engine.VolumeStale:
		row.be(holdingStale, time.Time{}, "old values stand in of "+message.Names(stale, message.Printable))
		b.blame(row, volume)
	case len(behind) > 0:
		row.be(holdingBehind, time.Time{}, "a newer value was read of "+message.Names(behind, message.Printable)+"; the next poll delivers it")
	default:
		row.be(holdingOK, made, "")
	}
}

// blame says which stores are down for which old values stand in.
func (b *statusBuilder) blame(row *statusRow, volume *engine.VolumeFacts) {
	told := map[string]bool{}
	for i := range volume.Objects {
		object := &volume.Objects[i]
		store := b.down[storeOf{volume, object.StoreName}]
		if !object.Stale || store == nil || told[store.Name] {
			continue
		}
		told[store.Name] = true
		row.Cause += fmt.Sprintf("; store %s is down: %s", message.Printable(store.Name), message.Passage(store.Error))
		if row.Since.IsZero() || store.Since.Before(row.Since) {
			row.Since = store.Since
		}
	}
}

// hold adds the objects of which the holder shows a version, and those that the provider
// says it delivered.
func (b *statusBuilder) hold(row *statusRow, objects []spec.Object, versions map[string]string, volume *engine.VolumeFacts) {
	delivered := map[string]*engine.ObjectFacts{}
	names := map[string]bool{}
	stores := map[string]bool{}
	for name := range versions {
		names[name] = true
	}
	if volume != nil {
		for i := range volume.Objects {
			object := &volume.Objects[i]
			delivered[object.Object] = object
			stores[object.Store], stores[object.StoreName] = true, true
			if row.Kind == kindPod {
				names[object.Object] = true
			}
		}
	}
	storeOfID := map[string]string{}
	for i := range objects {
		storeOfID[objects[i].ID()] = objects[i].Store
		stores[objects[i].Store] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		id := name
		if row.Kind == kindSecret { // what is in a Secret are files
			for i := range objects {
				if hasFile(objects[i], name) {
					id = objects[i].ID()
				}
			}
		}
		one := statusObject{Object: message.Printable(name), Version: message.Printable(versions[name]), Store: message.Printable(storeOfID[id])}
		if facts := delivered[id]; facts != nil {
			one.add(facts, b.now)
		}
		row.Objects = append(row.Objects, one)
	}
	delete(stores, "")
	row.stores = slices.Sorted(maps.Keys(stores))
}

// add adds what the provider says of the object.
func (o *statusObject) add(facts *engine.ObjectFacts, now time.Time) {
	o.Read, o.Due, o.LeaseEnd = facts.Read, facts.Due, facts.LeaseEnd
	o.Version, o.Store = cmp.Or(o.Version, facts.Version), cmp.Or(facts.Store, o.Store)
	switch {
	case facts.Source == engine.FromAbsent:
		o.State = engine.FromAbsent
	case !facts.LeaseEnd.IsZero() && facts.LeaseEnd.Before(now):
		o.State = objectEnded
	case facts.Stale:
		o.State = string(holdingStale)
	case facts.Behind:
		o.State = string(holdingBehind)
	case facts.Lagging:
		o.State = objectLagging
	default:
		o.State = string(holdingOK)
	}
}

// secretRows are the Secrets that the sync controller is asked for.
func (b *statusBuilder) secretRows() (rows []statusRow) {
	for _, name := range slices.SortedFunc(maps.Keys(b.state.classes), func(a, b named) int {
		return cmp.Or(strings.Compare(a.namespace, b.namespace), strings.Compare(a.name, b.name))
	}) {
		class := b.state.classes[name]
		if class.account == "" {
			continue
		}
		secrets := slices.Clone(class.wanted)
		if class.synced != nil {
			secrets = append(secrets, slices.Collect(maps.Keys(class.synced.Secrets))...)
		}
		slices.Sort(secrets)
		for _, secret := range slices.Compact(secrets) {
			rows = append(rows, b.secretRow(named{name.namespace, secret}, name.name, class.uid, class.account, func(row *statusRow) bool {
				if class.synced == nil {
					return false
				}
				if row.Since = class.synced.Since; class.synced.State == "Failed" {
					row.be(holdingFailed, class.synced.Since, class.synced.Message)
				}
				return true
			}))
		}
	}
	for i := range b.state.syncs {
		sync := &b.state.syncs[i]
		class := b.state.classes[named{sync.namespace, sync.class}]
		if _, known := pins[providerOf(class)]; class != nil && !known {
			continue
		}
		rows = append(rows, b.secretRow(sync.named, sync.class, sync.uid, sync.account, func(row *statusRow) bool {
			if row.Since = sync.since; sync.failing {
				row.be(holdingFailed, sync.since, sync.text)
			}
			return sync.tried
		}))
	}
	return rows
}

func providerOf(class *classState) string {
	if class == nil {
		return ""
	}
	return class.provider
}

// secretRow is the row of a Secret that an object with a UID asks for. told sets what the
// object's own status says, and is false if that is nothing.
func (b *statusBuilder) secretRow(name named, className, uid, account string, told func(*statusRow) bool) statusRow {
	class := b.state.classes[named{name.namespace, className}]
	row := statusRow{Namespace: name.namespace, Kind: kindSecret, Name: name.name, Class: className, ServiceAccount: account, Provider: providerOf(class), Objects: []statusObject{}}
	versions, there := b.state.secrets[name]
	var objects []spec.Object
	if class != nil {
		objects = class.objects
	}
	volume := b.objects[uid]
	b.hold(&row, objects, versions, volume)
	switch tried := told(&row); {
	case row.State != "":
	case !tried:
		row.be(holdingWaiting, time.Time{}, "the sync controller has not told of it yet; is it running?")
	case b.state.secrets != nil && !there:
		row.be(holdingFailed, time.Time{}, "there is no such Secret any more; the sync controller makes it again when its drift interval is over")
	default:
		b.judge(&row, volume, row.Since)
		if volume == nil {
			row.State = holdingOK
		}
	}
	return row
}

// volumeRows are the volumes that providers tell of, without a cluster.
func (b *statusBuilder) volumeRows(providers []statusProvider) (rows []statusRow) {
	for _, p := range providers {
		if p.facts == nil || p.facts.Facts == nil {
			continue
		}
		for i := range p.facts.Volumes {
			volume := &p.facts.Volumes[i]
			row := statusRow{
				Namespace: volume.Namespace, Kind: kindPod, Name: cmp.Or(volume.Pod, volume.Class), Class: volume.Class, Provider: volume.Dialect,
				ServiceAccount: volume.ServiceAccount, Node: p.Node, Objects: []statusObject{},
			}
			if volume.Pod == "" {
				row.Kind = kindSecret
			}
			versions := map[string]string{}
			for _, object := range volume.Objects {
				versions[object.Object] = object.Version
			}
			b.hold(&row, nil, versions, volume)
			b.judge(&row, volume, volume.Mounted)
			rows = append(rows, row)
		}
	}
	return rows
}

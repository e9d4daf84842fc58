package cmd

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// eventAge is after how long an event of a volume that was mounted before is over: the
// kubelet repeats a mount within two minutes, and tells of one in five minutes at the least.
// https://github.com/kubernetes/client-go/blob/v0.36.0/tools/record/events_cache.go
const eventAge = 6 * time.Minute

func (b *statusBuilder) podRows() (rows []statusRow) {
	for _, pod := range b.state.pods {
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
	mount, volume := b.state.mounts[mountKey{podKey{pod.namespace, pod.uid}, name}], b.volumeOf(pod, name)
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
		row.be(holdingFailed, pod.created, fmt.Sprintf("there is no SecretProviderClass %s in namespace %s", printableName(name), printableName(pod.namespace)))
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
	for _, volume := range pod.classes[class] {
		event, found := b.state.events[eventKey{podKey{pod.namespace, pod.uid}, volume}]
		over := mount != nil && (b.now.Sub(event.last) > eventAge || event.last.Before(mount.made))
		if found && !over && (latest == nil || event.last.After(latest.last)) {
			latest = &event
		}
	}
	return latest
}

// be sets the state of a row.
func (r *statusRow) be(state holdingState, since time.Time, cause string) {
	r.State, r.Since, r.Cause = state, since, printablePassage(cause)
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
		row.be(holdingMounted, made, b.unasked(row.Node, made))
	case volume.State == engine.VolumeFailed:
		row.be(holdingFailed, volume.Since, volume.Error)
	case len(ended) > 0:
		row.be(holdingFailed, time.Time{}, "the lease is over of "+message.Names(ended, printableName)+"; it is replaced by the next poll")
	case len(stale) > 0 || volume.State == engine.VolumeStale:
		row.be(holdingStale, time.Time{}, "old values stand in of "+message.Names(stale, printableName))
		b.blame(row, volume)
	case len(behind) > 0:
		row.be(holdingBehind, time.Time{}, "a newer value was read of "+message.Names(behind, printableName)+"; the next poll delivers it")
	default:
		row.be(holdingOK, made, "")
	}
}

// unaskedAge is after how long a provider has forgotten a volume that the driver does not
// ask for any more, with the default of cache.idle.
const unaskedAge = 15 * time.Minute

// unasked says that the driver has not asked for a volume since it was mounted, or since the
// provider on its node started; empty if it may have.
func (b *statusBuilder) unasked(node string, mounted time.Time) string {
	started, answered := b.started[node]
	if !answered || b.now.Sub(started) < unaskedAge || b.now.Sub(mounted) < unaskedAge {
		return ""
	}
	return "the driver has not asked for it for long, so that it never changes: rotation is off, or its interval is longer than cache.idle; see lanyard doctor"
}

// storesBlamed is how many stores that are down are named of one volume.
const storesBlamed = 8

// blame says which stores are down for which old values stand in.
func (b *statusBuilder) blame(row *statusRow, volume *engine.VolumeFacts) {
	blamed := map[string]bool{}
	for i := range volume.Objects {
		object := &volume.Objects[i]
		store := b.down[storeOf{volume, object.StoreName}]
		if !object.Stale || store == nil || blamed[store.Name] || len(blamed) == storesBlamed {
			continue
		}
		blamed[store.Name] = true
		row.Cause += fmt.Sprintf("; store %s is down: %s", store.Name, store.Error)
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
		storeOfID[printableName(objects[i].ID())] = objects[i].Store
		stores[objects[i].Store] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		id := name
		if row.Kind == kindSecret { // what is in a Secret are files
			for i := range objects {
				if hasFile(objects[i], name) {
					id = printableName(objects[i].ID())
				}
			}
		}
		one := statusObject{Object: name, Version: versions[name], Store: printableName(storeOfID[id])}
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

// volumeRows are the volumes that providers tell of, without a cluster.
func (b *statusBuilder) volumeRows(providers []statusProvider) (rows []statusRow) {
	for _, p := range providers {
		for i := range p.volumes {
			volume := &p.volumes[i]
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

package cmd

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/provider/spec"
)

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
					return b.controllerFails(row, "class", name)
				}
				if row.Since = class.synced.Since; class.synced.State == "Failed" {
					row.be(holdingFailed, class.synced.Since, class.synced.Message)
					return true
				}
				b.controllerFails(row, "class", name)
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
				return sync.tried
			}
			return b.controllerFails(row, "secretsync", sync.named) || sync.tried
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
func (b *statusBuilder) secretRow(name named, className, uid, account string, fromStatus func(*statusRow) bool) statusRow {
	class := b.state.classes[named{name.namespace, className}]
	row := statusRow{Namespace: name.namespace, Kind: kindSecret, Name: name.name, Class: className, ServiceAccount: account, Provider: providerOf(class), Objects: []statusObject{}}
	versions, there := b.state.secrets[name]
	var objects []spec.Object
	if class != nil {
		objects = class.objects
	}
	volume := b.objects[uid]
	b.hold(&row, objects, versions, volume)
	switch tried := fromStatus(&row); {
	case row.State != "":
	case !tried:
		row.be(holdingWaiting, time.Time{}, "the sync controller has not reported it yet; is it running?")
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

package cmd

import (
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/server/status"
)

// statusBuilder makes rows.
type statusBuilder struct {
	now     time.Time
	state   *clusterState
	volumes map[mountKey]*engine.VolumeFacts
	// objects are what the sync controller reads, by the UID of who asks for it.
	objects map[string]*engine.VolumeFacts
	down    map[storeOf]*engine.StoreFacts // stores that are down, by volume
	synced  map[syncedKey]*status.Synced   // what the sync controller says
	started map[string]time.Time           // when the providers that answered started, by node
}

// storeOf is a store as the provider of a volume sees it.
type storeOf struct {
	volume *engine.VolumeFacts
	store  string
}

// learn takes what a provider says.
func (b *statusBuilder) learn(p *statusProvider) {
	if p.Error == "" && p.Program != programSync && p.Program != programKMS && !p.started.IsZero() {
		b.started[p.Node] = p.started
	}
	down := map[string]*engine.StoreFacts{}
	for i := range p.Stores {
		if p.Stores[i].State == engine.StoreDown {
			down[p.Stores[i].Name] = &p.Stores[i]
		}
	}
	for i := range p.volumes {
		volume := &p.volumes[i]
		key := mountKey{podKey{volume.Namespace, volume.PodUID}, volume.Class}
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

// volumeOf is what a provider says of a pod's volume; nil for nothing.
func (b *statusBuilder) volumeOf(pod *podState, class string) *engine.VolumeFacts {
	return b.volumes[mountKey{podKey{message.Printable(pod.namespace), pod.uid}, message.Printable(class)}]
}

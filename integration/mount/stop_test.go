package mount

import (
	"context"
	"sync"
	"testing"
	"time"
)

// SIGTERM is how the kubelet ends a container. What has begun is finished.
func TestStoppedProviderFinishesMountsInFlight(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{vault: "retries: 0"})
	n.put(t, "web/db", map[string]any{"value": "value"})
	n.proxy.SetDelay(2 * time.Second)
	objects := asWeb("[{path: file, store: vault, key: secret/data/web/db, property: value}]")

	const mounts = 20
	pods := make([]pod, mounts)
	var all sync.WaitGroup
	for i := range pods {
		pods[i] = n.pod(t, "shop", "web")
		all.Go(func() {
			if _, err := n.mount(context.Background(), pods[i], objects); err != nil {
				t.Errorf("%s: %v", pods[i].name, err)
			}
		})
	}
	waitFor(t, "the mounts to be in flight", func() bool { return n.metric(t, "lanyard_mounts_in_flight") == mounts })
	if err := n.provider.Terminate(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	code, err := n.provider.Wait()
	if err != nil || code != 0 {
		t.Errorf("the provider ended with exit code %d, %v", code, err)
	}
	for _, p := range pods {
		if got := p.holds(t)["file"]; got != "value" {
			t.Errorf("the volume of %s holds %q", p.name, got)
		}
	}
	if left := n.left(t, n.provider.SocketDir); len(left) != 0 {
		t.Errorf("the socket directory has %v", left)
	}
}

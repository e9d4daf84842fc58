package mount

import (
	"maps"
	"net/http"
	"testing"
)

// The driver polls whether or not anything has changed. "often" may be read
// again after a second, "seldom" after an hour.
const polled = `
- {path: often, store: vault, key: secret/data/web/often, property: value, refresh: 1s}
- {path: seldom, store: vault, key: secret/data/web/seldom, property: value, refresh: 1h}
`

func TestChangedValueReachesTheVolumeAtARefresh(t *testing.T) {
	t.Parallel()
	n := newNode(t, quick())
	web := n.pod(t, "shop", "web")
	for _, key := range []string{"web/often", "web/seldom"} {
		n.put(t, key, map[string]any{"value": "old"})
	}
	before := n.mounted(t, web, asWeb(polled))

	for _, key := range []string{"web/often", "web/seldom"} {
		n.put(t, key, map[string]any{"value": "new"})
	}
	var after map[string]string
	waitFor(t, "the new value", func() bool {
		after = n.mounted(t, web, asWeb(polled))
		return web.holds(t)["often"] == "new"
	})
	if after["often"] == before["often"] {
		t.Errorf("the version stayed %s though the value changed", after["often"])
	}
	// What is not due for a refresh is not asked for.
	if after["seldom"] != before["seldom"] || web.holds(t)["seldom"] != "old" {
		t.Errorf("seldom is %q with version %s, before %s", web.holds(t)["seldom"], after["seldom"], before["seldom"])
	}
	if reads := n.proxy.Count(http.MethodGet, "secret/data/web/seldom"); reads != 1 {
		t.Errorf("%d reads of seldom, want 1", reads)
	}
}

func TestUnchangedValueIsNeitherReadNorWrittenAgain(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{cache: "refresh: 1h"})
	web := n.pod(t, "shop", "web")
	n.put(t, "web/db", map[string]any{"value": "same"})
	objects := asWeb(`[{path: db, store: vault, key: secret/data/web/db, property: value}]`)
	versions, written := n.mounted(t, web, objects), web.written(t)
	n.proxy.Reset()
	for range 10 {
		if again := n.mounted(t, web, objects); !maps.Equal(again, versions) {
			t.Fatalf("versions %v, before %v", again, versions)
		}
	}
	if calls := n.proxy.Count("", ""); calls != 0 {
		t.Errorf("polls before the refresh made %d calls: %v", calls, n.proxy.Requests())
	}
	if web.written(t) != written {
		t.Error("the driver wrote the volume again")
	}
}

func TestRefreshOfAnUnchangedValueKeepsVersionAndVolume(t *testing.T) {
	t.Parallel()
	n := newNode(t, quick())
	web := n.pod(t, "shop", "web")
	n.put(t, "web/often", map[string]any{"value": "same"})
	n.put(t, "web/seldom", map[string]any{"value": "same"})
	versions, written := n.mounted(t, web, asWeb(polled)), web.written(t)
	waitFor(t, "a refresh", func() bool {
		if again := n.mounted(t, web, asWeb(polled)); !maps.Equal(again, versions) {
			t.Fatalf("versions %v, before %v", again, versions)
		}
		return n.proxy.Count(http.MethodGet, "secret/data/web/often") > 1
	})
	if web.written(t) != written {
		t.Error("the driver wrote the volume again")
	}
}

// What a mount answers is the whole volume.
func TestObjectRemovedFromTheClassLeavesTheVolume(t *testing.T) {
	t.Parallel()
	n := newNode(t, quick())
	web := n.pod(t, "shop", "web")
	n.put(t, "web/db", map[string]any{"user": "shop", "password": "secret"})
	n.mounted(t, web, asWeb(`
- {path: db/user, store: vault, key: secret/data/web/db, property: user}
- {path: db/password, store: vault, key: secret/data/web/db, property: password}
- {path: all, store: vault, key: secret/data/web/db, expand: true}
`))
	n.mounted(t, web, asWeb(`[{path: db/user, store: vault, key: secret/data/web/db, property: user}]`))
	if got, want := web.holds(t), map[string]string{"db/user": "shop"}; !maps.Equal(got, want) {
		t.Errorf("the volume holds %v, want %v", got, want)
	}
}

func TestKeyRemovedFromAnExpandedSecretLeavesTheVolume(t *testing.T) {
	t.Parallel()
	n := newNode(t, quick())
	web := n.pod(t, "shop", "web")
	n.put(t, "web/db", map[string]any{"user": "shop", "password": "secret"})
	objects := asWeb("[{path: db, store: vault, key: secret/data/web/db, expand: true}]")
	n.mounted(t, web, objects)
	n.put(t, "web/db", map[string]any{"user": "shop", "host": "db"})
	want := map[string]string{"db/user": "shop", "db/host": "db"}
	waitFor(t, "the keys to change", func() bool {
		n.mounted(t, web, objects)
		return maps.Equal(web.holds(t), want)
	})
}

func TestOptionalObjectComesAndGoesWithItsSecret(t *testing.T) {
	t.Parallel()
	n := newNode(t, quick())
	web := n.pod(t, "shop", "web")
	n.put(t, "web/always", map[string]any{"value": "there"})
	objects := asWeb(`
- {path: always, store: vault, key: secret/data/web/always, property: value}
- {path: maybe, store: vault, key: secret/data/web/maybe, property: value, optional: true}
`)
	holdsMaybe := func() bool {
		n.mounted(t, web, objects)
		_, there := web.holds(t)["maybe"]
		return there
	}
	if holdsMaybe() {
		t.Fatal("a file of a secret that does not exist")
	}
	n.put(t, "web/maybe", map[string]any{"value": "here"})
	waitFor(t, "the optional file to come", holdsMaybe)
	n.vault.Must(t, http.MethodDelete, "secret/metadata/web/maybe", nil)
	waitFor(t, "the optional file to go", func() bool { return !holdsMaybe() })
}

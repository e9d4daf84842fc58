package mount

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	accounts    = 10
	podsOfEach  = 50
	secretsEach = 4
)

// fleet is pods of several service accounts, each of which has secrets of its
// own, with their classes.
type fleet struct {
	pods    []pod
	classes []class
}

func (n *node) fleet(t *testing.T) fleet {
	t.Helper()
	var f fleet
	for i := range accounts * podsOfEach {
		p := n.pod(t, "shop", fmt.Sprintf("account-%d", i%accounts))
		objects := ""
		for s := range secretsEach {
			key := p.own(fmt.Sprint("secret-", s))
			if i < accounts {
				n.put(t, key, map[string]any{"value": p.secret(s)})
			}
			objects += fmt.Sprintf("\n- {path: secret-%d, store: vault, key: 'secret/data/%s', property: value}", s, key)
		}
		f.pods = append(f.pods, p)
		f.classes = append(f.classes, asRole("all", objects))
	}
	return f
}

// secret is the value of one of the service account's secrets.
func (p pod) secret(i int) string { return fmt.Sprintf("secret %d of %s", i, p.account) }

// mountAll mounts every pod of the fleet at once.
func (n *node) mountAll(t *testing.T, f fleet) {
	t.Helper()
	var all sync.WaitGroup
	for i := range f.pods {
		all.Go(func() {
			if _, err := n.mount(t.Context(), f.pods[i], f.classes[i]); err != nil {
				t.Errorf("%s: %v", f.pods[i].name, err)
			}
		})
	}
	all.Wait()
}

// check compares every volume with what it has to hold.
func (f fleet) check(t *testing.T) {
	t.Helper()
	for _, p := range f.pods {
		want := map[string]string{}
		for s := range secretsEach {
			want[fmt.Sprint("secret-", s)] = p.secret(s)
		}
		if got := p.holds(t); !maps.Equal(got, want) {
			t.Errorf("the volume of %s holds %v, want %v", p.name, got, want)
		}
	}
}

func TestHundredsOfMountsAtOnceCostOneLoginAndOneReadForEachIdentity(t *testing.T) {
	n := newNode(t, setup{cache: "refresh: 1h", bounds: "storeCalls: 8"})
	f := n.fleet(t)
	n.mountAll(t, f)
	f.check(t)
	if logins := n.proxy.Count("", "auth/jwt/login"); logins != accounts {
		t.Errorf("%d logins, want %d", logins, accounts)
	}
	if reads := n.proxy.Count(http.MethodGet, "secret/data/own/"); reads != accounts*secretsEach {
		t.Errorf("%d reads, want %d", reads, accounts*secretsEach)
	}
	if most := n.proxy.MaxInFlight(); most > 8 {
		t.Errorf("%d calls were in flight, want at most 8", most)
	}

	// What the load took is given back.
	goroutines, files := n.metric(t, "go_goroutines"), n.metric(t, "process_open_fds")
	calls := n.proxy.Count("", "")
	for range 3 {
		n.mountAll(t, f)
	}
	waitFor(t, "goroutines to end", func() bool { return n.metric(t, "go_goroutines") <= goroutines })
	waitFor(t, "files to be closed", func() bool { return n.metric(t, "process_open_fds") <= files })
	if again := n.proxy.Count("", ""); again != calls {
		t.Errorf("mounts of what is fresh made %d calls", again-calls)
	}
}

// storm mounts the pods of a fleet again and again, no pod twice at once, until
// stop is called, which returns how many mounts succeeded. Each must, but those with an
// error that the kubelet is to repeat.
func (n *node) storm(t *testing.T, f fleet, repeat ...codes.Code) (stop func() int) {
	t.Helper()
	const workers = 16
	ctx, cancel := context.WithCancel(t.Context())
	counts := make([]int, workers)
	var running sync.WaitGroup
	for w := range workers {
		running.Go(func() {
			for i := w; ctx.Err() == nil; i += workers {
				if i >= len(f.pods) {
					i = w
				}
				// A mount that has begun is finished.
				_, err := n.mount(context.WithoutCancel(ctx), f.pods[i], f.classes[i])
				if slices.Contains(repeat, status.Code(err)) {
					_, err = n.mount(context.WithoutCancel(ctx), f.pods[i], f.classes[i])
				}
				if err != nil {
					t.Errorf("%s: %v", f.pods[i].name, err)
					return
				}
				counts[w]++
			}
		})
	}
	return func() (total int) {
		cancel()
		running.Wait()
		for _, count := range counts {
			total += count
		}
		return total
	}
}

func TestConfigurationIsReloadedDuringMounts(t *testing.T) {
	t.Parallel()
	s := setup{cache: "refresh: 1s"}
	n := newNode(t, s)
	f := n.fleet(t)
	n.mountAll(t, f)
	stop := n.storm(t, f)

	reloaded := func(config, word string) {
		t.Helper()
		before := strings.Count(n.provider.Output(), word)
		if err := n.provider.Configure(config); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the configuration file to be read", func() bool { return strings.Count(n.provider.Output(), word) > before })
	}
	const holds, refused = "changed and holds from now on", "cannot be used; the one before still holds"
	s.bounds = "storeCalls: 4, mounts: 32"
	reloaded(n.config(s), holds)
	reloaded("cluster: [", refused)
	if n.metric(t, "lanyard_config_last_reload_successful") != 0 {
		t.Error("the metric says that the last reload was successful")
	}
	s.cache, s.more = "refresh: 2s", "policy: {classStores: false}"
	reloaded(n.config(s), holds)
	if stop() == 0 {
		t.Error("no mount succeeded meanwhile")
	}
	f.check(t)

	// What changed holds.
	_, err := n.mount(t.Context(), n.pod(t, "shop", "web"), class{"stores": "{mine: {type: vault}}", "objects": "[{path: file, store: mine, key: k}]"})
	if err == nil || !strings.Contains(err.Error(), "the operator does not let classes define stores") {
		t.Errorf("a class with a store of its own: %v", err)
	}
}

// The driver's client asks again by itself, so that no mount fails, and what
// was written when the process was killed is whole.
func TestKilledProviderServesAgainAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	n := newNode(t, quick())
	f := n.fleet(t)
	n.mountAll(t, f)
	stop := n.storm(t, f, codes.Unavailable)
	for range 2 {
		n.provider.Kill()
		if err := n.provider.Start(); err != nil {
			t.Fatal(err)
		}
		// The refused and repeated calls of the storm reach the new process.
		waitFor(t, "mounts to reach the new process", func() bool { return n.metric(t, "lanyard_mounts_total") > 20 })
	}
	stop()
	n.mountAll(t, f)
	f.check(t)

	for _, p := range f.pods {
		entries, err := os.ReadDir(p.volume)
		if err != nil {
			t.Fatal(err)
		}
		// The driver's link, its one directory of files, and the files' links.
		if len(entries) != 2+secretsEach {
			t.Errorf("%s has %v", p.volume, entries)
		}
	}
	if left := n.left(t, n.provider.SocketDir); len(left) != 1 || left[0] != "lanyard.sock" {
		t.Errorf("the socket directory has %v", left)
	}
}

// left are the files in and below a directory.
func (n *node) left(t *testing.T, root string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, strings.TrimPrefix(path, root+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

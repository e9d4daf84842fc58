package engine_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

func TestWhatTheOperatorSetsNoClassCanChange(t *testing.T) {
	for name, c := range map[string]struct {
		policy bool
		stores map[string]map[string]any
		uses   string
		want   string // part of the error; empty for none
	}{
		"a store that the operator names":       {uses: "memory"},
		"what the operator left to the class":   {uses: "memory", stores: map[string]map[string]any{"memory": {"role": "web"}}},
		"the operator's own value again":        {uses: "memory", stores: map[string]map[string]any{"memory": {"type": "memory", "address": "here"}}},
		"another address":                       {uses: "memory", stores: map[string]map[string]any{"memory": {"address": "elsewhere"}}, want: "stores.memory.address: pinned by the operator's configuration"},
		"a setting that only the operator has":  {uses: "memory", stores: map[string]map[string]any{"memory": {"tls": map[string]any{"insecureSkipVerify": true}}}, want: "stores.memory.tls.insecureSkipVerify: pinned"},
		"another type":                          {uses: "memory", stores: map[string]map[string]any{"memory": {"type": "vault"}}, want: "stores.memory.type: the operator's configuration says memory"},
		"a store that nobody defines":           {uses: "nowhere", want: "object 1 (a): store: store nowhere: no store of that name is configured; configured are memory"},
		"a store of the class's own":            {uses: "mine", policy: true, stores: map[string]map[string]any{"mine": {"type": "memory", "address": "there"}}},
		"one that the operator does not permit": {uses: "mine", stores: map[string]map[string]any{"mine": {"type": "memory"}}, want: "stores.mine: the operator does not let classes define stores"},
		"one of an unknown type":                {uses: "mine", policy: true, stores: map[string]map[string]any{"mine": {"type": "memry"}}, want: "stores.mine.type: unknown type; give one of memory"},
		"one of no type":                        {uses: "mine", policy: true, stores: map[string]map[string]any{"mine": {}}, want: "stores.mine.type: no store of that name is configured; configured are memory; for a store that the class defines, give a type: one of memory"},
		"a name that is misspelt":               {uses: "memry", want: "no store of that name is configured; configured are memory; did you mean memory?"},
		"a misspelt store of the class's own":   {uses: "vautl", policy: true, stores: map[string]map[string]any{"vault": {"type": "memory"}}, want: "store vautl: no store of that name is configured; configured are memory; the class defines vault; did you mean vault?"},
		"one that the operator renamed":         {uses: "memori", policy: true, stores: map[string]map[string]any{"memori": {"role": "web"}}, want: "stores.memori.type: no store of that name is configured; configured are memory; did you mean memory?"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, func(cfg *config.Config) {
				if cfg.Policy.ClassStores = nil; c.policy {
					cfg.Policy.ClassStores = config.AnyClassStore()
				}
			})
			b.memory.Put("a", "v")
			b.classes["web"] = &spec.Class{Stores: c.stores, Objects: []spec.Object{{Path: "a", Store: c.uses, Key: "a"}}}
			err := b.Check("test", map[string]string{"class": "web"})
			_, _, mountErr := b.mount(web, "web")
			if c.want == "" {
				if err != nil || mountErr != nil {
					t.Errorf("Check: %v, Mount: %v; want neither", err, mountErr)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Check: %v, want %q", err, c.want)
			}
			wantError(t, mountErr, fault.ErrInvalid, c.want)
		})
	}
}

func TestAnAllowListKeepsOthersOutBeforeTheStoreIsAsked(t *testing.T) {
	b := start(t, func(c *config.Config) {
		named := c.Stores["memory"]
		named.Allow = []string{"prod/web", "dev/*"}
		c.Stores["memory"] = named
	})
	b.memory.Put("a", "v")
	b.class("web", spec.Object{Path: "a", Key: "a"})
	for account, may := range map[string]bool{"prod/web": true, "dev/anyone": true, "prod/api": false, "other/web": false, "dev/x/y": false} {
		_, _, err := b.mount(pod(account, "p"), "web")
		switch {
		case may && err != nil:
			t.Errorf("%s: %v", account, err)
		case !may:
			wantError(t, err, fault.ErrDenied, "object 1 (a): memory: permission denied", "allow list")
		}
	}
	b.wantReads(t, 2)
}

func TestConnectionsThatDifferShareNoValue(t *testing.T) {
	b := start(t, nil)
	b.memory.Put("a", "v")
	for _, role := range []string{"one", "two"} {
		b.classes[role] = &spec.Class{
			Stores:  map[string]map[string]any{"memory": {"role": role}},
			Objects: []spec.Object{{Path: "a", Store: "memory", Key: "a"}},
		}
		b.mustMount(t, web, role)
	}
	b.wantReads(t, 2)
}

func TestABadConfigurationChangesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*config.Config)
		want   string
	}{
		"a range": {func(c *config.Config) { c.Bounds.Mounts = 0 }, "bounds.mounts"},
		"a type":  {func(c *config.Config) { c.Stores["x"] = config.Store{Type: "none"} }, "stores.x.type: unknown type"},
		"a setting": {func(c *config.Config) {
			c.Stores["x"] = config.Store{Type: "memory", Fields: map[string]any{"adress": "y"}}
		}, "stores.x: adress"},
		"an allow entry": {func(c *config.Config) {
			c.Stores["x"] = config.Store{Type: "memory", Allow: []string{"prod"}}
		}, "stores.x.allow[0]"},
		"a missing key file":              {func(c *config.Config) { c.Cache.VersionKeyFile = "/nonexistent/key" }, "cache.versionKeyFile"},
		"a key file that others can read": {func(c *config.Config) { c.Cache.VersionKeyFile = versionKey(t, 0o644) }, "run chmod 600"},
		"a key file that is a pipe":       {func(c *config.Config) { c.Cache.VersionKeyFile = versionKey(t, os.ModeNamedPipe) }, "not a regular file"},
		"a key file that never ends":      {func(c *config.Config) { c.Cache.VersionKeyFile = "/dev/zero" }, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, nil)
			b.memory.Put("a", "v")
			b.class("web", spec.Object{Path: "a", Key: "a"})
			b.mustMount(t, web, "web")
			bad := b.config
			bad.Stores = map[string]config.Store{"memory": b.config.Stores["memory"]}
			c.change(&bad)
			var problems spec.Problems
			if err := b.Configure(bad); !errors.As(err, &problems) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Configure: %v, want problems that name %s", err, c.want)
			}
			b.wantFile(t, web, "web", "a", "v")
			b.wantReads(t, 1)
		})
	}
}

func TestReconfiguringDuringMountsLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", "v")
		b.class("web", spec.Object{Path: "a", Key: "a"})
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				b.wantFile(t, pod("prod/web", fmt.Sprint(i)), "web", "a", "v")
			})
		}
		for i := range 40 {
			next := b.config
			next.Bounds.StoreCalls = 1 + i
			if err := b.Configure(next); err != nil {
				t.Errorf("Configure: %v", err)
			}
			time.Sleep(5 * time.Millisecond)
		}
		wg.Wait()
		b.wantReads(t, 1) // values outlive a reload
	})
}

func TestARequestCannotNameItsOwnCluster(t *testing.T) {
	seen := make(chan identity.Identity, 1)
	recorder := recording{Memory: NewMemory(), seen: seen}
	recorder.Put("a", "v")
	cfg := config.Default()
	cfg.Cluster = "prod-eu"
	cfg.Stores = map[string]config.Store{"memory": {Type: "memory"}}
	eng, err := engine.New(engine.Options{
		Config: cfg, Types: []store.Type{recorder}, Calls: remote.NewCalls(1), Metrics: prometheus.NewRegistry(),
		Dialects: map[string]spec.Dialect{"test": func(map[string]string) (*spec.Class, error) {
			return &spec.Class{Objects: []spec.Object{{Path: "a", Store: "memory", Key: "a"}}}, nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(eng.Close)
	as := web
	as.Cluster = "elsewhere"
	as.Credentials = map[string]secret.Bytes{}
	if _, err := eng.Mount(t.Context(), engine.Request{Dialect: "test", Identity: as}); err != nil {
		t.Fatal(err)
	}
	if got := (<-seen).Cluster; got != "prod-eu" {
		t.Errorf("the store was asked for cluster %q", got)
	}
}

// versionKey makes a file of 32 bytes, or a pipe that nobody writes to.
func versionKey(t *testing.T, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	err := syscall.Mkfifo(path, 0o600)
	if mode != os.ModeNamedPipe {
		err = errors.Join(err, os.Remove(path), os.WriteFile(path, make([]byte, 32), mode), os.Chmod(path, mode))
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

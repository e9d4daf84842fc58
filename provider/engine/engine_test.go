package engine_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/tracing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is an engine over a store in memory, with classes by name.
type bench struct {
	*engine.Engine
	memory   *Memory
	classes  map[string]*spec.Class
	config   config.Config
	registry *prometheus.Registry
	trail    *audit.Log
	calls    *remote.Calls
	tracer   *tracing.Tracer
	parsed   atomic.Int64                              // how many classes were parsed
	taken    atomic.Int64                              // the most memory that mounts took
	key      func(secret string) (secret.Bytes, error) // of cache.versionKeySecret
}

// start returns an engine whose operator names the store "memory".
func start(t *testing.T, change func(*config.Config)) *bench {
	t.Helper()
	memory := NewMemory()
	return startWith(t, memory, memory, change)
}

// startWith is start with another type of store, which stands on memory.
func startWith(t *testing.T, stores store.Type, memory *Memory, change func(*config.Config)) *bench {
	t.Helper()
	b := &bench{memory: memory, classes: map[string]*spec.Class{}, config: config.Default(), registry: prometheus.NewRegistry()}
	b.config.Stores = map[string]config.Store{"memory": {Type: "memory", Fields: map[string]any{"address": "here"}}}
	if change != nil {
		change(&b.config)
	}
	trail, err := audit.New(audit.Options{Settings: b.config.Audit, Node: "node-1", Metrics: b.registry})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(trail.Close)
	b.trail, b.calls = trail, remote.NewCalls(1)
	if b.tracer, err = tracing.New(tracing.Options{Settings: b.config.Tracing, Service: "lanyard", Node: "node-1"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.tracer.Close)
	eng, err := engine.New(engine.Options{
		Config:      b.config,
		Audit:       trail,
		Tracer:      b.tracer,
		VersionKey:  func(_ context.Context, name string) (secret.Bytes, error) { return b.key(name) },
		MemoryTaken: func(bytes int64) { b.taken.Store(max(b.taken.Load(), bytes)) },
		Dialects: map[string]spec.Dialect{"test": func(parameters map[string]string) (*spec.Class, error) {
			b.parsed.Add(1)
			return b.classes[parameters["class"]], nil
		}},
		Types:   []store.Type{stores},
		Calls:   b.calls,
		Metrics: b.registry,
	})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	b.Engine = eng
	t.Cleanup(eng.Close)
	return b
}

// class defines a class of objects that are read from the store "memory" where
// they name no other source.
func (b *bench) class(name string, objects ...spec.Object) {
	for i := range objects {
		if objects[i].Key != "" && objects[i].Store == "" {
			objects[i].Store = "memory"
		}
	}
	b.classes[name] = &spec.Class{Objects: objects}
}

func pod(account, name string) identity.Identity {
	namespace, sa, _ := strings.Cut(account, "/")
	return identity.Identity{Namespace: namespace, ServiceAccount: sa, Pod: name, PodUID: "uid-" + name}
}

func (b *bench) mount(as identity.Identity, class string) (map[string]string, map[string]string, error) {
	volume, err := b.Mount(context.Background(), engine.Request{Dialect: "test", Parameters: map[string]string{"class": class}, Identity: as})
	if err != nil {
		return nil, nil, err
	}
	files, versions := map[string]string{}, map[string]string{}
	for _, f := range volume.Files {
		files[f.Path] = string(f.Contents)
	}
	for _, v := range volume.Versions {
		versions[v.ID] = v.Version
	}
	return files, versions, nil
}

func (b *bench) mustMount(t *testing.T, as identity.Identity, class string) (files, versions map[string]string) {
	t.Helper()
	files, versions, err := b.mount(as, class)
	if err != nil {
		t.Fatalf("Mount: %v", err)
	}
	return files, versions
}

func (b *bench) wantFile(t *testing.T, as identity.Identity, class, path, want string) {
	t.Helper()
	if files, _ := b.mustMount(t, as, class); files[path] != want {
		t.Errorf("file %s = %q, want %q", path, files[path], want)
	}
}

func (b *bench) wantReads(t *testing.T, want int) {
	t.Helper()
	if got := b.memory.Total(); got != want {
		t.Errorf("the store was read %d times, want %d", got, want)
	}
}

func wantError(t *testing.T, err, kind error, texts ...string) {
	t.Helper()
	var mount *engine.MountError
	if !errors.As(err, &mount) || !errors.Is(err, kind) {
		t.Errorf("error %v, want a MountError of kind %q", err, kind)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
}

func unavailable(context.Context, store.Reference) error {
	return fmt.Errorf("%w: connection refused", fault.ErrUnavailable)
}

var web, api = pod("prod/web", "web-1"), pod("prod/api", "api-1")

func TestAMountHoldsEveryObjectInEveryShape(t *testing.T) {
	b := start(t, nil)
	b.memory.Put("db", `{"user":"app","password":"s3cret","port":5432}`)
	b.memory.Put("blob", base64.StdEncoding.EncodeToString([]byte("bytes")))
	b.class("web",
		spec.Object{Path: "db/all", Key: "db"},
		spec.Object{Path: "db/password", Key: "db", Property: "password"},
		spec.Object{Path: "db/port", Key: "db", Property: "port"},
		spec.Object{Name: "user", Key: "db", Property: "user"},
		spec.Object{Path: "blob", Key: "blob", Encoding: "base64"},
		spec.Object{Path: "each", Key: "db", Expand: true},
		spec.Object{Path: "url", Template: `postgres://{{ .user }}:{{ index . "db/password" }}@db`},
		spec.Object{Path: "maybe", Key: "nothing", Optional: true},
	)
	files, versions := b.mustMount(t, web, "web")
	want := map[string]string{
		"db/all": `{"user":"app","password":"s3cret","port":5432}`, "db/password": "s3cret", "db/port": "5432", "blob": "bytes",
		"each/user": "app", "each/password": "s3cret", "each/port": "5432", "url": "postgres://app:s3cret@db",
	}
	if fmt.Sprint(files) != fmt.Sprint(want) {
		t.Errorf("files = %v, want %v", files, want)
	}
	if len(versions) != 8 || versions["maybe"] != "absent" || len(versions["user"]) != len("keyprint-")+32 {
		t.Errorf("versions = %v, want eight, a hash for user and maybe absent", versions)
	}
	b.wantReads(t, 3)
}

func TestAValueIsReadOnceUntilItsRefreshIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", "one")
		b.class("web", spec.Object{Path: "a", Key: "a", Refresh: time.Minute})
		_, before := b.mustMount(t, web, "web")
		b.mustMount(t, pod("prod/web", "web-2"), "web")
		for range 4 {
			time.Sleep(13 * time.Second)
			b.wantFile(t, pod("prod/web", "web-2"), "web", "a", "one")
		}
		b.wantReads(t, 1)
		time.Sleep(20 * time.Second)
		_, unchanged := b.mustMount(t, web, "web")
		b.wantReads(t, 2)
		if before["a"] != unchanged["a"] {
			t.Errorf("version of an unchanged value went from %s to %s", before["a"], unchanged["a"])
		}
		b.memory.Put("a", "two")
		time.Sleep(70 * time.Second)
		b.wantFile(t, web, "web", "a", "two")
		if _, after := b.mustMount(t, web, "web"); after["a"] == before["a"] {
			t.Errorf("version stayed %s though the value changed", after["a"])
		}
	})
}

func TestTheVersionFollowsWhatTheClassAsksFor(t *testing.T) {
	b := start(t, nil)
	b.memory.Put("a", `{"x":"1","y":"2"}`)
	b.class("one", spec.Object{Path: "f", Key: "a", Property: "x"})
	b.class("two", spec.Object{Path: "f", Key: "a", Property: "y"})
	_, one := b.mustMount(t, web, "one")
	_, two := b.mustMount(t, web, "two")
	if one["f"] == two["f"] {
		t.Errorf("both classes show version %s for different contents", one["f"])
	}
}

func TestServiceAccountsShareNothing(t *testing.T) {
	b := start(t, nil)
	b.memory.Put("a", "secret")
	b.memory.Deny("prod/api")
	b.class("web", spec.Object{Path: "a", Key: "a"})
	b.wantFile(t, web, "web", "a", "secret")
	_, _, err := b.mount(api, "web")
	wantError(t, err, fault.ErrDenied, "object 1 (a)", "memory: a: permission denied")

	renamed := web
	renamed.Credentials = map[string]secret.Bytes{"password": secret.NewString("x")}
	b.wantFile(t, renamed, "web", "a", "secret")
	b.wantReads(t, 3)
}

func TestOneReadServesAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Behave = func(context.Context, store.Reference) error { time.Sleep(time.Second); return nil }
		var objects []spec.Object
		for i := range 20 {
			b.memory.Put(fmt.Sprint("key", i), "v")
			objects = append(objects, spec.Object{Path: fmt.Sprint("f", i), Key: fmt.Sprint("key", i)})
		}
		b.class("web", objects...)
		var wg sync.WaitGroup
		for i := range 110 {
			wg.Go(func() { b.mustMount(t, pod("prod/web", fmt.Sprint(i)), "web") })
		}
		wg.Wait()
		b.wantReads(t, 20)
	})
}

func TestAMountThatEndsEarlyDoesNotEndTheReadForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", "v")
		b.memory.Behave = func(ctx context.Context, _ store.Reference) error {
			select {
			case <-time.After(2 * time.Second):
				return nil
			case <-ctx.Done():
				return fmt.Errorf("%w: %w", fault.ErrUnavailable, ctx.Err())
			}
		}
		b.class("web", spec.Object{Path: "a", Key: "a"})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := b.Mount(ctx, engine.Request{Dialect: "test", Parameters: map[string]string{"class": "web"}, Identity: web})
			wantError(t, err, fault.ErrUnavailable, "no answer before the mount's time was over")
		})
		wg.Go(func() {
			time.Sleep(100 * time.Millisecond)
			b.wantFile(t, pod("prod/web", "web-2"), "web", "a", "v")
		})
		wg.Wait()
		b.wantReads(t, 1)
	})
}

func TestAStoreThatIsDownTakesNothingAwayForAsLongAsTheOperatorAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *config.Config) { c.Cache.StaleOnError = 5 * time.Minute; c.Cache.Idle = time.Hour })
		b.memory.Put("a", "v")
		b.class("web", spec.Object{Path: "a", Key: "a", Refresh: time.Minute})
		b.mustMount(t, web, "web")
		b.memory.Behave = unavailable

		time.Sleep(2 * time.Minute)
		b.wantFile(t, pod("prod/web", "new"), "web", "a", "v")
		_, _, err := b.mount(api, "web")
		wantError(t, err, fault.ErrUnavailable, "connection refused")

		reads := b.memory.Total()
		b.mustMount(t, web, "web")
		b.wantReads(t, reads) // the store is left alone for some seconds

		time.Sleep(5 * time.Minute)
		_, _, err = b.mount(web, "web")
		wantError(t, err, fault.ErrUnavailable, "connection refused")

		b.memory.Behave = nil
		b.wantFile(t, web, "web", "a", "v")
	})
}

func TestARefusalIsNotPaperedOverWithAnOldValue(t *testing.T) {
	for name, cause := range map[string]error{"denied": fault.ErrDenied, "not found": fault.ErrNotFound, "not authenticated": fault.ErrUnauthenticated, "invalid": fault.ErrInvalid} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, nil)
				b.memory.Put("a", "v")
				b.class("web", spec.Object{Path: "a", Key: "a"})
				b.mustMount(t, web, "web")
				b.memory.Behave = func(context.Context, store.Reference) error { return cause }
				time.Sleep(3 * time.Minute)
				_, _, err := b.mount(web, "web")
				wantError(t, err, cause)
				b.memory.Behave = unavailable
				_, _, err = b.mount(web, "web")
				wantError(t, err, fault.ErrUnavailable)
			})
		})
	}
}

func TestEveryFailureIsNamedAtOnce(t *testing.T) {
	b := start(t, nil)
	b.memory.Put("json", `{"x":null}`)
	b.memory.Put("two", `{"x":"no hex","y":"no hex"}`)
	b.class("web",
		spec.Object{Path: "a", Key: "gone"},
		spec.Object{Path: "b", Key: "gone", Property: "x"},
		spec.Object{Path: "c", Key: "json", Property: "y"},
		spec.Object{Path: "d", Key: "json"},
		spec.Object{Path: "e", Key: "json", Encoding: "hex"},
		spec.Object{Path: "f", Key: "two", Encoding: "hex", Expand: true},
	)
	_, _, err := b.mount(web, "web")
	wantError(t, err, fault.ErrInvalid, "5 of 6 objects failed: ", "object 1 (a), object 2 (b): memory: gone: not found", "object 3 (c): memory: property y", "object 5 (e): memory: encoding", "expand: key x: encoding", "expand: key y: encoding")

	b.memory.Behave = unavailable
	_, _, err = b.mount(api, "web")
	wantError(t, err, fault.ErrUnavailable, "object 1 (a), object 2 (b), object 3 (c), object 4 (d), object 5 (e), object 6 (f): memory: unavailable: connection refused")
}

func TestAnOptionalObjectAppearsWhenItsSecretDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.class("web", spec.Object{Path: "a", Key: "a", Optional: true, Refresh: time.Minute})
		files, versions := b.mustMount(t, web, "web")
		if len(files) != 0 || versions["a"] != "absent" {
			t.Errorf("files %v, versions %v; want none and absent", files, versions)
		}
		for range 3 {
			b.mustMount(t, web, "web")
		}
		b.wantReads(t, 1)
		b.memory.Put("a", "v")
		time.Sleep(70 * time.Second)
		b.wantFile(t, web, "web", "a", "v")

		b.memory.Behave = unavailable
		time.Sleep(time.Hour)
		_, _, err := b.mount(web, "web")
		wantError(t, err, fault.ErrUnavailable) // unavailable is not missing
	})
}

func TestALeaseBelongsToOnePodAndLivesUntilItsMaximum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		renewals := 0
		b.memory.Lease = func(store.Reference, int) *store.Lease {
			return Renewable(time.Now, 10*time.Minute, time.Hour, func() { renewals++ })
		}
		b.memory.Put("creds", "user")
		b.class("web", spec.Object{Path: "a", Key: "creds"}, spec.Object{Path: "b", Key: "creds"})
		one, two := web, pod("prod/web", "web-2")
		b.wantFile(t, one, "web", "b", "user issue 1")
		b.wantFile(t, two, "web", "a", "user issue 2")
		issued := time.Now()
		current := "user issue 1"
		for time.Since(issued) < 2*time.Hour {
			time.Sleep(80 * time.Second)
			files, _ := b.mustMount(t, one, "web")
			if files["a"] != current {
				if age := time.Since(issued); age < 50*time.Minute || age > time.Hour-80*time.Second {
					t.Errorf("replaced after %v; its maximum is an hour", age)
				}
				current, issued = files["a"], time.Now()
				if current == "user issue 3" {
					break
				}
			}
		}
		if current != "user issue 3" {
			t.Errorf("pod one ended with %q, want its second credential", current)
		}
		if renewals < 8 {
			t.Errorf("%d renewals in an hour of ten-minute leases", renewals)
		}
	})
}

func TestLeasesThatEndSoonAreCountedWhileTheirPodPolls(t *testing.T) {
	for name, test := range map[string]struct {
		down  bool // the store is, after the first mount
		polls int  // of 80 s
		gone  time.Duration
		want  float64
	}{
		"replaced in time":                 {polls: 90},
		"the store is down, and time left": {down: true, polls: 36},
		"the store is down":                {down: true, polls: 40, want: 1},
		"its pod is gone":                  {down: true, polls: 38, gone: 6 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, nil)
				b.memory.Lease = func(store.Reference, int) *store.Lease {
					return &store.Lease{Duration: time.Hour, Expires: time.Now().Add(time.Hour)}
				}
				b.memory.Put("creds", "user")
				b.class("web", spec.Object{Path: "a", Key: "creds"})
				b.mustMount(t, web, "web")
				if test.down {
					b.memory.Behave = func(context.Context, store.Reference) error { return fault.ErrUnavailable }
				}
				for range test.polls {
					time.Sleep(80 * time.Second)
					b.mustMount(t, web, "web")
				}
				time.Sleep(test.gone)
				if got := gauge(t, b.registry, "lanyard_leases_ending"); got != test.want {
					t.Errorf("%v leases end soon, want %v", got, test.want)
				}
			})
		})
	}
}

func TestManyPodsAtOnceEachGetALeaseOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Behave = func(context.Context, store.Reference) error { time.Sleep(time.Second); return nil }
		b.memory.Lease = func(store.Reference, int) *store.Lease {
			return &store.Lease{Duration: time.Hour, Expires: time.Now().Add(time.Hour)}
		}
		b.memory.Put("creds", "user")
		b.class("web", spec.Object{Path: "a", Key: "creds"})
		var mu sync.Mutex
		seen := map[string]bool{}
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				files, _ := b.mustMount(t, pod("prod/web", fmt.Sprint(i)), "web")
				mu.Lock()
				defer mu.Unlock()
				seen[files["a"]] = true
			})
		}
		wg.Wait()
		if len(seen) != 20 {
			t.Errorf("20 pods hold %d different credentials", len(seen))
		}
		b.wantReads(t, 20)
	})
}

func TestALeaseThatIsRefusedRenewalIsReplacedAtTheNextPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Lease = func(_ store.Reference, _ int) *store.Lease {
			return &store.Lease{Duration: time.Hour, Expires: time.Now().Add(time.Hour), Renew: func(context.Context) (*store.Lease, error) {
				return nil, fmt.Errorf("%w: lease not found", fault.ErrInvalid)
			}}
		}
		b.memory.Put("creds", "user")
		b.class("web", spec.Object{Path: "a", Key: "creds"})
		b.mustMount(t, web, "web")
		for range 25 {
			time.Sleep(80 * time.Second)
			b.mustMount(t, web, "web")
		}
		b.wantFile(t, web, "web", "a", "user issue 2")
	})
}

func TestAPodThatNoLongerPollsLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		renewals := 0
		b.memory.Lease = func(store.Reference, int) *store.Lease {
			return Renewable(time.Now, 10*time.Minute, 24*time.Hour, func() { renewals++ })
		}
		b.memory.Put("creds", "user")
		b.class("web", spec.Object{Path: "a", Key: "creds"})
		b.mustMount(t, web, "web")
		time.Sleep(time.Hour)
		synctest.Wait()
		if renewals > 2 {
			t.Errorf("%d renewals for a pod that was gone", renewals)
		}
		if got := gauge(t, b.registry, "lanyard_cache_entries"); got != 0 {
			t.Errorf("%v entries are left", got)
		}
		if got := gauge(t, b.registry, "lanyard_cache_bytes"); got != 0 {
			t.Errorf("%v bytes are left", got)
		}
		if b.memory.Closed() == 0 {
			t.Error("the store was not closed")
		}
	})
}

func gauge(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestTheCacheStaysWithinItsBytes(t *testing.T) {
	b := start(t, func(c *config.Config) { c.Cache.Bytes = 1 << 20 })
	b.memory.Put("big", strings.Repeat("x", 100<<10))
	b.class("web", spec.Object{Path: "a", Key: "big"})
	for i := range 50 {
		b.mustMount(t, pod(fmt.Sprintf("prod/sa%d", i), "p"), "web")
	}
	if got := gauge(t, b.registry, "lanyard_cache_bytes"); got > 1<<20 {
		t.Errorf("the cache holds %v bytes, want at most 1 MiB", got)
	}
}

func TestAResponseOverTheBoundNamesItsLargestFiles(t *testing.T) {
	b := start(t, func(c *config.Config) { c.Bounds.ResponseBytes = 64 << 10 })
	b.memory.Put("big", strings.Repeat("x", 60<<10))
	b.memory.Put("small", strings.Repeat("x", 10<<10))
	b.class("web", spec.Object{Path: "large-file", Key: "big"}, spec.Object{Path: "b", Key: "small"})
	_, _, err := b.mount(web, "web")
	wantError(t, err, fault.ErrTooLarge, "large-file (61440 bytes)", "another volume")
}

func TestAStoreThatPanicsFailsOneMount(t *testing.T) {
	b := start(t, nil)
	b.memory.Put("a", "v")
	b.memory.Behave = func(context.Context, store.Reference) error { panic("planted-value") }
	b.class("web", spec.Object{Path: "a", Key: "a"})
	_, _, err := b.mount(web, "web")
	wantError(t, err, fault.ErrInternal)
	if strings.Contains(err.Error(), "planted") {
		t.Errorf("error %q shows what the panic said", err)
	}
	b.memory.Behave = nil
	b.wantFile(t, web, "web", "a", "v")
}

func TestAClockThatIsSetBackMakesValuesOld(t *testing.T) {
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return clock }
	memory := NewMemory()
	memory.Put("a", "one")
	cfg := config.Default()
	cfg.Stores = map[string]config.Store{"memory": {Type: "memory"}}
	eng, err := engine.New(engine.Options{
		Config: cfg, Types: []store.Type{memory}, Calls: remote.NewCalls(1), Metrics: prometheus.NewRegistry(), Now: now,
		Dialects: map[string]spec.Dialect{"test": func(map[string]string) (*spec.Class, error) {
			return &spec.Class{Objects: []spec.Object{{Path: "a", Store: "memory", Key: "a"}}}, nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(eng.Close)
	read := func() string {
		volume, err := eng.Mount(t.Context(), engine.Request{Dialect: "test", Identity: web})
		if err != nil {
			t.Fatal(err)
		}
		return string(volume.Files[0].Contents)
	}
	read()
	memory.Put("a", "two")
	for _, jump := range []time.Duration{-24 * time.Hour, 365 * 24 * time.Hour} {
		mu.Lock()
		clock = clock.Add(jump)
		mu.Unlock()
		if got := read(); got != "two" {
			t.Errorf("after the clock jumped by %v the file holds %q", jump, got)
		}
	}
}

func TestATemplateMayUseOnlyWhatTheClassHas(t *testing.T) {
	b := start(t, nil)
	b.memory.Put("a", `{"x":"1"}`)
	b.class("web",
		spec.Object{Name: "user", Key: "a", Property: "x"},
		spec.Object{Path: "each", Key: "a", Expand: true},
		spec.Object{Path: "t", Template: `{{ .usr }} {{ .each }} {{ .t }}`},
	)
	_, _, err := b.mount(web, "web")
	wantError(t, err, fault.ErrInvalid, "object 3 (t): template: no object is named usr", "did you mean user?", "no object is named each", "no object is named t;")
}

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

// The driver bounds the message, of which names and versions are a part too.
func TestTheBoundOnResponsesCountsAllThatTheMessageHolds(t *testing.T) {
	const bound = 256 << 10
	for name, object := range map[string]func(i int) spec.Object{
		"long paths": func(i int) spec.Object {
			return spec.Object{Path: strings.Repeat("p", 240) + fmt.Sprint(i), Key: "v"}
		},
		"long names": func(i int) spec.Object {
			return spec.Object{Name: strings.Repeat("n", 240) + fmt.Sprint(i), Key: "v"}
		},
		"name beside a path": func(i int) spec.Object {
			return spec.Object{Path: fmt.Sprint(i), Name: strings.Repeat("n", 240) + fmt.Sprint(i), Key: "v"}
		},
		"short paths": func(i int) spec.Object { return spec.Object{Path: fmt.Sprint(i), Key: "v"} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, func(c *config.Config) { c.Bounds.ResponseBytes, c.Bounds.Objects = bound, 10_000 })
				b.memory.Put("v", "v")
				for n := 200; ; n += 200 {
					var objects []spec.Object
					for i := range n {
						objects = append(objects, object(i))
					}
					class := fmt.Sprint("web", n)
					b.class(class, objects...)
					volume, err := b.Mount(t.Context(), engine.Request{Dialect: "test", Parameters: map[string]string{"class": class}, Identity: web})
					if err != nil {
						wantError(t, err, fault.ErrTooLarge)
						return
					}
					response := &v1alpha1.MountResponse{}
					for _, f := range volume.Files {
						response.Files = append(response.Files, &v1alpha1.File{Path: f.Path, Mode: 0o777, Contents: f.Contents})
					}
					for _, v := range volume.Versions {
						response.ObjectVersion = append(response.ObjectVersion, &v1alpha1.ObjectVersion{Id: v.ID, Version: v.Version})
					}
					if size := proto.Size(response); size > bound {
						t.Fatalf("%d objects are accepted and make a message of %d bytes; the bound is %d", n, size, bound)
					}
				}
			})
		})
	}
}

func TestAClassCannotMakeMoreInMemoryThanAFewFullVolumes(t *testing.T) {
	large := `{"v":"` + strings.Repeat("x", 1<<20) + `"}`
	for name, object := range map[string]spec.Object{
		"properties":                      {Property: "v"},
		"properties that no file shows":   {Property: "v"},
		"values that templates might use": {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, nil)
				b.memory.Put("large", large)
				objects := []spec.Object{{Path: "t", Template: "text"}}
				for i := range 300 {
					o := object
					o.Key, o.Name = "large", fmt.Sprint("n", i)
					if name == "properties" {
						o.Path = fmt.Sprint("p", i)
					}
					objects = append(objects, o)
				}
				b.class("web", objects...)
				before, after := runtime.MemStats{}, runtime.MemStats{}
				runtime.ReadMemStats(&before)
				_, _, err := b.mount(web, "web")
				runtime.ReadMemStats(&after)
				wantError(t, err, fault.ErrTooLarge)
				if made := after.TotalAlloc - before.TotalAlloc; made > 200<<20 {
					t.Errorf("the mount made %d MiB in memory", made>>20)
				}
			})
		})
	}
}

func TestAMountDoesNotBringTogetherMoreThanTheCacheHolds(t *testing.T) {
	b := start(t, func(c *config.Config) {
		c.Cache.Bytes, c.Bounds.ResponseBytes, c.Bounds.StoreCalls = 1<<20, 256<<10, 4
	})
	var objects []spec.Object
	for i := range 500 {
		b.memory.Put(fmt.Sprint("k", i), `{"small":"1","large":"`+strings.Repeat("x", 128<<10)+`"}`)
		objects = append(objects, spec.Object{Path: fmt.Sprint("p", i), Key: fmt.Sprint("k", i), Property: "small"})
	}
	b.class("few", objects[:6]...)
	if files, _ := b.mustMount(t, web, "few"); len(files) != 6 {
		t.Errorf("%d files, want 6", len(files))
	}
	b.class("many", objects...)
	_, _, err := b.mount(web, "many")
	wantError(t, err, fault.ErrTooLarge, "the secrets that the class reads have more than 1048576 bytes in total")
	if reads := b.memory.Total(); reads > 40 {
		t.Errorf("%d secrets were read; the bound was passed after 8", reads)
	}
}

// The class has 7,000 unknown names, each of which is like 500 known ones.
func TestAClassOfManyUnknownNamesIsRefusedSoon(t *testing.T) {
	b := start(t, nil)
	var objects []spec.Object
	for i := range 500 {
		objects = append(objects, spec.Object{Name: fmt.Sprint("database-password-", i), Key: "a"})
	}
	var text strings.Builder
	for i := range 3500 {
		fmt.Fprintf(&text, "{{.password%d}}", i)
	}
	for i := range 2 {
		objects = append(objects, spec.Object{Path: fmt.Sprint("t", i), Template: text.String()})
	}
	b.class("web", objects...)
	err := b.Check("test", map[string]string{"class": "web"})
	var problems spec.Problems
	if !errors.As(err, &problems) || len(problems) > 200 {
		t.Errorf("%d problems, of which at most twenty are told", len(problems))
	}
}

func TestAClassCompilesOnlySoMuch(t *testing.T) {
	b := start(t, nil)
	b.memory.Put("a", "v")
	for name, objects := range map[string][]spec.Object{
		"templates":  {{Template: strings.Repeat("x", 60<<10)}},
		"properties": {{Key: "a", Property: "a" + strings.Repeat(".a", 2000)}},
	} {
		text := len(objects[0].Template) + len(objects[0].Property)
		for fits := 131072 / text; len(objects) < fits; {
			objects = append(objects, objects[0])
		}
		for i := range objects {
			objects[i].Path = fmt.Sprint(i)
		}
		b.class(name, objects...)
		if err := b.Check("test", map[string]string{"class": name}); err != nil {
			t.Errorf("%d %s: %v", len(objects), name, err)
		}
		more := objects[0]
		more.Path = "more"
		b.class(name, append(objects, more)...)
		if err := b.Check("test", map[string]string{"class": name}); err == nil || !strings.Contains(err.Error(), "a class may have at most 131072") {
			t.Errorf("%d %s: %v", len(objects)+1, name, err)
		}
	}
}

// A compiled template takes many times its text, and a class may be given in
// as many ways as a pod has volumes.
func TestThePlansOfManyClassesStayWithinTheirMemory(t *testing.T) {
	for name, templates := range map[string]int{"one large template": 1, "many": 2} {
		t.Run(name, func(t *testing.T) {
			b := start(t, nil)
			b.memory.Put("a", "v")
			before, after := runtime.MemStats{}, runtime.MemStats{}
			runtime.GC()
			runtime.ReadMemStats(&before)
			for i := range 40 / templates {
				objects := []spec.Object{{Name: "a", Key: "a"}}
				for j := range templates {
					objects = append(objects, spec.Object{Path: fmt.Sprint("t", j), Template: `{{with ""}}` + strings.Repeat("{{.a}}", 8000) + `{{end}}`})
				}
				class := fmt.Sprint("web", i)
				b.class(class, objects...)
				b.mustMount(t, web, class)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
				t.Errorf("%d MiB are kept", grown>>20)
			}
		})
	}
}

// Each class shows the same secret, and is asked for before the secret is read
// anew for the next one: the volumes hold many readings of it.
func TestVolumesThatOutlastTheirValuesCountAgainstTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *config.Config) { c.Cache.Bytes, c.Cache.Idle = 8<<20, time.Hour })
		before, after := runtime.MemStats{}, runtime.MemStats{}
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range 64 {
			b.memory.Put("a", strings.Repeat("x", 1<<20))
			class := fmt.Sprint("web", i)
			b.class(class, spec.Object{Path: "a", Key: "a", Refresh: time.Second})
			b.mustMount(t, web, class)
			time.Sleep(2 * time.Second)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 12<<20 {
			t.Errorf("%d MiB are kept; the cache may hold 8", grown>>20)
		}
		time.Sleep(2 * time.Hour)
		if bytes := gauge(t, b.registry, "lanyard_cache_bytes"); bytes != 0 {
			t.Errorf("the empty cache counts %v bytes", bytes)
		}
	})
}

func TestAFullCacheKeepsCredentialsThatWouldBeIssuedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *config.Config) { c.Cache.Bytes = 1 << 20 })
		b.memory.Lease = func(ref store.Reference, _ int) *store.Lease {
			if ref.Key != "creds" {
				return nil
			}
			return &store.Lease{Duration: time.Hour, Expires: time.Now().Add(time.Hour)}
		}
		b.memory.Put("creds", "user")
		b.class("creds", spec.Object{Path: "a", Key: "creds"})
		first, _ := b.mustMount(t, web, "creds")
		for i := range 40 {
			key := fmt.Sprint("large", i)
			b.memory.Put(key, strings.Repeat("x", 200<<10))
			b.class(key, spec.Object{Path: "a", Key: key})
			b.mustMount(t, api, key)
			time.Sleep(time.Second)
		}
		if again, _ := b.mustMount(t, web, "creds"); again["a"] != first["a"] {
			t.Errorf("the credential was issued anew: %s, %s", first["a"], again["a"])
		}
		if volumes, values, leased := evicted(t, b, "volume"), evicted(t, b, "value"), evicted(t, b, "leased"); volumes == 0 || values == 0 || leased != 0 {
			t.Errorf("evicted are %v volumes, %v values and %v with a lease", volumes, values, leased)
		}

		// Credentials alone are bounded too.
		for i := range 2000 {
			b.mustMount(t, pod("prod/web", fmt.Sprint(i)), "creds")
		}
		if bytes, leased := gauge(t, b.registry, "lanyard_cache_bytes"), evicted(t, b, "leased"); bytes > 1<<20 || leased == 0 {
			t.Errorf("%v bytes in the cache, %v leases evicted", bytes, leased)
		}
	})
}

func TestWaitingForACallIsNotToldAsAStoreThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Put("a", "v")
		b.class("web", spec.Object{Path: "a", Key: "a"})
		b.memory.Behave = func(ctx context.Context, _ store.Reference) error {
			<-ctx.Done()
			return fmt.Errorf("%w: %w at vault:8200: %w", fault.ErrUnavailable, remote.ErrNoSlot, ctx.Err())
		}
		_, _, err := b.mount(web, "web")
		wantError(t, err, fault.ErrUnavailable, "concurrency limit reached at vault:8200")
	})
}

// evicted is how much of something was evicted.
func evicted(t *testing.T, b *bench, what string) float64 {
	t.Helper()
	return labelled(t, b, "lanyard_cache_evictions_total", what)
}

// labelled is the metric of a name whose first label has a value.
func labelled(t *testing.T, b *bench, name, label string) float64 {
	t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() // one of which is zero
			}
		}
	}
	t.Fatalf("there is no %s of %s", name, label)
	return 0
}

// The driver refuses a whole volume for one path that is too long.
func TestAnExpandedObjectMakesNoPathThatTheDriverRefuses(t *testing.T) {
	deep := strings.TrimSuffix(strings.Repeat(strings.Repeat("d", 100)+"/", 40), "/") // 4,039 bytes
	for key, fits := range map[string]bool{strings.Repeat("k", 56): true, strings.Repeat("k", 57): false} {
		b := start(t, nil)
		b.memory.Put("a", `{"`+key+`":"v"}`)
		b.class("web", spec.Object{Path: deep, Key: "a", Expand: true})
		_, _, err := b.mount(web, "web")
		if fits && err != nil {
			t.Errorf("a path of 4096 bytes: %v", err)
		}
		if !fits {
			wantError(t, err, fault.ErrInvalid, "expand: the path of key kkk", "is longer than 4096 bytes")
		}
	}
}

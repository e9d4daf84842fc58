package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

// audited starts an engine with a trail, in a file of its own.
func audited(t *testing.T, change func(*config.Config)) (b *bench, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "audit.log")
	return start(t, func(c *config.Config) {
		c.Cluster, c.Audit.File.Path = "prod-eu", file
		if change != nil {
			change(c)
		}
	}), file
}

// trailOf ends the trail and returns its records, each as text for comparison: without
// times, with its objects.
func trailOf(t *testing.T, b *bench, file string) (all []string) {
	t.Helper()
	b.trail.Close()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(content) {
		var r audit.Record
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		text := fmt.Sprintf("%s %s %s/%s %s", r.Event, r.Result, r.Namespace, r.ServiceAccount, r.PodUID)
		for _, field := range []string{r.Class, r.Store, r.StoreType, r.Method, r.Key, r.Version, r.StoreVersion, r.Cause} {
			if field != "" {
				text += " " + field
			}
		}
		var objects []audit.Object
		if len(r.Objects) > 0 {
			if err := json.Unmarshal(r.Objects, &objects); err != nil {
				t.Fatal(err)
			}
		}
		for _, o := range objects {
			text += fmt.Sprintf(" [%s %s:%s@%s %s]", o.Object, o.Store, o.Key, o.StoreVersion, o.From)
			if (o.FileVersion == "" && o.StoreVersion == "") != (o.From == audit.FromAbsent) || (o.FileVersion != "" && o.StoreVersion != "") {
				t.Errorf("object %+v: a version and absent, or neither, or two", o)
			}
		}
		if r.Node != "node-1" || (r.Cluster != "prod-eu") != (r.Event == audit.Lost) || r.Time.IsZero() {
			t.Errorf("record %+v", r)
		}
		all = append(all, text)
	}
	return all
}

func wantTrail(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("the trail is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEachReadAndEachDeliveryHasARecord(t *testing.T) {
	b, file := audited(t, nil)
	b.memory.Put("db", `{"user":"app","password":"s3cret"}`)
	b.memory.Put("token", "t0ken")
	b.memory.Deny("prod/api")
	b.class("web",
		spec.Object{Path: "user", Key: "db", Property: "user"}, spec.Object{Path: "password", Key: "db", Property: "password"},
		spec.Object{Path: "gone", Key: "gone", Optional: true}, spec.Object{Path: "config", Template: "{{ .user }}"},
	)
	b.class("more", spec.Object{Path: "token", Key: "token"}, spec.Object{Path: "db", Key: "db"})
	b.class("missing", spec.Object{Path: "gone", Key: "gone"})
	mount := func(as, class string) {
		_, _ = b.Mount(t.Context(), engine.Request{Dialect: "test", Class: class, Parameters: map[string]string{"class": class}, Identity: pod(as, strings.Split(as, "/")[1])})
	}
	mount("prod/web", "web")
	mount("prod/web", "web") // from memory
	mount("prod/web", "web") // and so is the record
	mount("prod/web", "more")
	mount("prod/api", "more")
	mount("prod/web", "missing")
	b.classes["wrong"] = &spec.Class{Objects: []spec.Object{{Path: "a", Store: "elsewhere", Key: "k"}}}
	mount("prod/web", "wrong")
	got := trailOf(t, b, file)
	sortReads(got)
	const known = "[user memory:db@1 %s] [password memory:db@1 %s] [gone memory:gone@ absent] [config :@ template]"
	wantTrail(t, got,
		"read not_found prod/web uid-web memory memory gone gone: not found",
		"read ok prod/web uid-web memory memory db 1",
		"delivery ok prod/web uid-web web "+strings.ReplaceAll(known, "%s", "store"),
		"delivery ok prod/web uid-web web "+strings.ReplaceAll(known, "%s", "cache"),
		"delivery ok prod/web uid-web web "+strings.ReplaceAll(known, "%s", "cache"),
		"read ok prod/web uid-web memory memory token 1",
		"delivery ok prod/web uid-web more [token memory:token@1 store] [db memory:db@1 cache]",
		"read denied prod/api uid-api memory memory db db: permission denied for system:serviceaccount:prod:api",
		"read denied prod/api uid-api memory memory token token: permission denied for system:serviceaccount:prod:api",
		"delivery denied prod/api uid-api more 2 of 2 objects failed: object 1 (token): memory: token: permission denied for system:serviceaccount:prod:api; object 2 (db): memory: db: permission denied for system:serviceaccount:prod:api",
		"read not_found prod/web uid-web memory memory gone gone: not found",
		"delivery not_found prod/web uid-web missing object 1 (gone): memory: gone: not found",
		"delivery invalid prod/web uid-web wrong the SecretProviderClass cannot be used: object 1 (a): store: store elsewhere: no store of that name is configured; configured are memory",
	)
	if content, err := os.ReadFile(file); err != nil || bytes.Contains(content, []byte("s3cret")) || bytes.Contains(content, []byte("t0ken")) {
		t.Errorf("the trail has a value (%v)", err)
	}
}

// sortReads sorts reads that stand together, which end in any order.
func sortReads(trail []string) {
	for i := 0; i < len(trail); i++ {
		first := i
		for i < len(trail) && strings.HasPrefix(trail[i], "read ") {
			i++
		}
		slices.Sort(trail[first:i])
	}
}

// sealedMemory is Memory in the place of the store of sealed values.
type sealedMemory struct{ *Memory }

// Name implements store.Type.
func (sealedMemory) Name() string { return "sealed" }

// A sealed value's key at its store is its ciphertext.
// A login is recorded for whom it was made and under the store that it was made for; one of
// the process itself is nobody's.
func TestEachLoginHasARecord(t *testing.T) {
	b, file := audited(t, nil)
	ctx := remote.WithStore(t.Context(), "memory")
	as := identity.Key{Cluster: "prod-eu", Namespace: "prod", ServiceAccount: "web"}
	b.calls.LoggedIn(ctx, remote.Login{Identity: as, StoreType: "vault", Method: "kubernetes"})
	b.calls.LoggedIn(ctx, remote.Login{Identity: as, StoreType: "vault", Method: "kubernetes", Err: fault.Failf(fault.ErrUnauthenticated, "login as role %q: refused", "web\n")})
	b.calls.LoggedIn(t.Context(), remote.Login{Identity: identity.Key{Cluster: "prod-eu"}, StoreType: "aws", Method: "node webIdentity"})
	wantTrail(t, trailOf(t, b, file),
		"login ok prod/web  memory vault kubernetes",
		`login unauthenticated prod/web  memory vault kubernetes login as role "web\n": refused`,
		"login ok /  aws node webIdentity",
	)
}

func TestNoRecordHasASealedText(t *testing.T) {
	memory, file := NewMemory(), filepath.Join(t.TempDir(), "audit.log")
	b := startWith(t, sealedMemory{memory}, memory, func(c *config.Config) {
		c.Cluster, c.Audit.File.Path = "prod-eu", file
		c.Stores = map[string]config.Store{"sealed": {Type: "sealed"}}
	})
	const text = "lanyard.v1.AQFd"
	memory.Put(text, "v")
	b.class("web", spec.Object{Path: "a", Sealed: text})
	b.mustMount(t, web, "web")
	got := trailOf(t, b, file)
	if content, err := os.ReadFile(file); err != nil || bytes.Contains(content, []byte(text)) {
		t.Errorf("the trail has a sealed text (%v):\n%s", err, content)
	}
	if len(got) != 2 {
		t.Errorf("the trail is %q", got)
	}
}

func TestWithoutARecordThereIsNoVolume(t *testing.T) {
	for _, required := range []bool{true, false} {
		t.Run(fmt.Sprint("required ", required), func(t *testing.T) {
			b, file := audited(t, func(c *config.Config) { c.Audit.Required = required })
			b.memory.Put("k", "v")
			b.class("web", spec.Object{Path: "a", Key: "k"})
			b.mustMount(t, web, "web")
			// The file cannot be opened any more, as after a log rotation that went wrong.
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(file, 0o700); err != nil {
				t.Fatal(err)
			}
			b.trail.Reopen()
			for range 2 { // read, and from memory
				_, _, err := b.mount(web, "web")
				if !required {
					if err != nil {
						t.Error(err)
					}
					continue
				}
				wantError(t, err, fault.ErrUnavailable, "the audit record could not be written, and without one nothing is given out (audit.required)", "is a directory")
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			b.mustMount(t, web, "web")
			got := trailOf(t, b, file)
			if required {
				wantTrail(t, got, "lost file / ", "delivery ok prod/web uid-web-1 [a memory:k@1 cache]")
			} else if len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "delivery ok") {
				t.Errorf("the trail is %q", got)
			}
		})
	}
}

// The read of one pod is shared by others: one record of the read, and one of each
// delivery.
func TestASharedReadHasOneRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, file := audited(t, nil)
		b.memory.Put("k", "v")
		release := make(chan struct{})
		b.memory.Behave = func(context.Context, store.Reference) error { <-release; return nil }
		b.class("web", spec.Object{Path: "a", Key: "k"})
		done := make(chan error)
		for i := range 3 {
			go func() { _, _, err := b.mount(pod("prod/web", fmt.Sprint(i)), "web"); done <- err }()
			synctest.Wait()
		}
		close(release)
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		got := trailOf(t, b, file)
		slices.Sort(got)
		wantTrail(t, got,
			"delivery ok prod/web uid-0 [a memory:k@1 store]", "delivery ok prod/web uid-1 [a memory:k@1 cache]", "delivery ok prod/web uid-2 [a memory:k@1 cache]",
			"read ok prod/web uid-0 memory memory k 1")
	})
}

// BenchmarkAudit is BenchmarkRepeatMount without a trail and with one in a file, which
// every mount waits for.
func BenchmarkAudit(b *testing.B) {
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprint("on ", on), func(b *testing.B) {
			settings := config.DefaultAudit()
			if on {
				settings.File.Path, settings.Required = filepath.Join(b.TempDir(), "audit.log"), true
			}
			trail, err := audit.New(audit.Options{Settings: settings, Now: time.Now})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(trail.Close)
			repeatMount(b, trail, nil)
		})
	}
}

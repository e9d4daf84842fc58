package engine_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

// Whoever fixes a secret need not wait for its refresh interval, and a volume
// that cannot be made does not hammer the store.
func TestAValueThatMakesNoVolumeIsReadAgainSoon(t *testing.T) {
	for name, object := range map[string]spec.Object{
		"property": {Path: "a", Key: "db", Property: "password", Refresh: time.Hour},
		"expand":   {Path: "a", Key: "db", Property: "all", Expand: true, Refresh: time.Hour},
		"template": {Path: "a", Template: `{{ (index . "db" | fromJson).password }}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, nil)
				b.memory.Put("db", `{"user":"app"}`)
				b.memory.Put("other", "v")
				b.class("web", object, spec.Object{Name: "db", Key: "db", Refresh: time.Hour})
				b.class("other", spec.Object{Path: "other", Key: "other", Refresh: time.Hour})
				b.mustMount(t, web, "other")
				for i := range 40 { // four seconds of pods that all fail
					if _, _, err := b.mount(pod("prod/web", fmt.Sprint(i)), "web"); err == nil {
						t.Fatal("a volume was made")
					}
					time.Sleep(100 * time.Millisecond)
				}
				b.wantReads(t, 6)

				b.memory.Put("db", `{"password":"s3cret","all":{"b":"c"}}`)
				time.Sleep(time.Second)
				b.mustMount(t, web, "web")
				b.mustMount(t, web, "other")
				b.wantReads(t, 7)
				// What makes a volume is kept as long as any other.
				time.Sleep(5 * time.Minute)
				b.mustMount(t, web, "web")
				b.wantReads(t, 7)
			})
		})
	}
}

func TestALeaseIsNotIssuedAnewForAVolumeThatCannotBeMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Lease = func(store.Reference, int) *store.Lease {
			return &store.Lease{Duration: time.Hour, Expires: time.Now().Add(time.Hour)}
		}
		b.memory.Put("creds", `{"user":"app"}`)
		b.class("web", spec.Object{Path: "a", Key: "creds", Property: "password"})
		for range 10 {
			if _, _, err := b.mount(web, "web"); err == nil {
				t.Fatal("a volume was made")
			}
			time.Sleep(30 * time.Second)
		}
		b.wantReads(t, 1)
	})
}

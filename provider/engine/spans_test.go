package engine_test

import (
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/internal/span"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/tracing/tracingtest"
)

// Each mount has a tree: what was planned, found in memory, and read. No span has a value, the name of a secret, or the
// text of an error.
func TestAMountIsTraced(t *testing.T) {
	receiver := tracingtest.New(t)
	b := start(t, func(c *config.Config) { c.Cluster, c.Tracing.URL = "prod-eu", receiver.URL })
	b.memory.Put("planted-key", `{"user":"planted-user","password":"planted-password"}`)
	b.memory.Put("planted-token", "planted")
	b.memory.Deny("prod/api")
	b.class("web", spec.Object{Path: "planted-path", Key: "planted-key", Property: "user"}, spec.Object{Path: "config", Template: `{{ index . "planted-path" }}`})
	b.class("more", spec.Object{Path: "token", Key: "planted-token"}, spec.Object{Path: "db", Key: "planted-key"})
	b.classes["wrong"] = &spec.Class{Objects: []spec.Object{{Path: "a", Store: "planted-store", Key: "planted-key"}}}
	mount := func(as, class string) {
		_, _ = b.Mount(t.Context(), engine.Request{Dialect: "test", Class: class, Parameters: map[string]string{"class": class}, Identity: pod(as, strings.Split(as, "/")[1])})
	}
	mount("prod/web", "web")
	mount("prod/web", "web")
	mount("prod/web", "more")
	mount("prod/api", "more")
	mount("prod/web", "wrong")
	b.tracer.Close()
	const mounted = "mount name=prod-eu name=prod name=%s uid=uid-%s service_account=%s class=%s dialect=test result="
	of := func(account, class, result string) string {
		text := strings.Replace(strings.ReplaceAll(mounted, "%s", account), "class="+account, "class="+class, 1) + result
		if result != "ok" {
			text += " FAILED " + result
		}
		return text + "\n"
	}
	const read = "    read store=memory type=memory references=1"
	want := of("web", "web", "ok") + "  plan made=true\n  cache hits=0 misses=1 stale=0 failed=0\n" + read + "\n" +
		of("web", "web", "ok") + "  plan\n  cache hits=1 misses=0 stale=0 failed=0\n" +
		of("web", "more", "ok") + "  plan made=true\n  cache hits=1 misses=1 stale=0 failed=0\n" + read + "\n" +
		of("api", "more", "denied") + "  plan\n  cache hits=0 misses=0 stale=0 failed=2\n" + read + " FAILED denied\n" + read + " FAILED denied\n" +
		of("web", "wrong", "invalid") + "  plan made=true FAILED invalid\n"
	if got := receiver.Tree(); got != want {
		t.Errorf("the spans are\n%s\nwant\n%s", got, want)
	}
	if strings.Contains(receiver.Text(), "planted") {
		t.Errorf("what is sent has what nobody may see:\n%s", receiver.Text())
	}
}

// A mount goes on in the trace of who asked for it.
func TestAMountIsPartOfItsCallersTrace(t *testing.T) {
	receiver := tracingtest.New(t)
	b := start(t, func(c *config.Config) { c.Tracing.URL = receiver.URL })
	b.memory.Put("k", "v")
	b.class("web", spec.Object{Path: "a", Key: "k"})
	ctx := span.From(t.Context(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "")
	if _, err := b.Mount(ctx, engine.Request{Dialect: "test", Parameters: map[string]string{"class": "web"}, Identity: pod("prod/web", "web")}); err != nil {
		t.Fatal(err)
	}
	b.tracer.Close()
	for _, s := range receiver.Spans() {
		if s.TraceID != "0af7651916cd43dd8448eb211c80319c" || s.Name == "mount" && s.ParentID != "b7ad6b7169203331" {
			t.Errorf("the span is %+v", s)
		}
	}
	if n := len(receiver.Spans()); n != 4 {
		t.Errorf("there are %d spans", n)
	}
}

package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

func TestEveryFailingTemplateIsToldAtOnce(t *testing.T) {
	b := start(t, nil)
	b.memory.Put("a", "\xffv")
	b.memory.Put("j", `{"cfg":"{\"a\":1}"}`)
	b.class("web",
		spec.Object{Name: "a", Key: "a"},
		spec.Object{Path: "1", Template: "{{ .a | lower }}"},
		spec.Object{Path: "2", Template: "{{ int .a }}"},
		spec.Object{Path: "3", Template: "{{ fromJson .a }}"},
		spec.Object{Path: "4", Template: "{{ b64dec .a }}"},
		spec.Object{Path: "5", Template: "{{ b64enc .a }}"},
	)
	_, _, err := b.mount(web, "web")
	wantError(t, err, fault.ErrInvalid, "4 of 6 objects failed: object 2 (1): ")
	for _, want := range []string{"object 3 (2): ", "object 4 (3): ", "object 5 (4): "} {
		wantError(t, err, fault.ErrInvalid, want)
	}

	// A template whose objects are there is tried beside an object that fails.
	b.class("mixed",
		spec.Object{Name: "a", Key: "a"}, spec.Object{Name: "gone", Key: "gone"}, spec.Object{Name: "p", Key: "j", Property: "cfg.a"},
		spec.Object{Path: "1", Template: "{{ .a | lower }}"}, spec.Object{Path: "2", Template: "{{ .gone }}{{ .a | lower }}"},
	)
	_, _, err = b.mount(web, "mixed")
	wantError(t, err, fault.ErrInvalid, "3 of 5 objects failed: ")
	wantError(t, err, fault.ErrInvalid, "object 4 (1): ")
	wantError(t, err, fault.ErrInvalid, "object 3 (p): memory: property cfg.a of j: selects nothing: cfg is text that holds JSON")
	if strings.Contains(err.Error(), "object 5") {
		t.Errorf("a template is judged without its objects: %v", err)
	}
}

func TestATemplateIsToldHowToWriteAName(t *testing.T) {
	b := start(t, nil)
	b.class("web", spec.Object{Path: "tls.crt", Key: "a"}, spec.Object{Path: "1", Template: "{{ .tls.crt }}"}, spec.Object{Path: "2", Template: "{{ .tls-crt }}"})
	err := b.Check("test", map[string]string{"class": "web"})
	wantProblem(t, err, `object 2 (1): template: no object is named tls; a template may use what is read from stores and not expanded; write {{ index . "tls.crt" }}`)
	wantProblem(t, err, `object 3 (2): template: template line 1: bad character U+002D '-'; write {{ index . "tls-crt" }}`)
}

func wantProblem(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

// What an optional object lacks is said where its file is missed.
func TestWhatIsAbsentSaysWhy(t *testing.T) {
	b := start(t, nil)
	b.memory.Put("j", `{"cfg":"{\"a\":\"planted\"}","none":null}`)
	b.memory.Put("e", `{}`)
	b.class("web",
		spec.Object{Path: "there", Key: "j"},
		spec.Object{Path: "gone", Key: "gone", Optional: true},
		spec.Object{Path: "cfg", Key: "j", Property: "cfg.a", Optional: true},
		spec.Object{Name: "none", Key: "j", Property: "none", Optional: true},
		spec.Object{Path: "all", Key: "e", Expand: true, Optional: true},
	)
	volume, err := b.Mount(t.Context(), engine.Request{Dialect: "test", Parameters: map[string]string{"class": "web"}, Identity: web})
	if err != nil {
		t.Fatal(err)
	}
	want := []engine.Absence{
		{ID: "gone", Reason: "memory: gone: not found"},
		{ID: "cfg", Reason: "memory: property cfg.a of j: selects nothing: cfg is text that holds JSON, which no property looks into; take it apart with fromJson in a template"},
		{ID: "none", Reason: "memory: property none of j: selects nothing: the key none is null"},
		{ID: "all", Reason: "memory: expand of e: expand selects nothing: the object has no keys, or all are null"},
	}
	if !slices.Equal(volume.Absent, want) || len(volume.Files) != 1 {
		t.Errorf("absent %q", volume.Absent)
	}
}

// The error of a read whose time is over is the store's own, beside the time.
func TestATimeoutKeepsTheStoresWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.memory.Behave = func(ctx context.Context, _ store.Reference) error {
			<-ctx.Done()
			return fmt.Errorf("GET a: no answer from memory:1 in the time given (the try before: sealed): %w", ctx.Err())
		}
		b.class("web", spec.Object{Path: "a", Key: "a"})
		_, _, err := b.mount(web, "web")
		wantError(t, err, fault.ErrUnavailable, "object 1 (a): memory: unavailable: no answer within 30s: GET a: no answer from memory:1 in the time given (the try before: sealed)")
	})
}

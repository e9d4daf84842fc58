package engine_test

import (
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/spec"
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

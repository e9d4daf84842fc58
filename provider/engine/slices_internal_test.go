package engine

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/render/jmespath"
	"github.com/lanyardhq/lanyard/provider/render/template"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/share"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

// What one object costs is done in slices too: here the first is the last, since the
// time of the volume was over when it began.
func TestTheWorkOnOneObjectGivesWay(t *testing.T) {
	list := "[" + strings.TrimSuffix(strings.Repeat("1,", 50_000), ",") + "]"
	property, err := jmespath.Compile("[?@ > `1`]")
	if err != nil {
		t.Fatal(err)
	}
	text, err := template.Parse("{{range fromJson .list}}x{{end}}")
	if err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func(*builder){
		"property": func(b *builder) {
			o := &planned{Object: spec.Object{Path: "a"}, property: property}
			b.read(t.Context(), &plan{}, o, answer{reading: &reading{held: &held{value: store.Value{Data: secret.NewString(list)}}}})
		},
		"template": func(b *builder) { b.template(t.Context(), &planned{Object: spec.Object{Path: "a"}, template: text}) },
	} {
		t.Run(name, func(t *testing.T) {
			turn, _ := share.New(nil, share.Limits{Capacity: 1}).TryAcquire("prod", 1)
			b := &builder{work: &work{turn: turn, clock: processorTime, began: -2 * buildTime}, values: map[string]string{"list": list}}
			do(b)
			if err := b.outOfTime(t.Context()); !errors.Is(err, fault.ErrUnavailable) || len(b.failures) != 0 || len(b.volume.Files) != 0 {
				t.Errorf("it went on to the end: %v, %d failures, %d files", err, len(b.failures), len(b.volume.Files))
			}
		})
	}
}

// A class is not refused because other programs have the processor.
func TestWaitingIsNoWork(t *testing.T) {
	s := newShares(prometheus.NewRegistry(), nil)
	w, err := s.begin(t.Context(), "prod")
	if err != nil {
		t.Fatal(err)
	}
	defer w.end()
	const waited = 200 * time.Millisecond
	time.Sleep(waited)
	spent, err := w.pause(t.Context())
	if err != nil || spent >= waited {
		t.Errorf("%v of work, %v; want less than was waited for", spent, err)
	}
	for end := spent + time.Millisecond; err == nil && spent < end; { // what is done counts
		spent, err = w.pause(t.Context())
	}
	if err != nil {
		t.Error(err)
	}
}

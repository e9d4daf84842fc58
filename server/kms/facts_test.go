package kms

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/server/status"
)

func TestFactsTellTheRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, head+ringKey("a", "write", "")+ringKey("b", "read", "")+ringKey("c", "retired", ""))
		f := p.server.Facts()
		if f.Healthy || f.Named != "" || f.Stale || !strings.Contains(f.Problem, "has not answered yet") || len(f.Keys) != 3 {
			t.Errorf("at the start %+v", f)
		}
		for i, want := range []status.Key{{Name: "a", Use: "write"}, {Name: "b", Use: "read"}, {Name: "c", Use: "retired"}} {
			if got := f.Keys[i]; got.Name != want.Name || got.Use != want.Use || got.State != status.KeyUnasked || got.Calls != 0 || got.Service == "" {
				t.Errorf("key %d is %+v", i, got)
			}
		}
		p.probe()
		began := time.Now()
		id := p.keyID()
		if f = p.server.Facts(); !f.Healthy || f.Problem != "" || f.Named != "a" || f.KeyID != id || !f.Worked.Equal(began) || f.Keys[0].State != status.KeyUp || f.Keys[0].Calls != 2 || !f.Keys[0].Decrypted.Equal(began) || !f.Keys[1].Decrypted.IsZero() {
			t.Errorf("after a probe %+v", f)
		}
		// The service of the named key does not answer: the key stays named for a while.
		p.failing(fault.ErrUnavailable, "a")
		time.Sleep(time.Minute)
		p.probe()
		f = p.server.Facts()
		if f.Healthy || !f.Stale || !f.Until.Equal(began.Add(time.Hour)) || f.Named != "a" || f.Problem == "" || f.Keys[0].State != status.KeyDown || f.Keys[0].Since.IsZero() || f.Keys[0].Failures == 0 || !strings.Contains(f.Keys[0].Error, "key a") {
			t.Errorf("while it is down %+v", f)
		}
		time.Sleep(time.Hour)
		p.probe()
		if f = p.server.Facts(); f.Healthy || f.Stale || f.Named != "a" || !f.Until.IsZero() {
			t.Errorf("after the outage's time %+v", f)
		}
		// A refusal is no outage.
		p.failing(fault.ErrDenied, "a")
		p.probe()
		if f = p.server.Facts(); f.Healthy || f.Stale || f.Keys[0].State != status.KeyUp {
			t.Errorf("refused %+v", f)
		}
	})
}

func TestFactsForgetKeysThatAreGone(t *testing.T) {
	p := start(t, head+ringKey("a", "write", "")+ringKey("b", "read", ""))
	p.probe()
	for _, ring := range []string{
		head + ringKey("a", "read", "") + ringKey("b", "write", ""),
		head + ringKey("a", "retired", "") + ringKey("b", "write", ""),
		head + ringKey("b", "write", ""),
	} {
		if err := p.to(ring); err != nil {
			t.Fatal(err)
		}
		p.probe()
	}
	if f := p.server.Facts(); len(f.Keys) != 1 || f.Keys[0].Name != "b" || f.Named != "b" {
		t.Errorf("%+v", f)
	}
	if m := p.server.service.metrics; m.uses["a"] != nil || m.uses["b"] == nil {
		t.Errorf("what is counted is %+v", m.uses)
	}
}

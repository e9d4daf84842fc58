package kms

import (
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/fault"
)

func TestAPluginTellsWithWhichKeyOfTheRingItWrites(t *testing.T) {
	p := start(t, head+ringKey("a", "write", "")+ringKey("b", "read", ""))
	p.serve()
	writes := func() string {
		t.Helper()
		keyID, entry, err := WritesWith(t.Context(), p.path, p.ring)
		if err != nil || entry == nil || keyID != p.keyID() {
			t.Fatalf("it writes with %s, %v, %v", keyID, entry, err)
		}
		return entry.Name + " " + string(entry.State)
	}
	if _, _, err := WritesWith(t.Context(), p.path, p.ring); err == nil || !strings.Contains(err.Error(), "has not answered yet") {
		t.Errorf("before a probe: %v", err)
	}
	p.probe()
	if got := writes(); got != "a write" {
		t.Errorf("it writes with %s", got)
	}
	if err := p.to(head + ringKey("a", "read", "") + ringKey("b", "write", "")); err != nil {
		t.Fatal(err)
	}
	p.failing(fault.ErrDenied, "b")
	p.probe()
	if got := writes(); got != "a read" {
		t.Errorf("it writes with %s while the new key fails", got)
	}
	p.keys.Fail(nil)
	p.probe()
	if got := writes(); got != "b write" {
		t.Errorf("it writes with %s when the new key works", got)
	}
	other := p.parse(head + ringKey("c", "write", ""))
	defer other.Close()
	if _, entry, err := WritesWith(t.Context(), p.path, other); entry != nil || err != nil {
		t.Errorf("a ring without the key has it: %v, %v", entry, err)
	}
}

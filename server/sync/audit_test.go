package sync

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/config"
)

// Each write and removal of a Secret has a record; what is as it should be has none.
func TestEachWriteHasARecord(t *testing.T) {
	g := newRig(t)
	file := filepath.Join(t.TempDir(), "audit.log")
	settings := config.DefaultAudit()
	settings.File.Path = file
	log, err := audit.New(audit.Options{Settings: settings, Node: "node-1"})
	if err != nil {
		t.Fatal(err)
	}
	g.reconciler.settings.Audit = log
	g.run()
	g.run()
	g.volume = volume("db/password", "2")
	g.run()
	g.now = g.now.Add(11 * time.Minute)
	g.run()
	g.volume, g.refused = volume("db/password", "3"), "db"
	g.run()
	g.refused, g.want.Secrets = "", nil
	g.run()
	log.Close()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	const of = `"node":"node-1","namespace":"shop","serviceAccount":"web","podUID":"class-1","class":"Class/web","dialect":"lanyard","secret":"db"`
	for i, want := range []string{
		`"event":"secret-write","result":"ok",` + of + `,"change":"created"}`,
		`"event":"secret-write","result":"ok",` + of + `,"change":"changed"}`,
		`"event":"secret-write","result":"ok",` + of + `,"change":"same"}`,
		`"event":"secret-write","result":"internal",` + of + `,"cause":"Secret db: refused"}`,
		`"event":"secret-remove","result":"ok",` + of + `,"change":"removed"}`,
	} {
		if i >= len(lines) || !strings.HasSuffix(lines[i], want) {
			t.Errorf("record %d has not %s:\n%s", i, want, content)
		}
	}
	if len(lines) != 5 || strings.Contains(string(content), "planted") {
		t.Errorf("the trail is\n%s", content)
	}
	if g.asked[0].Class != "Class/web" {
		t.Errorf("the delivery is for %q", g.asked[0].Class)
	}
}

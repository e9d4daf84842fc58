package kms

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	kmsapi "k8s.io/kms/apis/v2"

	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/kmsring/ringtest"
)

// Each call of the API server has a record with the UID of its request and the key.
func TestEachCallHasARecord(t *testing.T) {
	p := start(t, head+ringKey("a", "write", ""))
	file := filepath.Join(t.TempDir(), "audit.log")
	settings := config.DefaultAudit()
	settings.File.Path, settings.Required = file, true
	log, err := audit.New(audit.Options{Settings: settings, Node: "cp-1"})
	if err != nil {
		t.Fatal(err)
	}
	p.server.service.audit = log
	p.probe()
	p.probe()
	p.server.LoggedIn("vault-transit", "kubernetes", nil)
	req := p.sealed("planted-seed")
	p.opens(req, "planted-seed")
	p.failing(fault.ErrDenied, ringtest.Decrypt)
	_, err = p.decrypt(req)
	p.is(err, codes.PermissionDenied)
	p.probe()
	p.probe()
	_, err = p.decrypt(&kmsapi.DecryptRequest{Ciphertext: []byte("x"), KeyId: "other\n", Uid: "u2"})
	p.is(err, codes.FailedPrecondition)
	log.Close()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	id := `"keyID":"` + req.GetKeyId() + `","uid":"u"`
	for i, want := range []string{
		`"event":"probe","result":"ok","node":"cp-1","key":"a","keyID":"` + req.GetKeyId() + `"}`,
		`"event":"login","result":"ok","node":"cp-1","storeType":"vault-transit","method":"kubernetes"}`,
		`"event":"encrypt","result":"ok","node":"cp-1","key":"a",` + id,
		`"event":"decrypt","result":"ok","node":"cp-1","key":"a",` + id,
		`"event":"decrypt","result":"denied","node":"cp-1","key":"a",` + id + `,"cause":"key a: memory:a: permission denied`,
		`"event":"probe","result":"denied","node":"cp-1","key":"a","cause":"key a: memory:a: permission denied`,
		`"event":"decrypt","result":"foreign","node":"cp-1","keyID":"other\u000a","uid":"u2","cause":"not written by this plugin`,
	} {
		if i >= len(lines) || !strings.Contains(lines[i], want) {
			t.Errorf("record %d has not %s:\n%s", i, want, content)
		}
	}
	if len(lines) != 7 || strings.Contains(string(content), "planted") {
		t.Errorf("the trail is\n%s", content)
	}

	// Without a record there is no key.
	p.keys.Fail(nil)
	_, err = p.encrypt("seed")
	p.is(err, codes.Unavailable, "the audit record could not be written")
	_, err = p.decrypt(req)
	p.is(err, codes.Unavailable, "audit.required")
}

package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lanyardhq/lanyard/provider/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const example = `cluster: prod-eu
stores:
  vault:
    type: vault
    address: https://vault.example.com:8200
    auth: {method: kubernetes, role: web}
  node.files:
    type: file
    allow: [prod/*]
policy: {classStores: false}
cache:
  refresh: 5m
  bytes: 64Mi
`

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lanyard.yaml")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAFileChangesOnlyWhatItSays(t *testing.T) {
	file, err := Load(write(t, example))
	must(t, err)
	want := Default()
	want.Cluster = "prod-eu"
	want.Stores = map[string]Store{
		"vault": {Type: "vault", Fields: map[string]any{
			"address": "https://vault.example.com:8200",
			"auth":    map[string]any{"method": "kubernetes", "role": "web"},
		}},
		"node.files": {Type: "file", Allow: []string{"prod/*"}},
	}
	want.Policy.ClassStores = nil
	want.Cache.Refresh = 5 * time.Minute
	want.Cache.Bytes = 64 << 20
	if !reflect.DeepEqual(file.Config, want) {
		t.Errorf("configuration is\n%+v, want\n%+v", file.Config, want)
	}
}

func TestWhatIsPrintedReadsAsTheSame(t *testing.T) {
	file, err := Load(write(t, example))
	must(t, err)
	for name, config := range map[string]Config{"defaults": Default(), "example": file.Config} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			must(t, Print(&b, config))
			again, err := Load(write(t, b.String()))
			if err != nil {
				t.Fatalf("%v in\n%s", err, b.String())
			}
			if len(config.Stores) == 0 {
				again.Config.Stores = config.Stores
			}
			for name, store := range again.Config.Stores {
				if len(store.Allow) == 0 {
					store.Allow = nil
					again.Config.Stores[name] = store
				}
			}
			if !reflect.DeepEqual(again.Config, config) {
				t.Errorf("configuration is\n%+v, want\n%+v in\n%s", again.Config, config, b.String())
			}
		})
	}
}

func TestAllMistakesAreReportedAtOnceWithTheirLines(t *testing.T) {
	path := write(t, `clutser: prod
cache:
  refresh: soon
  idle: 1s
bounds:
  mounts: 0
  requestBytes: 1Gi
stores:
  vault: {address: x}
`)
	_, err := Load(path)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		":1: clutser: unknown field; did you mean cluster?",
		":3: cache.refresh: must be a duration",
		":4: cache.idle: is 1s and must be from 2m to 720h",
		":6: bounds.mounts: is 0 and must be from 1 to 100000",
		":7: bounds.requestBytes: is 1Gi and must be from 16Ki to 16Mi",
		":9: stores.vault.type: missing",
	} {
		if !strings.Contains(err.Error(), path+want+"") {
			t.Errorf("%q is not among\n%v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 6 {
		t.Errorf("%d problems, want 6:\n%v", n, err)
	}
}

func TestAFileThatSaysNothingIsRefused(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "null", "~"} {
		if _, err := Load(write(t, text)); err == nil || !strings.Contains(err.Error(), "is empty; write {} into it") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Load(write(t, "{}")); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
}

func TestAFileThatCannotBeReadIsNamedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing.yaml")
	_, err := Load(path)
	if err == nil || err.Error() != path+": cannot be read: no such file or directory" {
		t.Error(err)
	}
	if _, err := Load(write(t, "#"+strings.Repeat("x", maxBytes))); err == nil || !strings.Contains(err.Error(), "larger than 1048576 bytes") {
		t.Error(err)
	}
}

func TestWhatTheEngineRefusesGetsItsLine(t *testing.T) {
	file, err := Load(write(t, example))
	must(t, err)
	for field, want := range map[string]int{
		"stores.vault.address":       5,
		"stores.vault.auth.role":     6,
		"stores.vault.auth.audience": 6,
		"stores.vault.tls.caCert":    3,
		"stores.node.files.allow[0]": 9,
		"stores.node.files":          7,
		"bounds.mounts":              0,
		"cache.versionKeyFile":       11,
	} {
		err := file.Explain(spec.Problems{{Field: field, Text: "wrong"}})
		var explained *Error
		if !errors.As(err, &explained) || explained.Problems[0].Line != want {
			t.Errorf("%s: %v, want line %d", field, err, want)
		}
	}
	if other := errors.New("other"); !errors.Is(file.Explain(other), other) {
		t.Error("another error is not passed on")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add("stores: {a: {type: 1}}")
	f.Add("{}")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := parse("f", []byte(text))
		var refused *Error
		switch {
		case err == nil && len(file.Config.Validate()) > 0:
			t.Errorf("accepted %v", file.Config.Validate())
		case err != nil && (!errors.As(err, &refused) || len(refused.Problems) == 0):
			t.Errorf("an error without problems: %v", err)
		}
	})
}

func TestAFileThatOthersCanChangeServesNobody(t *testing.T) {
	path := write(t, "{}")
	pipe := filepath.Join(t.TempDir(), "pipe.yaml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadTrusted(path); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err != nil {
		t.Errorf("it cannot even be checked: %v", err)
	}
	for path, want := range map[string]string{
		path: path + ": cannot be read: permissions 0666 are too open: group and others must not be able to write; run chmod go-w",
		pipe: pipe + ": cannot be read: is not a regular file",
	} {
		if _, err := LoadTrusted(path); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

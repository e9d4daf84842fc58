package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/manifest"
)

func TestCheckPrints(t *testing.T) { commandGoldens(t, "testdata/check", "syntax.yaml") }

func TestCheckRefusesAHugeFile(t *testing.T) {
	huge := filepath.Join(t.TempDir(), "huge.yaml")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, manifest.MaxBytes+1); err != nil {
		t.Fatal(err)
	}
	var out, errors bytes.Buffer
	if code := Execute([]string{"check", huge}, strings.NewReader(""), &out, &errors); code != exitUsage || !strings.Contains(errors.String(), "has more than 64 MiB") {
		t.Errorf("exit %d, %s", code, errors.String())
	}
}

// A field that cannot be read does not hide what is wrong with the others.
func TestCheckTellsAllThatIsWrongWithEachTypeOfStore(t *testing.T) {
	for name, test := range map[string]struct {
		settings string
		wrong    []string
	}{
		"vault":                 {"address: vault, timeout: 2h, retries: many, auth: {rol: web}", []string{"address", "timeout", "retries", "auth.rol"}},
		"aws-secrets-manager":   {"region: nowhere, timeout: 2h, retries: many, nosuch: 1", []string{"region", "timeout", "retries", "nosuch"}},
		"aws-parameter-store":   {"region: nowhere, timeout: 2h, retries: many, nosuch: 1", []string{"region", "timeout", "retries", "nosuch"}},
		"aws-kms":               {"key: nothing, timeout: 2h, retries: many, nosuch: 1", []string{"key", "timeout", "retries", "nosuch"}},
		"azure-key-vault":       {"vault: in_valid, timeout: 2h, retries: many, nosuch: 1", []string{"vault", "timeout", "retries", "nosuch"}},
		"google-secret-manager": {"project: '?', timeout: 2h, retries: many, nosuch: 1", []string{"project", "timeout", "retries", "nosuch"}},
		"sealed":                {"keys: [{name: '?'}], refresh: 1ms, nosuch: 1", []string{"keys[0].name", "refresh", "nosuch"}},
		"file":                  {"allow: ['*/*'], root: here, nosuch: 1", []string{"root", "nosuch"}},
	} {
		t.Run(name, func(t *testing.T) {
			config := filepath.Join(t.TempDir(), "lanyard.yaml")
			if err := os.WriteFile(config, []byte("bounds: {requestBytes: 1}\nstores: {mine: {type: "+name+", "+test.settings+"}, other: {}}"), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, said bytes.Buffer
			code := Execute([]string{"check", "--config", config, "-"}, strings.NewReader(""), &out, &said)
			if code != exitFailed {
				t.Errorf("exit %d: %s", code, said.String())
			}
			for _, field := range test.wrong {
				if want := "stores.mine." + field + ": "; strings.Count(out.String(), want) != 1 {
					t.Errorf("%q is not told once:\n%s", want, out.String())
				}
			}
			for _, elsewhere := range []string{"bounds.requestBytes: ", "stores.other.type: "} {
				if strings.Count(out.String(), elsewhere) != 1 {
					t.Errorf("%q is not told once:\n%s", elsewhere, out.String())
				}
			}
		})
	}
}

func TestCheckTellsOfStoresBesideObjects(t *testing.T) {
	class := `apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: web}
spec:
  provider: lanyard
  parameters:
    stores: |
      v: {type: vault, adress: "https://v", timeout: 5h, auth: {method: kubernetes, rol: x}}
      w: {type: azure-key-vault, vault: in_valid, retries: many}
    objects: |
      - {path: a, store: v, key: secret/data/a, propert: b}
      - {path: ../b, store: w, key: db}
`
	var out, said bytes.Buffer
	if code := Execute([]string{"check", "-"}, strings.NewReader(class), &out, &said); code != exitFailed {
		t.Errorf("exit %d: %s", code, said.String())
	}
	for _, want := range []string{"stores.v.adress: ", "stores.v.timeout: ", "stores.v.auth.rol: ", "stores.w.vault: ", "stores.w.retries: ", "object 1 (a): propert: ", "object 2 (../b): path: "} {
		if strings.Count(out.String(), want) != 1 {
			t.Errorf("%q is not told once:\n%s", want, out.String())
		}
	}
}

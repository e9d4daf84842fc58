package azure_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
	"github.com/lanyardhq/lanyard/provider/store/azure"
)

func TestACloudOfOnesOwnByItsEnvironmentFile(t *testing.T) {
	f := newFixture(t)
	vault := f.azure.VaultAt("web-kv.vault.example.com")
	vault.Put("db", "hunter2")
	vault.Grant(webClient, "*")
	file := filepath.Join(t.TempDir(), "cloud.json")
	content := `{"name": "AzureStackCloud", "activeDirectoryEndpoint": "` + f.azure.Authority + `/", "keyVaultEndpoint": "https://vault.example.com/", "keyVaultDNSSuffix": "vault.example.com"}`
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	s := f.open(map[string]any{"cloud": "AzureStackCloud", "environmentFile": file, "authorityHost": nil})
	if got := f.text(s, db); got != "hunter2" {
		t.Errorf("Read = %q", got)
	}
	if n := f.azure.Calls("challenge"); n != 0 {
		t.Errorf("%d challenges, though the file says all", n)
	}
}

func TestEnvironmentFilesThatCannotBeUsed(t *testing.T) {
	f := newFixture(t)
	dir := t.TempDir()
	for name, content := range map[string]string{"no-json": "{", "empty": "{}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{
		filepath.Join(dir, "no-json"): "is no JSON object",
		filepath.Join(dir, "empty"):   "cloud: AzureStackCloud is described by a file",
		filepath.Join(dir, "missing"): "no such file",
		"cloud.json":                  "must be an absolute path",
	} {
		_, err := azure.NewType(azure.Options{}).Open(f.settings(map[string]any{"cloud": "AzureStackCloud", "environmentFile": file, "authorityHost": nil}))
		if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", file, err, want)
		}
	}
}

func TestAnAuthorityOfAFile(t *testing.T) {
	f := newFixture(t)
	f.vault.Put("db", "hunter2")
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, []byte(f.azure.CACert), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := f.text(f.open(map[string]any{"tls": map[string]any{"caCertFile": file}}), db); got != "hunter2" {
		t.Errorf("Read = %q", got)
	}
	_, err := f.open(map[string]any{"tls": map[string]any{}}).Read(t.Context(), f.pod("prod/web"), db)
	if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("without the authority: %v", err)
	}
}

// Two stores of one vault share their connections, and one that is closed does
// not take them from the other.
func TestStoresOfOneVaultShareConnections(t *testing.T) {
	f := newFixture(t)
	f.vault.Put("db", "hunter2")
	f.azure.Federate("another", azuretest.Federation{Issuer: azuretest.IssuerName, Subject: identitytest.Subject("prod/web"), Audience: audience})
	f.vault.Grant("another", "*")
	shared := azure.NewType(azure.Options{})
	first, err := shared.Open(f.settings(nil))
	if err != nil {
		t.Fatal(err)
	}
	second, err := shared.Open(f.settings(map[string]any{"auth": map[string]any{"clientID": "another"}}))
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if got := f.text(first, db); got != "hunter2" {
		t.Errorf("Read = %q", got)
	}
	first.Close()
	if got := f.text(second, db); got != "hunter2" {
		t.Errorf("Read = %q", got)
	}
}

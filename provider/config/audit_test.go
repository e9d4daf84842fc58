package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAuditSettings(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"{}", ""},
		{"{file: {path: /var/log/audit.log}, required: true, chainKeyFile: /key}", ""},
		{"{stdout: true, required: true}", ""},
		{"{webhook: {url: 'http://collector:4318/v1/logs', format: otlp, tokenFile: /t, caCertFile: /ca, clientCertFile: /c, clientKeyFile: /k}}", ""},
		{"{file: {path: audit.log}}", "audit.file.path: must be an absolute path"},
		{"{file: {maxBytes: 1Ki}}", "audit.file.maxBytes: is 1Ki and must be from 64Ki to 64Gi"},
		{"{file: {maxBytes: 65Gi}}", "audit.file.maxBytes: is 65Gi"},
		{"{file: {maxFiles: 0}}", "audit.file.maxFiles: is 0 and must be from 1 to 1000"},
		{"{file: {maxFiles: 1001}}", "audit.file.maxFiles: is 1001"},
		{"{webhook: {url: ftp://host/}}", "audit.webhook.url: must be a URL"},
		{"{webhook: {url: 'https://user:password@host/'}}", "audit.webhook.url: must be a URL"},
		{"{webhook: {url: host}}", "audit.webhook.url: must be a URL"},
		{"{webhook: {tokenFile: /token}}", "audit.webhook.url: missing"},
		{"{webhook: {url: 'https://host/', tokenFile: token}}", "audit.webhook.tokenFile: must be an absolute path"},
		{"{webhook: {url: 'https://host/', clientCertFile: /c}}", "audit.webhook.clientCertFile: give"},
		{"{webhook: {format: xml}}", "audit.webhook.format: must be lines or otlp"},
		{"{required: true}", "audit.required: needs file.path or stdout"},
		{"{required: true, webhook: {url: 'https://host/'}}", "audit.required: needs file.path or stdout"},
		{"{stdout: true, chainKeyFile: /key}", "audit.chainKeyFile: needs file.path"},
		{"{syslog: true}", "audit.syslog: unknown field"},
	} {
		file, err := Parse("lanyard.yaml", []byte("audit: "+test.text))
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.text, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v, want %q", test.text, err, test.want)
		case test.want == "" && file.Config.Audit.On() != (test.text != "{}"):
			t.Errorf("%s: the trail is on: %v", test.text, file.Config.Audit.On())
		}
	}
}

func TestLoadAudit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.yaml")
	for _, test := range []struct {
		text, want string
		mode       os.FileMode
	}{
		{"file: {path: /var/log/audit.log}", "", 0o644},
		{"file: {path: audit.log}", "file.path: must be an absolute path", 0o644},
		{"{}", "says nowhere to write to", 0o644},
		{"audit: {}", "audit: unknown field", 0o644},
		{"stdout: true", "cannot be read", 0o666},
	} {
		if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, test.mode); err != nil {
			t.Fatal(err)
		}
		audit, err := LoadAudit(path)
		if test.want == "" && (err != nil || audit.File.MaxFiles != 10) || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %+v, %v, want %q", test.text, audit, err, test.want)
		}
	}
}

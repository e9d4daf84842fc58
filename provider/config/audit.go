package config

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/lanyardhq/lanyard/internal/nodefile"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// LoadAudit reads a file that holds what stands below audit in the operator's
// configuration, for commands that have none. The error is an *Error.
func LoadAudit(path string) (Audit, error) {
	audit := DefaultAudit()
	data, err := read(path, nodefile.ReadTrusted)
	if err != nil {
		return Audit{}, err
	}
	problems := strict.Unmarshal(data, &audit)
	if len(problems) == 0 {
		for _, p := range audit.Validate("") {
			problems = append(problems, strict.Problem{Field: strings.TrimPrefix(p.Field, "."), Text: p.Text})
		}
		if !audit.On() && len(problems) == 0 {
			problems = strict.Problems{{Text: "says nowhere to write to; give file.path, stdout: true or webhook.url"}}
		}
	}
	if len(problems) > 0 {
		return Audit{}, &Error{Path: path, Problems: problems}
	}
	return audit, nil
}

// isEndpoint says whether a text is the URL of an HTTP service.
func isEndpoint(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") && u.User == nil && u.Fragment == ""
}

// Validate says what is wrong with the values themselves; prefix is the field that has
// them.
func (a Audit) Validate(prefix string) (problems spec.Problems) {
	wrong := func(field, format string, args ...any) {
		problems = append(problems, spec.Problem{Field: prefix + "." + field, Text: fmt.Sprintf(format, args...)})
	}
	for _, file := range []struct{ field, path string }{
		{"file.path", a.File.Path}, {"chainKeyFile", a.ChainKeyFile}, {"webhook.tokenFile", a.Webhook.TokenFile},
		{"webhook.caCertFile", a.Webhook.CACertFile}, {"webhook.clientCertFile", a.Webhook.ClientCertFile}, {"webhook.clientKeyFile", a.Webhook.ClientKeyFile},
	} {
		if file.path != "" && !filepath.IsAbs(file.path) {
			wrong(file.field, "must be an absolute path")
		}
	}
	if low, high := Size(64<<10), Size(64<<30); a.File.MaxBytes < low || a.File.MaxBytes > high {
		wrong("file.maxBytes", "is %s and must be from %s to %s", a.File.MaxBytes, low, high)
	}
	if a.File.MaxFiles < 1 || a.File.MaxFiles > 1000 {
		wrong("file.maxFiles", "is %d and must be from 1 to 1000", a.File.MaxFiles)
	}
	if a.Webhook.Format != AuditLines && a.Webhook.Format != AuditOTLP {
		wrong("webhook.format", "must be %s or %s", AuditLines, AuditOTLP)
	}
	if a.Webhook.URL != "" {
		if !isEndpoint(a.Webhook.URL) {
			wrong("webhook.url", "must be a URL such as https://audit.example.com/records, without user, password and fragment")
		}
	} else if a.Webhook != (AuditWebhook{Format: a.Webhook.Format}) {
		wrong("webhook.url", "missing; say where records are sent")
	}
	if (a.Webhook.ClientCertFile == "") != (a.Webhook.ClientKeyFile == "") {
		wrong("webhook.clientCertFile", "give webhook.clientCertFile and webhook.clientKeyFile together")
	}
	if a.Required && a.File.Path == "" && !a.Stdout {
		wrong("required", "needs file.path or stdout: a record on its way to a webhook ends with the process")
	}
	if a.ChainKeyFile != "" && a.File.Path == "" {
		wrong("chainKeyFile", "needs file.path, where the chain goes on after a restart")
	}
	return problems
}

package vault

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// maxQuoted bounds the text of Vault's own that goes into an error, in bytes.
const maxQuoted = 300

// failure is an error of Vault: one of package fault's kinds, its text, and the
// cause if callers may want to match it.
type failure struct {
	kind  error
	text  string
	cause error
}

func (f *failure) Error() string { return f.text }

func (f *failure) Unwrap() []error {
	if f.cause != nil {
		return []error{f.kind, f.cause}
	}
	return []error{f.kind}
}

// Fail makes an error of one of package fault's kinds.
func Fail(kind error, format string, args ...any) error {
	return &failure{kind: kind, text: fmt.Sprintf(format, args...)}
}

// Explain says in front of an error what was being done when it came about. An
// error that this package did not make stays as it is.
func Explain(err error, what string) error {
	var f *failure
	if !errors.As(err, &f) {
		return err
	}
	return &failure{kind: f.kind, text: what + ": " + f.text, cause: f.cause}
}

// Printable makes text that others wrote safe and short enough for an error.
func Printable(text string) string {
	if len(text) > maxQuoted {
		text = strings.ToValidUTF8(text[:maxQuoted], "") + "…"
	}
	quoted := fmt.Sprintf("%q", strings.Join(strings.Fields(text), " "))
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}

// Said is what Vault gave as its reasons, to stand at the end of an error:
// without the secrets that were sent, which some engines repeat; empty if it
// gave none.
func (r *Response) Said() string {
	if r.Answer == nil {
		return ""
	}
	text := strings.Join(append(append([]string(nil), r.Answer.Errors...), r.Answer.Warnings...), "; ")
	for _, s := range r.sent {
		if s.Len() > 0 {
			text = strings.ReplaceAll(text, s.RevealString(), secret.Redacted)
		}
	}
	if text == "" {
		return ""
	}
	return `; Vault says: ` + Printable(text)
}

// SaidOfDenial is Said for a status 403, without what only repeats the status. It
// begins with when a changed role is of use.
func (r *Response) SaidOfDenial() string {
	text, remedy := r.Said(), ""
	if r.logsIn {
		remedy = changedRole
	}
	rest := strings.NewReplacer("; Vault says: ", "", "1 error occurred:", "", "permission denied", "", "*", "").Replace(text)
	if strings.TrimSpace(rest) == "" {
		return remedy
	}
	return remedy + text
}

// fromBetween explains a refusal that is not in Vault's words: whoever answered
// on its way cannot know what Vault would have said. A listener with TLS answers
// plain HTTP with 400 and a line of text, Vault's own among them.
func (r *Response) fromBetween(address *url.URL) error {
	broken := r.Broken
	if broken == nil {
		broken = errShape
	}
	if r.Status == http.StatusBadRequest && address.Scheme == "http" {
		return Fail(fault.ErrUnavailable, "%s answered 400 with %v, so the server may speak TLS on this port; let address begin with https://, or else look at what stands between the node and Vault", address.Host, broken)
	}
	return Fail(fault.ErrUnavailable, "%s answered %d with %v, so it was not Vault that answered; look at what stands between the node and Vault", address.Host, r.Status, broken)
}

// unavailable explains a status that may pass by itself.
func (r *Response) unavailable() error {
	text := r.Said()
	switch {
	case r.Status == http.StatusServiceUnavailable && strings.Contains(strings.ToLower(text), "sealed"):
		return Fail(fault.ErrUnavailable, "Vault is sealed (503); an operator has to unseal it")
	case r.Status == http.StatusTooManyRequests:
		return Fail(fault.ErrUnavailable, "Vault is throttling this client (429): a rate limit quota is exhausted%s", text)
	case r.Status == http.StatusPreconditionFailed:
		return Fail(fault.ErrUnavailable, "this Vault node has not caught up with the token's or the secret's last change (412)%s", text)
	case r.Status == 472 || r.Status == 473:
		return Fail(fault.ErrUnavailable, "this Vault node is a standby and does not serve requests (%d); let address lead to the active node", r.Status)
	}
	return Fail(fault.ErrUnavailable, "Vault failed with status %d%s", r.Status, text)
}

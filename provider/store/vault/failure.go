package vault

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

// maxQuoted bounds the text of Vault's own that goes into an error, in bytes.
const maxQuoted = 300

// failure is an error of this store: one of package store's kinds, its text,
// and the cause if callers may want to match it.
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

func fail(kind error, format string, args ...any) *failure {
	return &failure{kind: kind, text: fmt.Sprintf(format, args...)}
}

// printable makes text that others wrote safe and short enough for an error.
func printable(text string) string {
	if len(text) > maxQuoted {
		text = strings.ToValidUTF8(text[:maxQuoted], "") + "…"
	}
	quoted := fmt.Sprintf("%q", strings.Join(strings.Fields(text), " "))
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}

// said is what Vault gave as its reasons, without the secrets that were sent,
// which some engines repeat; empty if it gave none.
func said(a *answer, sent ...secret.Bytes) string {
	if a == nil {
		return ""
	}
	text := strings.Join(append(append([]string(nil), a.Errors...), a.Warnings...), "; ")
	for _, s := range sent {
		if s.Len() > 0 {
			text = strings.ReplaceAll(text, s.RevealString(), secret.Redacted)
		}
	}
	if text == "" {
		return ""
	}
	return `; Vault says: ` + printable(text)
}

// unavailable explains a status that may pass by itself.
func unavailable(status int, a *answer, sent ...secret.Bytes) *failure {
	text := said(a, sent...)
	switch {
	case status == http.StatusServiceUnavailable && strings.Contains(strings.ToLower(text), "sealed"):
		return fail(store.ErrUnavailable, "Vault is sealed (503); an operator has to unseal it")
	case status == http.StatusTooManyRequests:
		return fail(store.ErrUnavailable, "Vault is throttling this client (429): a rate limit quota is exhausted%s", text)
	case status == http.StatusPreconditionFailed:
		return fail(store.ErrUnavailable, "this Vault node has not caught up with the token's or the secret's last change (412)%s", text)
	case status == 472 || status == 473:
		return fail(store.ErrUnavailable, "this Vault node is a standby and does not serve requests (%d); let address lead to the active node", status)
	}
	return fail(store.ErrUnavailable, "Vault failed with status %d%s", status, text)
}

// refusal explains a status other than success with which Vault answered q,
// read as who.
func refusal(q *query, who string, status int, a *answer, sent ...secret.Bytes) error {
	where := q.verb() + " " + printable(q.key)
	text := said(a, sent...)
	switch status {
	case http.StatusNotFound:
		return fail(store.ErrNotFound, "%s: Vault has nothing there%s%s", where, text, hint(q, a))
	case http.StatusForbidden, http.StatusUnauthorized:
		return fail(store.ErrDenied, "%s: permission denied for %s: its policies need %s on %s%s",
			where, who, q.capability(), printable(q.key), otherThanDenied(text))
	case http.StatusMethodNotAllowed:
		return fail(store.ErrInvalid, "%s: the engine does not take this method; set options.method to what its API page says%s", where, text)
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return fail(store.ErrInvalid, "%s: Vault redirects (%d) to where its token must not go; let address lead to the active node", where, status)
	}
	return fail(store.ErrInvalid, "%s: Vault refuses the request (%d)%s", where, status, text)
}

// otherThanDenied drops the reason that only repeats the status.
func otherThanDenied(text string) string {
	rest := strings.NewReplacer("; Vault says: ", "", "1 error occurred:", "", "permission denied", "", "*", "").Replace(text)
	if strings.TrimSpace(rest) == "" {
		return ""
	}
	return text
}

// hint says what is usually meant by a key that names nothing.
func hint(q *query, a *answer) string {
	if q.method != http.MethodGet || q.params.Has("list") {
		return ""
	}
	mount, rest, _ := strings.Cut(q.key, "/")
	if a != nil && strings.Contains(strings.Join(a.Warnings, " "), "versioned K/V") {
		return fmt.Sprintf("; the engine is KV version 2: the key is %s/data/%s", printable(mount), printable(rest))
	}
	if inner, ok := strings.CutPrefix(rest, "data/"); ok {
		return fmt.Sprintf("; if the engine is KV version 1, the key is %s/%s", printable(mount), printable(inner))
	}
	return ""
}

// verb is the method as the class's author wrote it.
func (q *query) verb() string {
	if q.params.Get("list") == "true" {
		return methodList
	}
	return q.method
}

// capability is what a policy must grant for the query.
// https://developer.hashicorp.com/vault/docs/concepts/policies#capabilities
func (q *query) capability() string {
	switch q.verb() {
	case methodList:
		return "list"
	case http.MethodPost, http.MethodPut:
		return "create and update"
	}
	return "read"
}

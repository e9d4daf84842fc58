package vault

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/vault"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// refusal explains a failed status of q, which was sent with the login who.
func refusal(q *query, who string, resp *vault.Response) error {
	where, text := q.where(), resp.Said()
	switch resp.Status {
	case http.StatusNotFound:
		if right := versionedKey(q, resp.Answer); right != "" {
			// No secret can ever be there, so it is not one that is absent.
			return fault.Failf(fault.ErrInvalid, "%s: no secret can be there, since the engine is KV version 2: the `key` is %s", where, right)
		}
		return fault.Failf(fault.ErrNotFound, "%s: Vault has nothing there%s%s", where, text, hint(q))
	case http.StatusForbidden, http.StatusUnauthorized:
		return fault.Failf(fault.ErrDenied, "%s: permission denied for %s: its policies need %s on %s%s%s",
			where, who, q.capability(), message.Excerpt(q.key), q.maybeVersioned(), resp.SaidOfDenial())
	case http.StatusMethodNotAllowed:
		return fault.Failf(fault.ErrInvalid, "%s: the engine does not take this method; set options.method to what its API page says%s", where, text)
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return fault.Failf(fault.ErrInvalid, "%s: %s", where, resp.Redirected())
	}
	return fault.Failf(fault.ErrInvalid, "%s: Vault refuses the request (%d)%s", where, resp.Status, text)
}

// reads is true of a plain read.
func (q *query) reads() bool { return q.method == http.MethodGet && !q.params.Has("list") }

// versionedKey is the key that was meant, if Vault says that the one of q cannot be a
// secret of KV version 2.
func versionedKey(q *query, a *vault.Answer) string {
	if !q.reads() || a == nil || !strings.Contains(strings.Join(a.Warnings, " "), "versioned K/V") {
		return ""
	}
	mount, rest, _ := strings.Cut(q.key, "/")
	return message.Excerpt(mount + "/data/" + rest)
}

// maybeVersioned suggests the key of KV version 2, whose policies say nothing of the
// path without data/. Keys of engines that issue credentials have none.
func (q *query) maybeVersioned() string {
	mount, rest, _ := strings.Cut(q.key, "/")
	first, _, _ := strings.Cut(rest, "/")
	if !q.reads() || rest == "" || slices.Contains([]string{"data", "metadata", "creds", "static-creds", "static-cred", "roles", "role", "cert", "issue", "sign", "token"}, first) {
		return ""
	}
	return "; if the engine is KV version 2, the `key` is " + message.Excerpt(mount+"/data/"+rest)
}

// hint suggests the usual mistake behind a missing key.
func hint(q *query) string {
	if !q.reads() {
		return ""
	}
	mount, rest, _ := strings.Cut(q.key, "/")
	if inner, ok := strings.CutPrefix(rest, "data/"); ok {
		return fmt.Sprintf("; if the engine is KV version 1, the `key` is %s/%s", message.Excerpt(mount), message.Excerpt(inner))
	}
	return ""
}

// where names the request at the start of an error.
func (q *query) where() string { return q.verb() + " " + message.Excerpt(q.key) }

// verb is the method as the class's author wrote it.
func (q *query) verb() string {
	if q.params.Get("list") == "true" {
		return methodList
	}
	return q.method
}

// capability returns the capability that a policy must grant for the query.
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

package vault

import (
	"fmt"
	"net/http"
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
		return fault.Failf(fault.ErrNotFound, "%s: Vault has nothing there%s%s", where, text, hint(q, resp.Answer))
	case http.StatusForbidden, http.StatusUnauthorized:
		return fault.Failf(fault.ErrDenied, "%s: permission denied for %s: its policies need %s on %s%s",
			where, who, q.capability(), message.Excerpt(q.key), resp.SaidOfDenial())
	case http.StatusMethodNotAllowed:
		return fault.Failf(fault.ErrInvalid, "%s: the engine does not take this method; set options.method to what its API page says%s", where, text)
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return fault.Failf(fault.ErrInvalid, "%s: Vault redirects (%d) to where its token must not go; let address lead to the active node", where, resp.Status)
	}
	return fault.Failf(fault.ErrInvalid, "%s: Vault refuses the request (%d)%s", where, resp.Status, text)
}

// hint suggests the usual mistake behind a missing key.
func hint(q *query, a *vault.Answer) string {
	if q.method != http.MethodGet || q.params.Has("list") {
		return ""
	}
	mount, rest, _ := strings.Cut(q.key, "/")
	if a != nil && strings.Contains(strings.Join(a.Warnings, " "), "versioned K/V") {
		return fmt.Sprintf("; the engine is KV version 2: the key is %s/data/%s", message.Excerpt(mount), message.Excerpt(rest))
	}
	if inner, ok := strings.CutPrefix(rest, "data/"); ok {
		return fmt.Sprintf("; if the engine is KV version 1, the key is %s/%s", message.Excerpt(mount), message.Excerpt(inner))
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

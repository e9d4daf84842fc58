package vault

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/provider/fault"
)

// Said is what Vault gave as its reasons, to stand at the end of an error:
// without the secrets that were sent, which some engines repeat; empty if it
// gave none.
func (r *Response) Said() string {
	from := r.from
	from.Says = says
	return from.Said(r.reasons(), r.sent...)
}

// says introduces Vault's own words.
const says = "Vault says"

// reasons are what Vault gave as its reasons, as it gave them.
func (r *Response) reasons() string {
	if r.Answer == nil {
		return ""
	}
	return strings.Join(slices.Concat(r.Answer.Errors, r.Answer.Warnings), "; ")
}

// Redirected explains a redirect that is not followed, because the token or the login
// must not go where it leads; empty for all other answers.
func (r *Response) Redirected() string {
	if r.Status/100 != 3 {
		return ""
	}
	to := "to nowhere"
	if r.Location != "" {
		to = "to " + r.Location
	}
	return fmt.Sprintf("the server redirects (%d) %s, where no token may go; let `address` be that of Vault itself: its scheme, its active node, without a page for people to log in between", r.Status, to)
}

// SaidOfDenial is Said for a status 403, without what only repeats the status. It
// begins with when a changed role is of use.
func (r *Response) SaidOfDenial() string {
	text, remedy := r.Said(), ""
	if r.logsIn {
		remedy = changedRole
	}
	rest := strings.NewReplacer("1 error occurred:", "", "permission denied", "", "*", "").Replace(r.reasons())
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
		return fault.Failf(fault.ErrUnavailable, "%s answered 400 with %v, so the server may speak TLS on this port; let `address` begin with https://, or else look at what stands between the node and Vault", address.Host, broken)
	}
	return fault.Failf(fault.ErrUnavailable, "%s answered %d with %v, so it was not Vault that answered; look at what stands between the node and Vault", address.Host, r.Status, broken)
}

// overloaded is how Vault Enterprise refuses what would be too much for it.
// ErrOverloaded in https://github.com/hashicorp/vault/blob/main/sdk/helper/consts/error.go
const overloaded = "overloaded, try again later"

// unavailable explains a status that may pass by itself.
func (r *Response) unavailable() error {
	text := r.Said()
	switch {
	case r.Status == http.StatusServiceUnavailable && strings.Contains(strings.ToLower(text), "sealed"):
		return fault.Failf(fault.ErrUnavailable, "Vault is sealed (503); an operator has to unseal it")
	case r.Status == http.StatusTooManyRequests:
		return fault.Throttledf("Vault", "a rate limit quota is exhausted (429)%s", text)
	case r.Status == http.StatusServiceUnavailable && strings.Contains(text, overloaded):
		return fault.Throttledf("Vault", "it is overloaded (503)%s", text)
	case r.Status == http.StatusPreconditionFailed:
		return fault.Failf(fault.ErrUnavailable, "this Vault node has not caught up with the token's or the secret's last change (412)%s", text)
	case r.Status == 472 || r.Status == 473:
		return fault.Failf(fault.ErrUnavailable, "this Vault node is a standby and does not serve requests (%d); let `address` lead to the active node", r.Status)
	}
	return fault.Failf(fault.ErrUnavailable, "Vault failed with status %d%s", r.Status, text)
}

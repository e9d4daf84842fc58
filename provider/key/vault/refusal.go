package vault

import (
	"net/http"
	"strings"

	"github.com/lanyardhq/lanyard/provider/backend/vault"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// refused explains a failed status. Transit returns 400 for nearly everything; only
// its text tells the cause.
func (k *vaultKey) refused(operation string, resp *vault.Response) error {
	reason, capability := resp.Said(), "update"
	if operation == "keys" {
		capability = "read"
	}
	says := func(text string) bool { return strings.Contains(reason, text) }
	switch {
	case resp.Status == http.StatusForbidden || resp.Status == http.StatusUnauthorized:
		return k.fail(fault.ErrDenied, "permission denied for %s: its policies need %s on %s, for this context where they look at it%s",
			k.connection.Who(), capability, k.path(operation), resp.SaidOfDenial())
	case resp.Status == http.StatusNotFound && says("no handler for route"), resp.Status == http.StatusMethodNotAllowed:
		return k.fail(fault.ErrNotFound, "no Transit engine is enabled at %s in this namespace; set mount to where it is%s", k.settings.Mount, reason)
	case resp.Status == http.StatusNotFound || says("encryption key not found"):
		return k.fail(fault.ErrNotFound, "Vault has no such key; make it with vault write -f %s", k.path("keys"))
	case says("too old"):
		return k.fail(fault.ErrNotFound, "the ciphertext's version may not decrypt any more; lower min_decryption_version at %s until nothing is encrypted under it", k.path("keys")+"/config")
	case says("no such key version"):
		return k.fail(fault.ErrNotFound, "the ciphertext's version was trimmed from the key, and what it encrypted is lost unless a backup of the key has it")
	case resp.Status == http.StatusBadRequest && operation == "decrypt":
		return k.fail(fault.ErrInvalid, "the ciphertext was changed, is another key's, or is bound to another context%s", reason)
	}
	return k.fail(fault.ErrInvalid, "Vault refuses the request (%d)%s", resp.Status, reason)
}

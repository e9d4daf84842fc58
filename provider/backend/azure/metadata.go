package azure

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// metadataToken is an answer of the Instance Metadata Service. Its numbers are
// texts.
type metadataToken struct {
	AccessToken string `json:"access_token"`
	ExpiresOn   string `json:"expires_on"`
	oauthError
}

// managedIdentityToken gets a token of the node's managed identity from its machine's
// Instance Metadata Service. azidentity would take the source from the
// environment, and keep tokens for the whole process by its own rules.
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#get-a-token-using-http
func (v *Vault) managedIdentityToken(ctx context.Context, resource string) (secret.Bytes, time.Time, error) {
	query := url.Values{"api-version": {"2018-02-01"}, "resource": {resource}}
	if id := v.config.Auth.IdentityID; id != "" {
		query.Set("client_id", id)
	}
	address := v.config.Auth.MetadataEndpoint + "/metadata/identity/oauth2/token?" + query.Encode()
	var got metadataToken
	err := v.backoff.Do(ctx, hostOf(address), func(ctx context.Context) remote.Outcome {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
		if err != nil {
			return remote.Outcome{Err: fault.Failf(fault.ErrInvalid, "auth.metadataEndpoint: is not a URL")}
		}
		req.Header.Set("Metadata", "true")
		resp, err := v.logins.metadata.Do(req)
		if err != nil {
			return remote.Outcome{Err: unreachable(ctx, hostOf(address), err), Retry: true}
		}
		defer resp.Body.Close() //nolint:errcheck // it has been read as far as it matters
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return remote.Outcome{Err: unreachable(ctx, hostOf(address), err), Retry: true}
		}
		got = metadataToken{}
		broken := json.Unmarshal(body, &got) != nil
		switch {
		case throttles(resp.StatusCode, got.Error):
			return remote.Outcome{Err: fault.Throttledf("the machine's metadata service", "status %d", resp.StatusCode), Retry: true, After: remote.RetryAfter(resp.Header)}
		// 404 and 410 are those of a service that is being updated.
		case passes(resp.StatusCode), resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
			return remote.Outcome{Err: fault.Failf(fault.ErrUnavailable, "the machine's metadata service failed with status %d", resp.StatusCode), Retry: true, After: remote.RetryAfter(resp.Header)}
		case resp.StatusCode != http.StatusOK:
			return remote.Outcome{Err: fault.Failf(fault.ErrUnauthenticated, "the machine's metadata service gives no token (%d): %s; assign the identity to every machine of the node pool, and check auth.identityID", resp.StatusCode, message.Excerpt(got.Description))}
		case broken || got.AccessToken == "":
			return remote.Outcome{Err: fault.Failf(fault.ErrUnavailable, "the machine's metadata service answered without a token; check auth.metadataEndpoint"), Retry: true}
		}
		return remote.Outcome{}
	})
	if err != nil {
		return secret.Bytes{}, time.Time{}, fmt.Errorf("login as %s: %w", v.who(""), err)
	}
	seconds, err := strconv.ParseInt(got.ExpiresOn, 10, 64)
	if err != nil || seconds <= 0 {
		return secret.Bytes{}, time.Time{}, fault.Failf(fault.ErrUnavailable, "login as %s: the machine's metadata service does not say when the token ends", v.who(""))
	}
	return secret.NewString(got.AccessToken), time.Unix(seconds, 0), nil
}

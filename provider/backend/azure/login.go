package azure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	sdkcloud "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// token returns the token with which as reads, the key that it is kept by, and whose it is
// in the words of errors.
func (v *Vault) token(ctx context.Context, as identity.Identity) (*credential.Grant[secret.Bytes], credential.Key, string, error) {
	s, err := v.subject(ctx, as)
	if err != nil {
		return nil, credential.Key{}, "", err
	}
	want, err := v.accepted(ctx, s.tenant)
	if err != nil {
		return nil, credential.Key{}, "", err
	}
	auth := v.config.Auth
	key := credential.Key{
		Identity: as.Key(), Issuer: s.method + " " + v.config.AuthorityHost + "/" + want.tenant,
		Audience: auth.Audience, Method: s.method,
		// Which of the pod's own credentials are presented, too.
		Role: fmt.Sprintf("%q %q %q %s", s.clientID, auth.ClientIDCredential, auth.ClientSecretCredential, want.resource),
	}
	exchange := func(ctx context.Context) (secret.Bytes, time.Time, error) { return v.login(ctx, as, s, want) }
	switch {
	case auth.person:
		key = credential.Key{Issuer: methodPerson, Method: methodPerson, Role: want.tenant + " " + want.resource}
		exchange = func(ctx context.Context) (secret.Bytes, time.Time, error) { return v.personToken(ctx, want) }
	case auth.UsesNode():
		key = credential.Key{Issuer: auth.MetadataEndpoint, Method: methodManagedIdentity, Role: auth.IdentityID + " " + want.resource}
		exchange = func(ctx context.Context) (secret.Bytes, time.Time, error) {
			return v.managedIdentityToken(ctx, want.resource)
		}
	}
	grant, err := v.logins.tokens.Get(ctx, key, exchange)
	return grant, key, v.who(s.clientID), err
}

// personToken gets a token with what the person's own tools would use. The words
// of the library are kept for their remedies.
func (v *Vault) personToken(ctx context.Context, want challenge) (secret.Bytes, time.Time, error) {
	got, err := v.pool.person.Credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{want.resource + "/.default"}, TenantID: want.tenant})
	if err != nil {
		return secret.Bytes{}, time.Time{}, fault.Failf(fault.ErrUnauthenticated, "no identity of Azure was found for who runs this command; log in with az login: %s", message.Excerpt(err.Error()))
	}
	return secret.NewString(got.Token), got.ExpiresOn, nil
}

// login exchanges the pod's own token or secret for one of Entra ID's.
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#third-case-access-token-request-with-a-federated-credential
func (v *Vault) login(ctx context.Context, as identity.Identity, s subject, want challenge) (secret.Bytes, time.Time, error) {
	clientID, sent, err := v.proof(ctx, as, s)
	if err != nil {
		return secret.Bytes{}, time.Time{}, err
	}
	from, err := v.entra(s.method, want.tenant, clientID, sent)
	if err != nil {
		// The library's own words repeat the tenant, which a class may give.
		return secret.Bytes{}, time.Time{}, fault.Failf(fault.ErrInvalid, "`tenantID` or auth.clientID is not one that Entra ID knows the form of")
	}
	var got azcore.AccessToken
	err = v.backoff.Do(ctx, v.loginHost(), func(ctx context.Context) remote.Outcome {
		var err, lost error
		got, err = from.GetToken(context.WithValue(ctx, lostKey{}, &lost), policy.TokenRequestOptions{Scopes: []string{want.resource + "/.default"}})
		if err != nil && lost != nil {
			return remote.Outcome{Err: unreachable(ctx, v.loginHost(), lost), Retry: true}
		}
		return v.loginOutcome(ctx, err, as, s, sent)
	})
	if err != nil {
		return secret.Bytes{}, time.Time{}, fmt.Errorf("login as %s: %w", v.who(s.clientID), err)
	}
	return secret.NewString(got.Token), got.ExpiresOn, nil
}

// entra is the official client for one exchange. It keeps tokens by the client
// ID alone, so each exchange has one of its own.
func (v *Vault) entra(method, tenant, clientID string, sent secret.Bytes) (azcore.TokenCredential, error) {
	options := azcore.ClientOptions{
		Cloud:     sdkcloud.Configuration{ActiveDirectoryAuthorityHost: v.config.AuthorityHost},
		Transport: v.logins.discovery,
		Retry:     policy.RetryOptions{MaxRetries: -1},
		Telemetry: policy.TelemetryOptions{ApplicationID: "lanyard"},
	}
	// The authority is the cloud's own, or of the settings' choice: there is
	// nothing to discover.
	if method == methodServicePrincipal {
		return azidentity.NewClientSecretCredential(tenant, clientID, sent.RevealString(),
			&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	}
	return azidentity.NewClientAssertionCredential(tenant, clientID,
		func(context.Context) (string, error) { return sent.RevealString(), nil },
		&azidentity.ClientAssertionCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
}

// proof is the client ID to log in as and what proves it: the pod's token for
// the audience, or its secret.
func (v *Vault) proof(ctx context.Context, as identity.Identity, s subject) (clientID string, sent secret.Bytes, err error) {
	auth := v.config.Auth
	if s.method == methodWorkloadIdentity {
		if s.clientID == "" {
			return "", secret.Bytes{}, fault.Failf(fault.ErrUnauthenticated, "no client is named; give auth.clientID, the client ID of the identity that trusts the pod's service account%s", s.unnamed)
		}
		token, err := v.pool.tokens.Token(ctx, as, auth.Audience)
		switch {
		case errors.Is(err, identity.ErrNoToken):
			return "", secret.Bytes{}, fault.Fail(fault.ErrUnauthenticated, err)
		case err != nil && ctx.Err() != nil:
			return "", secret.Bytes{}, fmt.Errorf("waiting for the pod's token: %w", ctx.Err())
		case err != nil:
			return "", secret.Bytes{}, fault.Failf(fault.ErrUnavailable, "the pod's token for audience %q cannot be had: %s", auth.Audience, message.Excerpt(err.Error()))
		}
		return s.clientID, token.JWT, nil
	}
	clientID = s.clientID
	if clientID == "" {
		value, err := ownCredential(as, auth.ClientIDCredential, s.unnamed)
		if err != nil {
			return "", secret.Bytes{}, err
		}
		clientID = strings.TrimSpace(value.RevealString())
	}
	sent, err = ownCredential(as, auth.ClientSecretCredential, s.unnamed)
	return clientID, secret.NewString(strings.TrimSpace(sent.RevealString())), err
}

// ownCredential is one that the pod brings. Letters' case makes no difference,
// as it makes none to the Azure provider for the Secrets Store CSI driver.
func ownCredential(as identity.Identity, name, unnamed string) (secret.Bytes, error) {
	value, ok := as.Credentials[name]
	for _, other := range slices.Sorted(maps.Keys(as.Credentials)) {
		if !ok && strings.EqualFold(other, name) {
			value, ok = as.Credentials[other], true
		}
	}
	if value.Len() == 0 {
		return secret.Bytes{}, fault.Failf(fault.ErrUnauthenticated, "the pod brings no credential %q; name a Secret that has this key in the volume's nodePublishSecretRef, or give auth.clientID to use the pod's own identity%s", message.Excerpt(name), unnamed)
	}
	return value, nil
}

// oauthError is Entra ID's and the metadata service's.
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes#handling-error-codes-in-your-application
type oauthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// loginOutcome explains what became of a login.
func (v *Vault) loginOutcome(ctx context.Context, err error, as identity.Identity, s subject, sent secret.Bytes) remote.Outcome {
	if err == nil {
		return remote.Outcome{}
	}
	v.logins.discovery.forget()
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(err, &failed) || failed.RawResponse == nil {
		return remote.Outcome{Err: unreachable(ctx, v.loginHost(), err), Retry: true}
	}
	resp := failed.RawResponse
	var said oauthError
	if body, err := runtime.Payload(resp); err != nil || json.Unmarshal(body, &said) != nil {
		said = oauthError{}
	}
	// What follows is for Microsoft's support alone.
	description, _, _ := strings.Cut(said.Description, "Trace ID:")
	text := v.config.LoginNetwork.Speaker("Entra ID says", hostOf(v.config.AuthorityHost), ownDomains()...).Said(description, sent)
	if throttles(resp.StatusCode, said.Error) {
		return remote.Outcome{Err: fault.Throttledf("Entra ID", "it refuses logins for a while (%d)%s", resp.StatusCode, text), Retry: true, After: remote.RetryAfter(resp.Header)}
	}
	if passes(resp.StatusCode) || said.Error == "temporarily_unavailable" {
		return remote.Outcome{Err: fault.Failf(fault.ErrUnavailable, "Entra ID failed with status %d%s", resp.StatusCode, text), Retry: true, After: remote.RetryAfter(resp.Header)}
	}
	if resp.StatusCode == http.StatusOK {
		return remote.Outcome{Err: fault.Failf(fault.ErrUnavailable, "%s gave no token; look at what stands between the node and Entra ID", v.loginHost()), Retry: true}
	}
	return remote.Outcome{Err: fault.Failf(fault.ErrUnauthenticated, "refused (%d); %s%s", resp.StatusCode, v.remedy(said.Description, as, s), text)}
}

// remedy is what to look at when a login is refused with one of Entra ID's
// codes.
func (v *Vault) remedy(description string, as identity.Identity, s subject) string {
	code, _, _ := strings.Cut(description, ":")
	switch code {
	case "AADSTS700016", "AADSTS70001":
		return "there is no such application in the tenant; check auth.clientID and `tenantID`"
	case "AADSTS90002", "AADSTS900023", "AADSTS900021":
		return "there is no such tenant; check `tenantID` and `cloud`"
	case "AADSTS7000215", "AADSTS7000222":
		return "the client secret is wrong or has ended; put a new one into the nodePublishSecretRef Secret"
	case "AADSTS700024":
		return "the pod's token is not valid at this time; check the node's clock"
	}
	if s.method == methodServicePrincipal {
		return "check the client ID and secret in the nodePublishSecretRef Secret, and `tenantID`"
	}
	if v.config.Auth.IdentityBinding {
		return fmt.Sprintf("check that the managed identity is bound to this cluster, and that a role lets %s use it", as)
	}
	return fmt.Sprintf("check that the application or managed identity has a federated credential with the cluster's issuer, the subject %s and the audience %s", as, message.Excerpt(v.config.Auth.Audience))
}

// loginHost is the host that logins call.
func (v *Vault) loginHost() string {
	if v.config.Auth.IdentityBinding {
		return hostOf(v.config.TokenProxy.URL)
	}
	return hostOf(v.config.AuthorityHost)
}

// who describes in errors the identity that the store reads with. clientID is empty if
// the pod's credentials name it.
func (v *Vault) who(clientID string) string {
	auth := v.config.Auth
	switch {
	case auth.Method == methodManagedIdentity && auth.IdentityID == "":
		return "the node's own managed identity"
	case auth.Method == methodManagedIdentity:
		return "the node's managed identity " + message.Excerpt(auth.IdentityID)
	case clientID != "":
		return "client " + message.Excerpt(clientID)
	}
	return "the client that the pod's credentials name"
}

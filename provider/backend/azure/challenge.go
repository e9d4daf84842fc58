package azure

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// challenge is what a vault says of the tokens that it takes.
// https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses#authentication
type challenge struct {
	tenant   string
	resource string // a URL without a path: https://vault.azure.net
}

// challengeLife is for how long a vault's challenge is believed: a vault that
// moves to another tenant is rare, and its 401 says so before.
const challengeLife = 24 * time.Hour

// known returns the resource of the vault's challenge as far as it is known without
// asking: what the settings say, else that of a cloud whose suffix the address has.
func (s *Settings) known() challenge {
	c := challenge{resource: s.Resource}
	if c.resource == "" {
		for _, of := range clouds() {
			for _, suffix := range []string{of.vaults, of.hsms} {
				if strings.HasSuffix(hostOf(s.Address), "."+suffix) {
					c.resource = "https://" + suffix
				}
			}
		}
	}
	return c
}

func hostOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return parsed.Hostname()
}

// accepted is the tenant, empty if nobody names it, and the resource to get a token for:
// as known, else as the vault says, in which case its host must lie below the resource's,
// so that no other server is given a token for Key Vault.
// https://aka.ms/azsdk/blog/vault-uri
func (v *Vault) accepted(ctx context.Context, tenant string) (challenge, error) {
	known := v.config.known()
	known.tenant = tenant
	if known.tenant != "" && known.resource != "" {
		return known, nil
	}
	grant, err := v.challenges.Get(ctx, credential.Key{Issuer: v.config.Address}, func(ctx context.Context) (challenge, time.Time, error) {
		got, err := v.fetchChallenge(ctx)
		return got, v.now().Add(challengeLife), err
	})
	if err != nil {
		return challenge{}, err
	}
	got := grant.Credential
	if known.tenant != "" {
		got.tenant = known.tenant
	}
	if known.resource != "" {
		got.resource = known.resource
	} else if !strings.HasSuffix(hostOf(v.config.Address), "."+hostOf(got.resource)) {
		return challenge{}, fault.Failf(fault.ErrInvalid, "%s wants a token for %s, which is not a domain above its own; if that is right, say so in resource", v.host, message.Excerpt(got.resource))
	}
	return got, nil
}

// fetchChallenge makes a call without a token, which the vault refuses with its
// challenge.
func (v *Vault) fetchChallenge(ctx context.Context) (challenge, error) {
	var found challenge
	err := v.backoff.Do(ctx, v.host, func(ctx context.Context) remote.Outcome {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.config.Address+"/keys?api-version=7.4", http.NoBody)
		if err != nil {
			return remote.Outcome{Err: fault.Failf(fault.ErrInvalid, "address: is not a URL")}
		}
		resp, err := v.transport.Do(req)
		if err != nil {
			return remote.Outcome{Err: unreachable(ctx, v.host, err), Retry: true}
		}
		defer resp.Body.Close() //nolint:errcheck // only its header matters
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return remote.Outcome{Err: unreachable(ctx, v.host, err), Retry: true}
		}
		if passes(resp.StatusCode) {
			return remote.Outcome{Err: refused{status: resp.StatusCode}.explain(nil, ""), Retry: true, After: remote.RetryAfter(resp.Header)}
		}
		if resp.StatusCode != http.StatusUnauthorized {
			return remote.Outcome{Err: fault.Failf(fault.ErrInvalid, "%s answered %d where Key Vault asks for a token (401); check the vault's address, or give `tenantID` and resource", v.host, resp.StatusCode)}
		}
		if found, err = parseChallenge(resp.Header.Get("WWW-Authenticate")); err != nil {
			return remote.Outcome{Err: fault.Failf(fault.ErrInvalid, "%s asks for a token in a way that Key Vault does not: %v; check the vault's address, or give `tenantID` and resource", v.host, err)}
		}
		return remote.Outcome{}
	})
	return found, err
}

// maxChallengeBytes bounds the header.
const maxChallengeBytes = 4096

// parseChallenge reads the header of a 401:
//
//	Bearer authorization="https://login.microsoftonline.com/<tenant>", resource="https://vault.azure.net"
//
// Azure also writes scope for resource, and authorization_uri for
// authorization.
func parseChallenge(header string) (challenge, error) {
	if len(header) > maxChallengeBytes {
		return challenge{}, errors.New("the challenge is too long")
	}
	scheme, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return challenge{}, errors.New("there is no Bearer challenge")
	}
	fields := map[string]string{}
	for part := range strings.FieldsFuncSeq(rest, func(r rune) bool { return r == ',' || r == ' ' }) {
		name, value, _ := strings.Cut(part, "=")
		fields[strings.ToLower(name)] = strings.Trim(value, `"`)
	}
	var c challenge
	for _, name := range []string{"authorization_uri", "authorization"} {
		if parsed, err := url.Parse(fields[name]); err == nil && parsed.Scheme == "https" {
			c.tenant, _, _ = strings.Cut(strings.TrimPrefix(parsed.Path, "/"), "/")
		}
	}
	for _, name := range []string{"resource", "scope"} {
		parsed, err := url.Parse(strings.TrimSuffix(fields[name], "/.default"))
		if err == nil && parsed.Scheme == "https" && parsed.Host != "" && parsed.User == nil {
			c.resource = "https://" + strings.ToLower(parsed.Host)
		}
	}
	switch {
	case !tenant().MatchString(c.tenant):
		return challenge{}, errors.New("the challenge names no tenant")
	case c.resource == "":
		return challenge{}, errors.New("the challenge names no resource")
	}
	return c, nil
}

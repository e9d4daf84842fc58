package gcp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google/externalaccount"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// Scope is the scope of every access token.
// https://cloud.google.com/secret-manager/docs/accessing-the-api#oauth-scopes
const Scope = "https://www.googleapis.com/auth/cloud-platform"

// keyName is what Google's own provider calls a service account's key in the
// Secret of nodePublishSecretRef.
const keyName = "key.json"

// LoginOptions are what a Login is made of.
type LoginOptions struct {
	Options
	// Auth has passed its Check.
	Auth Auth
	// Link reaches Google's identity services and keeps what they granted.
	Link *Link
	// Timeout bounds one try of a call, and Retries how often it is made again.
	Timeout time.Duration
	Retries int
}

// Login gets access tokens, one for each identity and what it acts as. They are
// used until they end or are refused, by all who log in over one Link. It is
// safe for concurrent use.
type Login struct{ LoginOptions }

// NewLogin returns a Login that works until its Link is given back.
func NewLogin(opts LoginOptions) *Login { return &Login{opts} }

// maxTokens bounds the new access tokens that one use may cost.
const maxTokens = 2

// With calls use with an access token of the identity, and who that is, for
// errors. If use returns refused, the token itself was not accepted: it may
// have been revoked, so that use is called again with a new one, unless the
// one it had was new. The error is that of use, or wraps one of package
// store's kinds or ctx's.
func (s *Login) With(ctx context.Context, as identity.Identity, use func(token secret.Bytes, who string) (refused bool, err error)) error {
	p, err := s.principal(ctx, as)
	if err != nil {
		return err
	}
	for try := 0; ; try++ {
		grant, err := s.Link.granted.Get(ctx, p.key, p.exchange)
		if err != nil {
			return err
		}
		refused, err := use(grant.Credential, p.who)
		if !refused || try >= maxTokens || !s.Link.granted.Forget(p.key, grant) {
			return err
		}
	}
}

// principal is an identity that calls Google.
type principal struct {
	key      credential.Key
	exchange credential.Exchange[secret.Bytes]
	who      string // in errors
}

// principal returns the principal of a pod.
func (s *Login) principal(ctx context.Context, id identity.Identity) (principal, error) {
	auth := &s.Auth
	switch auth.Method {
	case methodPerson:
		return principal{key: credential.Key{Issuer: methodPerson, Method: methodPerson}, exchange: s.personToken, who: "who runs this command"}, nil
	case MethodMetadata:
		return principal{
			key:      credential.Key{Issuer: "metadata " + auth.MetadataEndpoint, Method: MethodMetadata},
			exchange: s.metadataToken, who: "the service account that the provider itself runs as",
		}, nil
	case MethodKeyFile:
		return principal{
			key:      credential.Key{Issuer: "key " + auth.OAuthEndpoint, Role: auth.KeyFile, Method: MethodKeyFile},
			exchange: s.keyFileToken, who: "the service account of the key in " + message.Excerpt(auth.KeyFile),
		}, nil
	}
	_, ignored := id.Credentials[keyName]
	if ignored = ignored && auth.KeyCredential == ""; ignored && auth.RefuseKeys {
		return principal{}, fault.Failf(fault.ErrUnauthenticated, "the pod brings a service account's key (%s in nodePublishSecretRef), and the operator does not allow keys: set auth.keyCredential: %s for this store in the provider's configuration file, or remove nodePublishSecretRef to read as the pod's own service account", keyName, keyName)
	}
	if brought, ok := id.Credentials[auth.KeyCredential]; ok && auth.KeyCredential != "" {
		return principal{
			// Which key it is, is part of the identity.
			key: credential.Key{Identity: id.Key(), Issuer: "key " + auth.OAuthEndpoint, Role: auth.KeyCredential, Method: "keyCredential"},
			exchange: func(ctx context.Context) (secret.Bytes, time.Time, error) {
				return s.keyToken(ctx, auth.KeyCredential+" of nodePublishSecretRef", brought)
			},
			who: "the service account of the key that the pod brings",
		}, nil
	}
	account, delegates, err := s.account(ctx, id)
	if err != nil {
		return principal{}, err
	}
	p := s.workload(id, account, delegates)
	if ignored {
		// As Google's own provider does by default. The log tells it at each exchange, and
		// who is denied should know.
		exchange := p.exchange
		p.exchange = func(ctx context.Context) (secret.Bytes, time.Time, error) {
			klog.InfoS("A service account's key that pods bring is not used; set auth.keyCredential to allow it, or auth.refuseKeys to refuse it",
				"namespace", id.Namespace, "serviceAccount", id.ServiceAccount, "key", keyName)
			return exchange(ctx)
		}
		p.who += " (whose " + keyName + " in nodePublishSecretRef is not used: the operator has not set auth.keyCredential)"
	}
	return p, nil
}

// personToken logs in with what the person's own tools would use. The words of
// the library are kept for their remedies.
func (s *Login) personToken(context.Context) (secret.Bytes, time.Time, error) {
	granted, err := s.Person.Source.Token()
	if err != nil || granted.AccessToken == "" {
		return secret.Bytes{}, time.Time{}, fault.Failf(fault.ErrUnauthenticated, "no credentials of Google Cloud were found for who runs this command; run gcloud auth application-default login: %s", message.Excerpt(fmt.Sprint(err)))
	}
	return secret.NewString(granted.AccessToken), granted.Expiry, nil
}

// workload is the pod's own principal, or the service account that it acts as.
func (s *Login) workload(id identity.Identity, account string, delegates []string) principal {
	auth := &s.Auth
	who := fmt.Sprintf("the workload identity of service account %s in namespace %s", message.Excerpt(id.ServiceAccount), message.Excerpt(id.Namespace))
	switch {
	case account != "":
		who = "service account " + account
	case s.Auth.Annotations && s.Cluster != nil && !s.clusterAllowed():
		who += " (whose annotation " + accountAnnotation + " is not read: the operator has not set policy.readObjects)"
	}
	return principal{
		key: credential.Key{
			Identity: id.Key(), Issuer: auth.STSEndpoint + " " + auth.IAMEndpoint + " " + auth.MetadataEndpoint, Audience: auth.Audience + " " + auth.TokenAudience,
			Method: auth.Method,
			Role:   strings.Join(append([]string{account}, delegates...), " "),
		},
		exchange: func(ctx context.Context) (secret.Bytes, time.Time, error) {
			federated, expires, err := s.federate(ctx, id)
			if err != nil || account == "" {
				return federated, expires, err
			}
			return s.impersonate(ctx, id, federated, account, delegates)
		},
		who: who,
	}
}

// federate exchanges the pod's token for one of Google's (RFC 8693).
// https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
func (s *Login) federate(ctx context.Context, id identity.Identity) (secret.Bytes, time.Time, error) {
	auth := &s.Auth
	audience, err := s.audience(ctx)
	if err != nil {
		return secret.Bytes{}, time.Time{}, err
	}
	wanted := auth.TokenAudience
	if wanted == "" {
		wanted = tokenAudience(audience)
		// A provider accepts its own name with and without the scheme.
		if _, passed := id.Tokens[audience]; passed && isFederated(audience) {
			wanted = audience
		}
	}
	token, err := s.Tokens.Token(ctx, id, wanted)
	if err != nil {
		return secret.Bytes{}, time.Time{}, tokenMissing(ctx, wanted, err)
	}
	if token.JWT.Len() == 0 {
		return secret.Bytes{}, time.Time{}, fault.Failf(fault.ErrUnauthenticated, "the pod's token for audience %q is empty", wanted)
	}
	var granted *oauth2.Token
	err = s.call(ctx, callOf{
		what: "the exchange of the pod's token at " + Host(auth.STSEndpoint),
		refused: fmt.Sprintf("check that auth.audience (%s) names a workload identity pool and provider that exist and trust this cluster's issuer, and that they accept the audience %s of the pod's token; in pool %s the pod is %s",
			message.Excerpt(audience), message.Excerpt(wanted), message.Excerpt(poolOf(audience)), subject(id)),
		kind: fault.ErrUnauthenticated, over: s.Link.way.STS, endpoint: auth.STSEndpoint, sent: []secret.Bytes{token.JWT},
	}, func(ctx context.Context, _ *http.Client) error {
		source, err := externalaccount.NewTokenSource(ctx, externalaccount.Config{
			Audience:             audience,
			SubjectTokenType:     "urn:ietf:params:oauth:token-type:jwt",
			TokenURL:             auth.STSEndpoint + "/v1/token",
			Scopes:               []string{Scope},
			SubjectTokenSupplier: podToken{token.JWT},
		})
		if err != nil {
			return err
		}
		granted, err = source.Token()
		if err == nil && granted.AccessToken == "" {
			return errNoAnswer
		}
		return err
	})
	if err != nil {
		return secret.Bytes{}, time.Time{}, err
	}
	return secret.NewString(granted.AccessToken), granted.Expiry, nil
}

// podToken hands the pod's token to the library that exchanges it.
type podToken struct{ jwt secret.Bytes }

// SubjectToken implements externalaccount.SubjectTokenSupplier.
func (p podToken) SubjectToken(context.Context, externalaccount.SupplierOptions) (string, error) {
	return p.jwt.RevealString(), nil
}

func tokenMissing(ctx context.Context, audience string, err error) error {
	switch {
	case errors.Is(err, identity.ErrNoToken):
		return fault.Fail(fault.ErrUnauthenticated, err)
	case ctx.Err() != nil:
		return fmt.Errorf("waiting for the pod's token: %w", ctx.Err())
	}
	return fault.Failf(fault.ErrUnavailable, "the pod's token for audience %q cannot be had: %s", audience, message.Excerpt(err.Error()))
}

// subject is what a pool calls a pod.
// https://cloud.google.com/kubernetes-engine/docs/concepts/workload-identity#kubernetes-resources-iam-policies
func subject(id identity.Identity) string {
	return message.Excerpt("ns/" + id.Namespace + "/sa/" + id.ServiceAccount)
}

// poolOf is the pool in an audience of an exchange.
func poolOf(audience string) string {
	if isFederated(audience) {
		return strings.Split(audience, "/")[8]
	}
	return tokenAudience(audience)
}

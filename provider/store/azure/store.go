package azure

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azcertificates"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/lanyardhq/lanyard/provider/credential"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

// vaultStore is one connection. It is a store.NodeReader.
type vaultStore struct {
	config    *settings
	podTokens identity.TokenSource
	transport *sharedTransport
	release   func() // of the transport
	tries     retrier

	challenges *credential.Cache[challenge]
	logins     *credential.Cache[secret.Bytes]

	secrets      *azsecrets.Client
	keys         *azkeys.Client
	certificates *azcertificates.Client
}

func newStore(config *settings, transport *sharedTransport, release func(), tokens identity.TokenSource, now func() time.Time) (*vaultStore, error) {
	address, err := url.Parse(config.Address)
	if err != nil {
		return nil, fail(store.ErrInvalid, "address: is not a URL")
	}
	options := azcore.ClientOptions{
		APIVersion:       config.APIVersion,
		Transport:        transport,
		Retry:            policy.RetryOptions{MaxRetries: -1}, // a retrier's
		Telemetry:        policy.TelemetryOptions{ApplicationID: "lanyard"},
		PerRetryPolicies: []policy.Policy{authorizer{host: address.Host}},
	}
	s := &vaultStore{
		config: config, podTokens: tokens, transport: transport, release: release,
		tries: retrier{host: address.Host, timeout: config.Timeout, retries: config.Retries},
	}
	var failed [3]error
	s.secrets, failed[0] = azsecrets.NewClient(config.Address, nil, &azsecrets.ClientOptions{ClientOptions: options})
	s.keys, failed[1] = azkeys.NewClient(config.Address, nil, &azkeys.ClientOptions{ClientOptions: options})
	s.certificates, failed[2] = azcertificates.NewClient(config.Address, nil, &azcertificates.ClientOptions{ClientOptions: options})
	if errors.Join(failed[:]...) != nil {
		return nil, fail(store.ErrInvalid, "the settings do not make a client of Key Vault's")
	}
	s.challenges = credential.New[challenge](credential.Options{Now: now})
	s.logins = credential.New[secret.Bytes](credential.Options{Now: now})
	return s, nil
}

// Check implements store.Store.
func (s *vaultStore) Check(ref store.Reference) error {
	_, err := parseReference(ref, s.config.HSM != "")
	return err
}

// ReadsAsNode implements store.NodeReader.
func (s *vaultStore) ReadsAsNode() bool { return s.config.Auth.usesNode() }

// Read implements store.Store.
func (s *vaultStore) Read(ctx context.Context, as identity.Identity, ref store.Reference) (store.Value, error) {
	q, err := parseReference(ref, s.config.HSM != "")
	if err != nil {
		return store.Value{}, err
	}
	if q.history > 0 {
		return s.readHistory(ctx, as, q)
	}
	data, version, err := s.readOne(ctx, as, q)
	if err != nil {
		return store.Value{}, err
	}
	return store.Value{Data: data, Version: version}, nil
}

// call makes one call for what, as the identity. A token that is refused is
// replaced once, if it was not new.
func (s *vaultStore) call(ctx context.Context, as identity.Identity, what *query, do func(context.Context) error) error {
	for renewed := false; ; renewed = true {
		grant, key, err := s.token(ctx, as)
		if err != nil {
			return about(what.String(), err)
		}
		unauthorized := false
		err = s.tries.do(ctx, func(ctx context.Context) outcome {
			result := s.outcome(ctx, do(withBearer(ctx, grant.Credential)), what, grant.Credential)
			unauthorized = errors.Is(result.err, store.ErrUnauthenticated)
			return result
		})
		if err == nil || !unauthorized || renewed || !s.logins.Forget(key, grant) {
			return about(what.String(), err)
		}
	}
}

// outcome explains what became of a call to the vault.
func (s *vaultStore) outcome(ctx context.Context, err error, what *query, sent secret.Bytes) outcome {
	if err == nil {
		return outcome{}
	}
	var own *failure
	if errors.As(err, &own) {
		return outcome{err: own}
	}
	r, answered := asRefused(err, sent)
	if !answered {
		failed := unreachable(ctx, s.tries.host, err)
		return outcome{err: failed, passes: errors.Is(failed, store.ErrUnavailable)}
	}
	var answer *azcore.ResponseError
	if errors.As(err, &answer) {
		return outcome{err: r.explain(what, s.who()), passes: passes(r.status), after: retryAfter(answer.RawResponse)}
	}
	return outcome{err: r.explain(what, s.who()), passes: passes(r.status)}
}

// Close implements store.Store.
func (s *vaultStore) Close() {
	s.logins.Close()
	s.challenges.Close()
	s.release()
}

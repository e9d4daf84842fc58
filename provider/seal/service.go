package seal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// ServiceKey is a key of a key service under the name that sealed values refer to.
// Sealing and opening must use the same name, but may have different settings and
// credentials. It is safe for concurrent use.
type ServiceKey struct {
	name    string
	cluster string
	key     key.Key
	asNode  bool

	// Some calls outlive who asked for them. Close ends those.
	ended   context.Context //nolint:containedctx // of the key, not of a call
	end     context.CancelFunc
	mu      sync.Mutex
	closed  bool
	flights sync.WaitGroup
}

func newServiceKey(name, cluster string, opened key.Key, asNode bool) *ServiceKey {
	k := &ServiceKey{name: name, cluster: cluster, key: opened, asNode: asNode}
	k.ended, k.end = context.WithCancel(context.Background())
	return k
}

// NewServiceKey gives a key a name of 1 to MaxServiceKey letters, digits, dots,
// dashes and underscores. The key service is called with the node's credentials if
// asNode, else with the workload's. Closing the ServiceKey closes opened.
func NewServiceKey(name string, opened key.Key, asNode bool) (*ServiceKey, error) {
	if text := WrongServiceKeyName(name); text != "" {
		return nil, errors.New("the key's name " + text)
	}
	return newServiceKey(name, "", opened, asNode), nil
}

// Name is what values are sealed to.
func (k *ServiceKey) Name() string { return k.name }

// Cluster is the name of the cluster that the key is for; empty if none is known.
func (k *ServiceKey) Cluster() string { return k.cluster }

// AsNode says whether the key service is asked with the node's own credentials.
func (k *ServiceKey) AsNode() bool { return k.asNode }

// Close cancels the detached calls, waits for them and closes the key. No other call
// may run during or after it.
func (k *ServiceKey) Close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.end()
	k.flights.Wait()
	k.key.Close()
}

// detached returns a context that outlives ctx, but not the timeout or the key. The
// caller calls done at the end. open is false for a closed key.
func (k *ServiceKey) detached(ctx context.Context, timeout time.Duration) (_ context.Context, done func(), open bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, nil, false
	}
	k.flights.Add(1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	stop := context.AfterFunc(k.ended, cancel)
	return ctx, func() { stop(); cancel(); k.flights.Done() }, true
}

// SealWith encrypts value with its own data key, which the key service wraps for the
// scope (envelope encryption), and returns the text. It calls the key service once
// with this machine's credentials, which need no right to decrypt. It fails as Seal
// does, or with an error that wraps ErrKeyService and a kind of package fault.
func SealWith(ctx context.Context, with *ServiceKey, scope Scope, value secret.Bytes, options ...Option) (string, error) {
	if err := checkSealing(scope, value); err != nil {
		return "", err
	}
	bound := scopeContext(scope)
	if err := bound.Check(); err != nil {
		return "", fmt.Errorf("the scope is too long for a key service: %w", err)
	}
	dataKey := make([]byte, dataKeySize)
	_, _ = rand.Read(dataKey)
	defer clear(dataKey)
	made, err := with.key.Encrypt(ctx, identity.Identity{}, secret.New(slices.Clone(dataKey)), bound)
	if err != nil {
		return "", serviceFailure(ctx, with, err)
	}
	part := keyPart{name: with.name, version: made.Version, wrapped: made.Data}
	encoded, err := part.encode()
	if err != nil {
		return "", serviceError{kind: fault.ErrUnavailable, text: fmt.Sprintf("key %s: %v", with.name, err)}
	}
	how := sealingOf(options)
	head := header{suite: SuiteKeyService, key: part.id(), scope: scope, by: how.signer()}.encode()
	sealed, err := sealUnder(dataKey, slices.Concat(head, encoded), value.Reveal())
	if err != nil {
		return "", fmt.Errorf("the value could not be encrypted with a data key of key %s", with.name)
	}
	return encodeText(textPrefix, how.sign(sealed)), nil
}

// unwrap has the key service decrypt a data key for the workload.
func (k *ServiceKey) unwrap(ctx context.Context, as identity.Identity, part keyPart, scope Scope) (secret.Bytes, error) {
	if k.asNode {
		as = identity.Identity{}
	}
	dataKey, err := k.key.Decrypt(ctx, as, key.Ciphertext{Data: part.wrapped, Version: part.version}, scopeContext(scope))
	if err != nil {
		return secret.Bytes{}, serviceFailure(ctx, k, err)
	}
	return dataKey, nil
}

// The names of a context's pairs. Their order in the canonical form goes from wide to
// narrow, so that Vault's policies can match a prefix of that form.
const (
	boundCluster        = "cluster"
	boundNamespace      = "namespace"
	boundServiceAccount = "service-account"
	boundObject         = "target-object"
	boundUntil          = "until"
	boundUse            = "use"
)

// sealedUse is the value of boundUse for data keys, which separates them from
// everything else that the same key encrypts.
const sealedUse = "sealed-value"

// scopeContext returns the context of a data key at the key service. It omits names
// that may be any, and the expiry of a value without one.
func scopeContext(scope Scope) key.Context {
	bound := key.Context{boundUse: sealedUse}
	for name, value := range map[string]Name{
		boundCluster: scope.Cluster, boundNamespace: scope.Namespace, boundServiceAccount: scope.ServiceAccount, boundObject: scope.Object,
	} {
		if !value.any {
			bound[name] = value.exact
		}
	}
	if !scope.NotAfter.IsZero() {
		bound[boundUntil] = scope.NotAfter.UTC().Format(time.RFC3339)
	}
	return bound
}

// serviceError is an error of a key service. It wraps ErrKeyService and the kind.
type serviceError struct {
	kind error
	text string
}

func (e serviceError) Error() string   { return e.text }
func (e serviceError) Unwrap() []error { return []error{ErrKeyService, e.kind} }

// serviceFailure returns the kind and text of a key service's error, without anything
// else that it wraps.
func serviceFailure(ctx context.Context, k *ServiceKey, err error) error {
	if ended := ctx.Err(); ended != nil && errors.Is(err, ended) {
		return ended
	}
	kind := fault.ErrUnavailable
	for _, known := range []error{fault.ErrInvalid, fault.ErrUnauthenticated, fault.ErrDenied} {
		if errors.Is(err, known) {
			kind = known
		}
	}
	// A missing key must not pass for a missing value.
	if errors.Is(err, fault.ErrNotFound) {
		kind = fault.ErrInvalid
	}
	return serviceError{kind: kind, text: fmt.Sprintf("key %s: %v", k.name, err)}
}

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

// ServiceKey is a key of a key service, under the name that values are sealed
// to. Who seals and who opens must give it the same name; how each reaches the
// key service, and as whom, is their own. It is safe for concurrent use.
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

// NewServiceKey names a key of 1 to MaxServiceKey letters, digits, dots, dashes
// and underscores. If asNode is true the key service is asked with the node's
// own credentials for whichever workload, and else with the workload's. Closing
// it closes opened.
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

// Close releases what the key holds. No call runs during or after it; those that
// outlive who asked for them are ended, and waited for.
func (k *ServiceKey) Close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.end()
	k.flights.Wait()
	k.key.Close()
}

// detached begins a call that goes on when ctx ends, for at most so long and no
// longer than the key is open. done must be called at its end. It is false for a
// key that is closed.
func (k *ServiceKey) detached(ctx context.Context, most time.Duration) (_ context.Context, done func(), open bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, nil, false
	}
	k.flights.Add(1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
	stop := context.AfterFunc(k.ended, cancel)
	return ctx, func() { stop(); cancel(); k.flights.Done() }, true
}

// SealWith encrypts value with a data key of its own, which the key service
// wraps for the scope, and returns the text. It asks the key service once, with
// this machine's own credentials, which need no right to decrypt. It fails as
// Seal does, or with the key service's error, which wraps ErrKeyService and a
// kind of package fault.
func SealWith(ctx context.Context, with *ServiceKey, scope Scope, value secret.Bytes, options ...Option) (string, error) {
	if err := checkSealing(scope, value); err != nil {
		return "", err
	}
	bound := boundTo(scope)
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
	dataKey, err := k.key.Decrypt(ctx, as, key.Ciphertext{Data: part.wrapped, Version: part.version}, boundTo(scope))
	if err != nil {
		return secret.Bytes{}, serviceFailure(ctx, k, err)
	}
	return dataKey, nil
}

// The pairs of a context. In the order of their names, which is the order of the
// canonical form, each is narrower than the one before: policies of Vault match
// the beginning of that form.
const (
	boundCluster        = "cluster"
	boundNamespace      = "namespace"
	boundServiceAccount = "service-account"
	boundObject         = "target-object"
	boundUntil          = "until"
	boundUse            = "use"
)

// sealedUse is the value of boundUse, which keeps a data key of a sealed value
// from being taken for anything else that the same key encrypted.
const sealedUse = "sealed-value"

// boundTo is what a data key is bound to at the key service. Names that may be
// any are left out, and so is the time of a value that does not expire.
func boundTo(scope Scope) key.Context {
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

// serviceError is what a key service said. It wraps ErrKeyService and the kind.
type serviceError struct {
	kind error
	text string
}

func (e serviceError) Error() string   { return e.text }
func (e serviceError) Unwrap() []error { return []error{ErrKeyService, e.kind} }

// serviceFailure keeps the kind and the text of a key service's error, and
// nothing else that it may wrap.
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
	// A key that is gone is no value that is absent: the value stands there.
	if errors.Is(err, fault.ErrNotFound) {
		kind = fault.ErrInvalid
	}
	return serviceError{kind: kind, text: fmt.Sprintf("key %s: %v", k.name, err)}
}

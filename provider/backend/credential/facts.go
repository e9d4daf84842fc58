package credential

import (
	"context"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
)

const (
	// factTimeout bounds asking for a fact.
	factTimeout = 10 * time.Second
	// annotationsFor is after about how long annotations are read again.
	annotationsFor = 5 * time.Minute
)

// Cluster answers what the cluster's objects say of a pod's place in a cloud.
type Cluster interface {
	// Annotation is an annotation of a service account; empty if it has none.
	// The error wraps a kind of package fault.
	Annotation(ctx context.Context, namespace, serviceAccount, name string) (string, error)
}

// Facts keep what the cluster's objects and the machine say of a pod's place in a cloud,
// which says whose credentials it gets. They are safe for concurrent use.
type Facts struct{ known *Cache[string] }

// NewFacts returns Facts that work until Close. A nil now means time.Now.
func NewFacts(now func() time.Time) *Facts {
	return &Facts{New[string](Options{Now: now, Timeout: factTimeout})}
}

// Get returns the fact of a key, which is asked for again after about its life.
func (f *Facts) Get(ctx context.Context, key Key, life time.Duration, fetch func(context.Context) (string, error)) (string, error) {
	fact, err := f.known.Get(ctx, key, func(ctx context.Context) (string, time.Time, error) {
		text, err := fetch(ctx)
		return text, f.known.now().Add(life), err
	})
	if err != nil {
		return "", err
	}
	return fact.Credential, nil
}

// Annotation returns what the pod's service account has under the name; empty if that is
// nothing. What check refuses is not kept, so that a fixed annotation holds at once.
func (f *Facts) Annotation(ctx context.Context, from Cluster, as identity.Identity, name string, check func(text string) error) (string, error) {
	// Of the identity, the name alone decides.
	key := Key{Identity: identity.Key{Namespace: as.Namespace, ServiceAccount: as.ServiceAccount}, Issuer: name}
	return f.Get(ctx, key, annotationsFor, func(ctx context.Context) (string, error) {
		text, err := from.Annotation(ctx, as.Namespace, as.ServiceAccount, name)
		if err != nil {
			return "", remote.ClusterFailure(err)
		}
		return text, check(text)
	})
}

// WrongAnnotation is the error of an annotation of the pod's service account; wrong is
// such as "must be a client ID".
func WrongAnnotation(as identity.Identity, name, wrong string) error {
	return fault.Failf(fault.ErrInvalid, "the annotation %s of service account %s in namespace %s %s", name, message.Excerpt(as.ServiceAccount), message.Excerpt(as.Namespace), wrong)
}

// Close is that of a Cache.
func (f *Facts) Close() { f.known.Close() }

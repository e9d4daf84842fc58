package gcp

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// The annotations with which a Kubernetes service account names the one of
// Google's that its pods act as, and the chain that leads there, a JSON list.
// https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity#kubernetes-sa-to-iam
const (
	accountAnnotation   = "iam.gke.io/gcp-service-account"
	delegatesAnnotation = "iam.gke.io/gcp-service-account-delegates"
)

// annotationsFor is after about how long annotations are read again.
const annotationsFor = 5 * time.Minute

// Cluster answers what the cluster's objects say of a pod's place in Google
// Cloud.
type Cluster interface {
	// Annotation is an annotation of a service account; empty if it has none.
	// The error wraps a kind of package fault.
	Annotation(ctx context.Context, namespace, serviceAccount, name string) (string, error)
}

// account is the service account of Google's that the pod acts as, and the
// delegates: as configured, else as the pod's service account says. It is empty
// if neither names one.
func (s *Login) account(ctx context.Context, id identity.Identity) (string, []string, error) {
	if s.Auth.ServiceAccount != "" || !s.Auth.Annotations || s.Cluster == nil || !s.clusterAllowed() {
		return s.Auth.ServiceAccount, s.Auth.Delegates, nil
	}
	account, err := s.annotation(ctx, id, accountAnnotation)
	switch {
	case err != nil || account == "":
		return "", nil, err
	case !isAccount(account):
		return "", nil, wrongAnnotation(id, accountAnnotation, badAccount)
	}
	text, err := s.annotation(ctx, id, delegatesAnnotation)
	if err != nil || text == "" {
		return account, nil, err
	}
	var delegates []string
	bad := func(name string) bool { return !isAccount(name) }
	if json.Unmarshal([]byte(text), &delegates) != nil || len(delegates) > maxDelegates || slices.ContainsFunc(delegates, bad) {
		return "", nil, wrongAnnotation(id, delegatesAnnotation, fmt.Sprintf("must be a JSON list of at most %d service accounts' e-mail addresses", maxDelegates))
	}
	return account, delegates, nil
}

func (s *Login) clusterAllowed() bool { return s.ClusterAllowed == nil || s.ClusterAllowed() }

// annotation is what the pod's service account has under the name.
func (s *Login) annotation(ctx context.Context, id identity.Identity, name string) (string, error) {
	// Of the identity, the name alone decides.
	key := credential.Key{Identity: identity.Key{Namespace: id.Namespace, ServiceAccount: id.ServiceAccount}, Issuer: name}
	fact, err := s.Link.facts.Get(ctx, key, func(ctx context.Context) (string, time.Time, error) {
		text, err := s.Cluster.Annotation(ctx, id.Namespace, id.ServiceAccount, name)
		return text, s.Link.now().Add(annotationsFor), remote.ClusterFailure(err)
	})
	if err != nil {
		return "", err
	}
	return fact.Credential, nil
}

func wrongAnnotation(id identity.Identity, name, text string) error {
	return fault.Failf(fault.ErrInvalid, "the annotation %s of service account %s in namespace %s %s", name, message.Excerpt(id.ServiceAccount), message.Excerpt(id.Namespace), text)
}

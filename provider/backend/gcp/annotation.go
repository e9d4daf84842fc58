package gcp

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// The annotations with which a Kubernetes service account names the one of
// Google's that its pods act as, and the chain that leads there, a JSON list.
// https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity#kubernetes-sa-to-iam
const (
	accountAnnotation   = "iam.gke.io/gcp-service-account"
	delegatesAnnotation = "iam.gke.io/gcp-service-account-delegates"
)

// account is the service account of Google's that the pod acts as, and the
// delegates: as configured, else as the pod's service account says. It is empty
// if neither names one.
func (s *Login) account(ctx context.Context, id identity.Identity) (string, []string, error) {
	if s.Auth.ServiceAccount != "" || !s.Auth.Annotations || s.Cluster == nil || !s.clusterAllowed() {
		return s.Auth.ServiceAccount, s.Auth.Delegates, nil
	}
	account, err := s.Link.facts.Annotation(ctx, s.Cluster, id, accountAnnotation, func(text string) error {
		if text != "" && !isAccount(text) {
			return credential.WrongAnnotation(id, accountAnnotation, badAccount)
		}
		return nil
	})
	if err != nil || account == "" {
		return "", nil, err
	}
	text, err := s.Link.facts.Annotation(ctx, s.Cluster, id, delegatesAnnotation, func(text string) error {
		if _, ok := delegatesOf(text); !ok {
			return credential.WrongAnnotation(id, delegatesAnnotation, fmt.Sprintf("must be a JSON list of at most %d service accounts' e-mail addresses", maxDelegates))
		}
		return nil
	})
	if err != nil {
		return "", nil, err
	}
	delegates, _ := delegatesOf(text)
	return account, delegates, nil
}

// delegatesOf are the delegates that an annotation lists, and whether it may.
func delegatesOf(text string) (delegates []string, ok bool) {
	if text == "" {
		return nil, true
	}
	bad := func(name string) bool { return !isAccount(name) }
	err := json.Unmarshal([]byte(text), &delegates)
	return delegates, err == nil && len(delegates) <= maxDelegates && !slices.ContainsFunc(delegates, bad)
}

func (s *Login) clusterAllowed() bool { return s.ClusterAllowed == nil || s.ClusterAllowed() }

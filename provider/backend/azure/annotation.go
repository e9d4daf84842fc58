package azure

import (
	"context"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// The annotations with which a service account names the client that its pods log in as,
// and that client's tenant.
// https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html
const (
	clientAnnotation = "azure.workload.identity/client-id"
	tenantAnnotation = "azure.workload.identity/tenant-id"
)

// annotationsFor is after about how long annotations are read again.
const annotationsFor = 5 * time.Minute

// Cluster answers what the cluster's objects say of a pod's place in Azure.
type Cluster interface {
	// Annotation is an annotation of a service account; empty if it has none.
	// The error wraps a kind of package fault.
	Annotation(ctx context.Context, namespace, serviceAccount, name string) (string, error)
}

// subject is as whom a pod logs in.
type subject struct {
	method   string
	clientID string // empty if the pod's own credentials name it
	tenant   string // empty if the vault says it
	// unnamed says where a client ID was looked for to no avail, for errors.
	unnamed string
}

// subject is what the settings say; where they name no client and the pod brings no
// credentials, what its service account says.
func (v *Vault) subject(ctx context.Context, as identity.Identity) (subject, error) {
	auth := v.config.Auth
	s := subject{method: auth.Method, clientID: auth.ClientID, tenant: v.config.TenantID}
	if !auth.annotated || len(as.Credentials) > 0 && auth.Method == methodServicePrincipal {
		return s, nil
	}
	account := "service account " + message.Excerpt(as.ServiceAccount) + " in namespace " + message.Excerpt(as.Namespace)
	switch {
	case v.pool.cluster == nil:
		return s, nil
	case !v.pool.allowed():
		s.unnamed = "; the annotation " + clientAnnotation + " of " + account + " is not read, because the operator's configuration does not set policy.readObjects"
		return s, nil
	}
	client, err := v.annotation(ctx, as, clientAnnotation)
	if err != nil {
		return s, err
	}
	if client == "" {
		s.unnamed = "; " + account + " has no annotation " + clientAnnotation
		return s, nil
	}
	if strings.ContainsFunc(client, notIDText) || len(client) > maxTextBytes {
		return s, fault.Failf(fault.ErrInvalid, "the annotation %s of %s must be a client ID", clientAnnotation, account)
	}
	s.method, s.clientID = methodWorkloadIdentity, client
	if s.tenant != "" {
		return s, nil
	}
	if s.tenant, err = v.annotation(ctx, as, tenantAnnotation); err == nil && s.tenant != "" && !tenant.MatchString(s.tenant) {
		err = fault.Failf(fault.ErrInvalid, "the annotation %s of %s must be a tenant's ID", tenantAnnotation, account)
	}
	return s, err
}

// annotation is what the pod's service account has under the name.
func (v *Vault) annotation(ctx context.Context, as identity.Identity, name string) (string, error) {
	// Of the identity, the name alone decides.
	key := credential.Key{Identity: identity.Key{Namespace: as.Namespace, ServiceAccount: as.ServiceAccount}, Issuer: name}
	fact, err := v.logins.facts.Get(ctx, key, func(ctx context.Context) (string, time.Time, error) {
		text, err := v.pool.cluster.Annotation(ctx, as.Namespace, as.ServiceAccount, name)
		return strings.TrimSpace(text), v.now().Add(annotationsFor), remote.ClusterFailure(err)
	})
	if err != nil {
		return "", err
	}
	return fact.Credential, nil
}

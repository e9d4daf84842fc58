package azure

import (
	"context"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// The annotations with which a service account names the client that its pods log in as,
// and that client's tenant.
// https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html
const (
	clientAnnotation = "azure.workload.identity/client-id"
	tenantAnnotation = "azure.workload.identity/tenant-id"
)

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
	isClient := func(text string) bool { return !strings.ContainsFunc(text, notIDText) && len(text) <= maxTextBytes }
	client, err := v.annotation(ctx, as, clientAnnotation, isClient, "must be a client ID")
	if err != nil {
		return s, err
	}
	if client == "" {
		s.unnamed = "; " + account + " has no annotation " + clientAnnotation
		return s, nil
	}
	s.method, s.clientID = methodWorkloadIdentity, client
	if s.tenant == "" {
		s.tenant, err = v.annotation(ctx, as, tenantAnnotation, tenant().MatchString, "must be a tenant's ID")
	}
	return s, err
}

// annotation is what the pod's service account has under the name, without white space
// around it.
func (v *Vault) annotation(ctx context.Context, as identity.Identity, name string, valid func(string) bool, wrong string) (string, error) {
	text, err := v.logins.facts.Annotation(ctx, v.pool.cluster, as, name, func(text string) error {
		if text = strings.TrimSpace(text); text != "" && !valid(text) {
			return credential.WrongAnnotation(as, name, wrong)
		}
		return nil
	})
	return strings.TrimSpace(text), err
}

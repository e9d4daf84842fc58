package azure

import (
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

// The auth methods.
const (
	methodWorkloadIdentity = "workloadIdentity"
	methodServicePrincipal = "servicePrincipal"
	methodManagedIdentity  = "managedIdentity"
	// methodPerson is no method that settings can name: see AsPerson.
	methodPerson = "the identity of who runs the command"
)

const (
	// defaultAudience is the one that Entra ID recommends for federated
	// credentials.
	// https://learn.microsoft.com/entra/workload-id/workload-identity-federation-create-trust#important-considerations-and-restrictions
	defaultAudience = "api://AzureADTokenExchange"

	// bindingAudience is that of tokens for an identity binding of AKS.
	// https://github.com/Azure/secrets-store-csi-driver-provider-azure/blob/v1.8.2/pkg/auth/auth.go
	bindingAudience = "api://AKSIdentityBinding"

	// defaultMetadataEndpoint is the address of the Instance Metadata Service
	// on every machine of Azure.
	// https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service
	defaultMetadataEndpoint = "http://169.254.169.254"

	// The keys of a nodePublishSecretRef Secret, as the Azure provider for the
	// Secrets Store CSI driver documents them.
	defaultIDCredential     = "clientid"
	defaultSecretCredential = "clientsecret"
)

// Auth is the settings below auth: which identity reads.
type Auth struct {
	Method string `yaml:"method"`

	// ClientID is the application's or the user-assigned identity's that trusts
	// the pod's service account; Audience is that of the pod's token. For
	// workloadIdentity, and ClientID for servicePrincipal too.
	ClientID string `yaml:"clientID"`
	Audience string `yaml:"audience"`

	// IdentityBinding logs in through the TokenProxy of the Settings. For
	// workloadIdentity.
	IdentityBinding bool `yaml:"identityBinding"`

	// The keys of the pod's own credentials, for servicePrincipal.
	ClientIDCredential     string `yaml:"clientIDCredential"`
	ClientSecretCredential string `yaml:"clientSecretCredential"`

	// IdentityID is the client ID of the user-assigned identity of the node's
	// machine; empty means the machine's own. MetadataEndpoint issues its
	// tokens. For managedIdentity.
	IdentityID       string `yaml:"identityID"`
	MetadataEndpoint string `yaml:"metadataEndpoint"`

	person bool // Method is methodPerson
	// annotated lets the pod's service account say what the settings do not: as which
	// client of which tenant its pods log in.
	annotated bool
}

// AsPerson lets the settings log in as the Person of the Pool's Options, whatever
// they say of a login. The person's tokens go to Azure's own hosts alone, because
// settings may lie in a repository where others write too. It comes before Check.
func (s *Settings) AsPerson(problems *remote.Problems) {
	s.Auth = Auth{Method: methodPerson, person: true}
	for _, set := range []struct {
		field string
		given bool
	}{
		{"authorityHost", s.AuthorityHost != ""},
		{"dnsSuffix", s.DNSSuffix != ""},
		{"environmentFile", s.EnvironmentFile != ""},
		{"resource", s.Resource != ""},
		{"endpoint", s.Endpoint != ""},
		{"tls", s.TLS != remote.TLS{}},
		{"tokenProxy", s.TokenProxy != TokenProxy{}},
	} {
		if set.given {
			problems.Add(set.field, "has no place beside your own identity, whose tokens go to Azure's own hosts alone; remove it")
		}
	}
}

// fieldsOf are the fields of a method beside method itself and the audience,
// whose default and a given value look the same.
func fieldsOf(method string) []string {
	switch method {
	case methodServicePrincipal:
		return []string{"clientID", "clientIDCredential", "clientSecretCredential"}
	case methodManagedIdentity:
		return []string{"identityID", "metadataEndpoint"}
	}
	return []string{"clientID", "identityBinding"}
}

// UsesNode is true if the node's identity reads, and not the pod's own.
func (a *Auth) UsesNode() bool { return a.Method == methodManagedIdentity || a.person }

// implied returns the method that the other fields belong to. The node's identity is
// never implied.
func (a *Auth) implied() string {
	if a.IdentityBinding || a.ClientID != "" && a.ClientIDCredential == "" && a.ClientSecretCredential == "" {
		return methodWorkloadIdentity
	}
	return methodServicePrincipal
}

func (a *Auth) check(byOperator bool, problems *remote.Problems) {
	if a.person {
		return
	}
	methods := []string{methodWorkloadIdentity, methodServicePrincipal, methodManagedIdentity}
	if a.Method == "" {
		a.annotated = a.ClientID == "" && a.ClientIDCredential == ""
		a.Method = a.implied()
	}
	if !slices.Contains(methods, a.Method) {
		problems.Add("auth.method", "%s", strict.Unknown("method", message.Excerpt(a.Method), methods))
		return
	}
	a.refuseForeign(problems)
	switch {
	case a.Audience != "":
	case a.IdentityBinding:
		a.Audience = bindingAudience
	default:
		a.Audience = defaultAudience
	}
	switch a.Method {
	case methodWorkloadIdentity:
		if a.ClientID == "" && !a.annotated {
			problems.Add("auth.clientID", "is missing; give the client ID of the application or the managed identity that trusts the pod's service account")
		}
	case methodServicePrincipal:
		switch {
		case a.ClientID != "" && a.ClientIDCredential != "":
			problems.Add("auth.clientID", "give either clientID, or clientIDCredential: the key of the nodePublishSecretRef Secret that holds it")
		case a.ClientID == "" && a.ClientIDCredential == "":
			a.ClientIDCredential = defaultIDCredential
		}
		if a.ClientSecretCredential == "" {
			a.ClientSecretCredential = defaultSecretCredential
		}
	case methodManagedIdentity:
		if !byOperator {
			problems.Add("auth.method", "reads with the node's own identity, so only the operator's configuration file may give it; read as the pod by workload identity, or name a store of that file")
		}
		if a.MetadataEndpoint == "" {
			a.MetadataEndpoint = defaultMetadataEndpoint
		}
		a.MetadataEndpoint = problems.CheckURL("auth.metadataEndpoint", a.MetadataEndpoint, defaultMetadataEndpoint, "http", "https")
	}
}

// refuseForeign reports fields of other methods, and text that no field holds.
func (a *Auth) refuseForeign(problems *remote.Problems) {
	takes := fieldsOf(a.Method)
	for _, given := range []struct{ field, value string }{
		{"clientID", a.ClientID},
		{"clientIDCredential", a.ClientIDCredential},
		{"clientSecretCredential", a.ClientSecretCredential},
		{"identityID", a.IdentityID},
		{"metadataEndpoint", a.MetadataEndpoint},
	} {
		switch {
		case given.value == "":
		case !slices.Contains(takes, given.field):
			problems.Add("auth."+given.field, "is not for the method %s, which takes %s", a.Method, strings.Join(takes, ", "))
		case len(given.value) > maxTextBytes || strings.ContainsFunc(given.value, notIDText):
			problems.Add("auth."+given.field, "must be at most %d bytes of text without spaces and control characters", maxTextBytes)
		}
	}
	if a.IdentityBinding && a.Method != methodWorkloadIdentity {
		problems.Add("auth.identityBinding", "is for the method %s alone", methodWorkloadIdentity)
	}
}

// notIDText is true of what no identifier holds.
func notIDText(r rune) bool { return r <= ' ' || r >= 0x7f }

package gcp

import (
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

// The auth methods.
const (
	// MethodWorkloadIdentity exchanges the pod's own token.
	MethodWorkloadIdentity = "workloadIdentity"
	// MethodMetadata asks the node's metadata server for the identity that the
	// provider itself runs as.
	MethodMetadata = "metadata"
	// MethodKeyFile logs in with a service account's key on the node.
	MethodKeyFile = "keyFile"
	// methodPerson is no method that settings can name: see AsPerson.
	methodPerson = "person"
)

// Where Google's identity services are.
const (
	defaultSTS      = "https://sts.googleapis.com"
	defaultIAM      = "https://iamcredentials.googleapis.com"
	defaultOAuth    = "https://oauth2.googleapis.com"
	defaultMetadata = "http://169.254.169.254"
)

// maxDelegates bounds a chain of service accounts.
const maxDelegates = 8

// Auth says how an identity becomes an access token: the settings below auth.
type Auth struct {
	// Method is one of the methods above.
	Method string `yaml:"method"`

	// Audience names the workload identity pool and provider; empty lets the
	// node's metadata server tell those of its GKE cluster.
	Audience string `yaml:"audience"`
	// TokenAudience is that of the pod's token; empty takes the one that
	// Audience implies.
	TokenAudience string `yaml:"tokenAudience"`
	// ServiceAccount is impersonated after the exchange, over the Delegates;
	// empty uses the exchanged token itself.
	ServiceAccount string   `yaml:"serviceAccount"`
	Delegates      []string `yaml:"delegates"`
	// Annotations says whether the pod's service account may name the one that
	// is impersonated, where ServiceAccount is empty.
	Annotations bool `yaml:"annotations"`
	// KeyCredential is the name in the pod's own credentials under which it
	// may bring a service account's key instead.
	KeyCredential string `yaml:"keyCredential"`
	// RefuseKeys refuses a pod that brings a key where KeyCredential is empty, instead of
	// logging in as the pod.
	RefuseKeys bool `yaml:"refuseKeys"`

	// KeyFile is for the method of that name.
	KeyFile string `yaml:"keyFile"`

	// Where each service is: the Security Token Service, the IAM Service Account
	// Credentials API, the OAuth token endpoint and the node's metadata server.
	STSEndpoint      string `yaml:"stsEndpoint"`
	IAMEndpoint      string `yaml:"iamEndpoint"`
	OAuthEndpoint    string `yaml:"oauthEndpoint"`
	MetadataEndpoint string `yaml:"metadataEndpoint"`

	person bool // Method is methodPerson
}

// Person is who runs a command.
type Person struct {
	// Source gets the person's access tokens.
	Source oauth2.TokenSource
}

// AsPerson lets the settings log in as Options.Person, whatever they say of it.
// It comes before Check.
func (a *Auth) AsPerson() { *a = Auth{Method: methodPerson, person: true} }

// DefaultAuth is what holds where nothing is said.
func DefaultAuth() Auth {
	return Auth{
		Method: MethodWorkloadIdentity, Annotations: true,
		STSEndpoint: defaultSTS, IAMEndpoint: defaultIAM, OAuthEndpoint: defaultOAuth, MetadataEndpoint: defaultMetadata,
	}
}

// UsesNode is true if the node's credentials log in, and not the pod's own.
func (a *Auth) UsesNode() bool { return a.Method != MethodWorkloadIdentity }

const badAccount = "must be a service account's e-mail address, such as web@my-project.iam.gserviceaccount.com"

// Check reports what is wrong. byOperator is true for settings of the operator's
// configuration.
func (a *Auth) Check(byOperator bool, problems *remote.Problems) {
	if a.person {
		return
	}
	methods := []string{MethodWorkloadIdentity, MethodMetadata, MethodKeyFile}
	if !slices.Contains(methods, a.Method) {
		problems.Add("auth.method", "%s", strict.Unknown("method", message.Excerpt(a.Method), methods))
		return
	}
	if a.UsesNode() && !byOperator {
		problems.Add("auth.method", "reads with the node's own credentials (%s), so only a store that the operator's configuration file names may have it", a.Method)
	}
	a.refuseForeign(problems)
	if a.Audience != "" && tokenAudience(a.Audience) == "" {
		problems.Add("auth.audience", "must be identitynamespace:POOL:PROVIDER for GKE and fleets, or //iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER for other clusters")
	}
	for _, given := range []struct{ field, value string }{{"auth.audience", a.Audience}, {"auth.tokenAudience", a.TokenAudience}} {
		if len(given.value) > maxText || strings.ContainsFunc(given.value, notPlain) {
			problems.Add(given.field, "must be at most %d characters without spaces", maxText)
		}
	}
	if a.ServiceAccount != "" && !isAccount(a.ServiceAccount) {
		problems.Add("auth.serviceAccount", badAccount)
	}
	a.checkDelegates(problems)
	if a.RefuseKeys && a.KeyCredential != "" {
		problems.Add("auth.refuseKeys", "has no meaning beside auth.keyCredential, which allows keys; remove one of the two")
	}
	if a.KeyCredential != "" && !byOperator {
		problems.Add("auth.keyCredential", "lets pods bring keys of service accounts, so only the operator's configuration file may give it")
	}
	if a.Method == MethodKeyFile && !filepath.IsAbs(a.KeyFile) {
		problems.Add("auth.keyFile", "must be the absolute path of a file on the node that holds a service account's key")
	}
	a.checkEndpoints(byOperator, problems)
}

func (a *Auth) checkDelegates(problems *remote.Problems) {
	switch {
	case len(a.Delegates) > maxDelegates:
		problems.Add("auth.delegates", "has %d service accounts; the maximum is %d", len(a.Delegates), maxDelegates)
	case len(a.Delegates) > 0 && a.ServiceAccount == "":
		problems.Add("auth.delegates", "lead to auth.serviceAccount, which is missing")
	case slices.ContainsFunc(a.Delegates, func(name string) bool { return !isAccount(name) }):
		problems.Add("auth.delegates", "each "+badAccount)
	}
}

func (a *Auth) checkEndpoints(byOperator bool, problems *remote.Problems) {
	CheckEndpoint("auth.stsEndpoint", &a.STSEndpoint, byOperator, problems)
	CheckEndpoint("auth.iamEndpoint", &a.IAMEndpoint, byOperator, problems)
	CheckEndpoint("auth.oauthEndpoint", &a.OAuthEndpoint, byOperator, problems)
	if a.MetadataEndpoint == defaultMetadata {
		return
	}
	if !byOperator {
		problems.Add("auth.metadataEndpoint", "is the node's, so only the operator's configuration file may give it")
		return
	}
	CheckEndpoint("auth.metadataEndpoint", &a.MetadataEndpoint, byOperator, problems)
}

// refuseForeign reports fields of other methods, on which nobody should rely.
func (a *Auth) refuseForeign(problems *remote.Problems) {
	ofPods := a.Method == MethodWorkloadIdentity
	for _, given := range []struct {
		field string
		is    bool
		takes bool
	}{
		{"audience", a.Audience != "", ofPods},
		{"tokenAudience", a.TokenAudience != "", ofPods},
		{"serviceAccount", a.ServiceAccount != "", ofPods},
		{"delegates", len(a.Delegates) > 0, ofPods},
		{"keyCredential", a.KeyCredential != "", ofPods},
		{"refuseKeys", a.RefuseKeys, ofPods},
		{"keyFile", a.KeyFile != "", a.Method == MethodKeyFile},
	} {
		if given.is && !given.takes {
			problems.Add("auth."+given.field, "is not for the method %s", a.Method)
		}
	}
}

// tokenAudience is the audience that a pod's token must have for the exchange;
// empty if the audience of the exchange has no form that is known.
//
// GKE and fleets issue tokens for the pool itself; a provider of another
// cluster accepts, unless it is configured otherwise, its own full name.
// https://cloud.google.com/kubernetes-engine/fleet-management/docs/use-workload-identity
// https://cloud.google.com/iam/docs/workload-identity-federation-with-kubernetes
func tokenAudience(audience string) string {
	if rest, ok := strings.CutPrefix(audience, "identitynamespace:"); ok {
		pool, provider, ok := strings.Cut(rest, ":")
		if !ok || pool == "" || provider == "" {
			return ""
		}
		return pool
	}
	if isFederated(audience) {
		return "https:" + audience
	}
	return ""
}

// notPlain is true of what no name of Google's holds.
func notPlain(r rune) bool { return r <= ' ' || r >= 0x7f }

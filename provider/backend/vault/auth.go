package vault

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

// The auth methods.
const (
	methodKubernetes = "kubernetes"
	methodJWT        = "jwt"
	methodAppRole    = "approle"
	methodTokenFile  = "tokenFile"
	methodCert       = "cert"
	// methodPerson is no method that settings can name: see AsPerson.
	methodPerson = "the token of who runs the command"
)

// AuthSettings say how to log in.
type AuthSettings struct {
	Method string `yaml:"method"`
	// Mount is where the method is enabled, without "auth/".
	Mount string `yaml:"mount"`

	// Role and Audience are for kubernetes and jwt.
	Role     string `yaml:"role"`
	Audience string `yaml:"audience"`
	// JWTFile is a token of the node's own for kubernetes and jwt, instead of
	// the pod's: a projected one, or one of a SPIFFE agent's.
	JWTFile string `yaml:"jwtFile"`

	// The rest of approle: the identifiers themselves, a file of the node, or
	// the names of the pod's own credentials that hold them.
	RoleID             string `yaml:"roleID"`
	RoleIDCredential   string `yaml:"roleIDCredential"`
	SecretIDFile       string `yaml:"secretIDFile"`
	SecretIDCredential string `yaml:"secretIDCredential"`

	// TokenFile is for the method of that name.
	TokenFile string `yaml:"tokenFile"`

	// CertRole is for cert; empty lets Vault choose by the certificate.
	CertRole string `yaml:"certRole"`

	person bool // Method is methodPerson
}

// fieldsOf are the fields of a method beside method itself and the audience.
func fieldsOf(method string) []string {
	switch method {
	case methodAppRole:
		return []string{"mount", "roleID", "roleIDCredential", "secretIDFile", "secretIDCredential"}
	case methodTokenFile:
		return []string{"tokenFile"}
	case methodCert:
		return []string{"mount", "certRole"}
	}
	return []string{"mount", "role", "jwtFile"} // kubernetes, jwt
}

// UsesNode is true if the node's credentials log in, and not the pod's own.
func (a *AuthSettings) UsesNode() bool {
	return a.Method == methodTokenFile || a.Method == methodPerson || a.Method == methodCert || a.SecretIDFile != "" || a.JWTFile != ""
}

func (a *AuthSettings) check(tls remote.TLS, byOperator bool, problems *remote.Problems) {
	if a.person {
		return
	}
	methods := []string{methodKubernetes, methodJWT, methodAppRole, methodTokenFile, methodCert}
	if a.Method == "" {
		problems.Add("auth.method", "is missing; must be one of %s", strings.Join(methods, ", "))
		return
	}
	if !slices.Contains(methods, a.Method) {
		problems.Add("auth.method", "%s", strict.Unknown("method", message.Excerpt(a.Method), methods))
		return
	}
	a.refuseForeign(byOperator, problems)
	if a.Mount == "" {
		a.Mount = a.Method
	}
	if !CleanPath(a.Mount) || strings.ContainsFunc(a.Mount, NotPathText) || strings.HasPrefix(a.Mount, "auth/") {
		problems.Add("auth.mount", "must be the path that the method is enabled at, such as %s, without auth/ before it and without slashes around it", a.Method)
	}
	if strings.ContainsFunc(a.Audience, NotPathText) || a.Audience == "" {
		problems.Add("auth.audience", "must be one of the audiences in spec.tokenRequests of the CSIDriver, such as %s", defaultAudience)
	}
	if a.JWTFile != "" && !filepath.IsAbs(a.JWTFile) {
		problems.Add("auth.jwtFile", "must be the absolute path of a file on the node that holds a JSON web token")
	}
	switch a.Method {
	case methodKubernetes:
		if a.Role == "" {
			problems.Add("auth.role", "is missing; the kubernetes method needs the role to log in with")
		}
	case methodAppRole:
		a.checkAppRole(problems)
	case methodTokenFile:
		if !filepath.IsAbs(a.TokenFile) {
			problems.Add("auth.tokenFile", "must be the absolute path of a file on the node that holds a token")
		}
	case methodCert:
		if tls.ClientCertFile == "" {
			problems.Add("auth.method", "cert logs in with the certificate of the connection: give tls.clientCertFile and tls.clientKeyFile in the operator's configuration file")
		}
	}
}

func (a *AuthSettings) checkAppRole(problems *remote.Problems) {
	if (a.RoleID == "") == (a.RoleIDCredential == "") {
		problems.Add("auth.roleID", "give either roleID, or roleIDCredential: the key of the nodePublishSecretRef Secret that holds it")
	}
	switch {
	case (a.SecretIDFile == "") == (a.SecretIDCredential == ""):
		problems.Add("auth.secretIDCredential", "give either secretIDCredential, the key of the nodePublishSecretRef Secret that holds the secret ID, or secretIDFile in the operator's configuration file")
	case a.SecretIDFile != "" && !filepath.IsAbs(a.SecretIDFile):
		problems.Add("auth.secretIDFile", "must be an absolute path on the node")
	case a.SecretIDFile != "" && a.RoleIDCredential != "":
		problems.Add("auth.roleIDCredential", "the node's secret ID is for the operator's roleID alone; give roleID")
	}
}

// refuseForeign reports fields of other methods, and those that are too long. The audience has a default,
// which looks like a given value, so it is not checked.
func (a *AuthSettings) refuseForeign(byOperator bool, problems *remote.Problems) {
	takes := fieldsOf(a.Method)
	for _, given := range []struct{ field, value string }{
		{"mount", a.Mount},
		{"role", a.Role},
		{"jwtFile", a.JWTFile},
		{"roleID", a.RoleID},
		{"roleIDCredential", a.RoleIDCredential},
		{"secretIDFile", a.SecretIDFile},
		{"secretIDCredential", a.SecretIDCredential},
		{"tokenFile", a.TokenFile},
		{"certRole", a.CertRole},
	} {
		if len(given.value) > MaxNameBytes {
			problems.Add("auth."+given.field, "is %d bytes long; the maximum is %d", len(given.value), MaxNameBytes)
		}
		if given.value != "" && !slices.Contains(takes, given.field) {
			text := fmt.Sprintf("is not for the method %s, which takes %s", a.Method, strings.Join(takes, ", "))
			if byOperator {
				text += fmt.Sprintf("; ignore: [auth.%s] of the store in the operator's configuration lets classes give it to no effect", given.field)
			}
			problems.Add("auth."+given.field, "%s", text)
		}
	}
}

package vault

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/provider/strict"
)

// The auth methods.
const (
	methodKubernetes = "kubernetes"
	methodJWT        = "jwt"
	methodAppRole    = "approle"
	methodTokenFile  = "tokenFile"
	methodCert       = "cert"
)

// authSettings say how to log in.
type authSettings struct {
	Method string `yaml:"method"`
	// Mount is where the method is enabled, without "auth/".
	Mount string `yaml:"mount"`

	// Role and Audience are for kubernetes and jwt.
	Role     string `yaml:"role"`
	Audience string `yaml:"audience"`

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
	return []string{"mount", "role"} // kubernetes, jwt
}

// usesNode is true if the node's credentials log in, and not the pod's own.
func (a *authSettings) usesNode() bool {
	return a.Method == methodTokenFile || a.Method == methodCert || a.SecretIDFile != ""
}

func (a *authSettings) check(tls tlsSettings, problems *problemList) {
	methods := []string{methodKubernetes, methodJWT, methodAppRole, methodTokenFile, methodCert}
	if a.Method == "" {
		problems.add("auth.method", "is missing; must be one of %s", strings.Join(methods, ", "))
		return
	}
	if !slices.Contains(methods, a.Method) {
		problems.add("auth.method", "%s", strict.Unknown("method", printable(a.Method), methods))
		return
	}
	a.refuseForeign(problems)
	if a.Mount == "" {
		a.Mount = a.Method
	}
	if !cleanParts(a.Mount) || strings.ContainsFunc(a.Mount, notPathText) || strings.HasPrefix(a.Mount, "auth/") {
		problems.add("auth.mount", "must be the path that the method is enabled at, such as %s, without auth/ before it and without slashes around it", a.Method)
	}
	if strings.ContainsFunc(a.Audience, notPathText) || a.Audience == "" {
		problems.add("auth.audience", "must be one of the audiences in spec.tokenRequests of the CSIDriver, such as %s", defaultAudience)
	}
	switch a.Method {
	case methodKubernetes:
		if a.Role == "" {
			problems.add("auth.role", "is missing; the kubernetes method needs the role to log in with")
		}
	case methodAppRole:
		a.checkAppRole(problems)
	case methodTokenFile:
		if !filepath.IsAbs(a.TokenFile) {
			problems.add("auth.tokenFile", "must be the absolute path of a file on the node that holds a token")
		}
	case methodCert:
		if tls.ClientCertFile == "" {
			problems.add("auth.method", "cert logs in with the certificate of the connection: give tls.clientCertFile and tls.clientKeyFile in the operator's configuration file")
		}
	}
}

func (a *authSettings) checkAppRole(problems *problemList) {
	if (a.RoleID == "") == (a.RoleIDCredential == "") {
		problems.add("auth.roleID", "give either roleID, or roleIDCredential: the key of the nodePublishSecretRef Secret that holds it")
	}
	switch {
	case (a.SecretIDFile == "") == (a.SecretIDCredential == ""):
		problems.add("auth.secretIDCredential", "give either secretIDCredential, the key of the nodePublishSecretRef Secret that holds the secret ID, or secretIDFile in the operator's configuration file")
	case a.SecretIDFile != "" && !filepath.IsAbs(a.SecretIDFile):
		problems.add("auth.secretIDFile", "must be an absolute path on the node")
	case a.SecretIDFile != "" && a.RoleIDCredential != "":
		problems.add("auth.roleIDCredential", "the node's secret ID is for the operator's roleID alone; give roleID")
	}
}

// refuseForeign reports fields of other methods, and those that are too long. The audience has a default
// and cannot be told from it, so it is not looked at.
func (a *authSettings) refuseForeign(problems *problemList) {
	takes := fieldsOf(a.Method)
	for _, given := range []struct{ field, value string }{
		{"mount", a.Mount},
		{"role", a.Role},
		{"roleID", a.RoleID},
		{"roleIDCredential", a.RoleIDCredential},
		{"secretIDFile", a.SecretIDFile},
		{"secretIDCredential", a.SecretIDCredential},
		{"tokenFile", a.TokenFile},
		{"certRole", a.CertRole},
	} {
		if len(given.value) > maxKeyBytes {
			problems.add("auth."+given.field, "is %d bytes long; the most is %d", len(given.value), maxKeyBytes)
		}
		if given.value != "" && !slices.Contains(takes, given.field) {
			problems.add("auth."+given.field, "is not for the method %s, which takes %s", a.Method, strings.Join(takes, ", "))
		}
	}
}

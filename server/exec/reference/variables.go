package reference

import (
	"strings"
)

// fields are the settings of stores that come from variables, by the names of the stores; ""
// is the store itself, which the variable makes one of the class.
var fields = map[Product]map[string]string{
	Vault:               vaultFields("VAULT_"),
	OpenBao:             vaultFields("BAO_"),
	SecretsManager:      {"auth.role": "AWS_ROLE_ARN"},
	ParameterStore:      {"auth.role": "AWS_ROLE_ARN"},
	AzureKeyVault:       {"address": "AZURE_KEY_VAULT_URL", "vault": "AZURE_KEY_VAULT_URL", "tenantID": "AZURE_TENANT_ID", "auth.clientID": "AZURE_CLIENT_ID"},
	GoogleSecretManager: {},
}

func vaultFields(prefix string) map[string]string {
	all := map[string]string{
		"": "ADDR", "address": "ADDR", "namespace": "NAMESPACE", "auth.role": "ROLE", "auth.mount": "PATH",
		"tls.caCert": "CACERT", "tls.serverName": "TLS_SERVER_NAME", "tls.insecureSkipVerify": "SKIP_VERIFY",
	}
	for field, name := range all {
		all[field] = prefix + name
	}
	return all
}

// variablesError is an error whose text names variables in place of the fields of a class that
// nobody wrote.
type variablesError struct {
	error
	text string
}

func (e variablesError) Error() string { return e.text }

func (e variablesError) Unwrap() error { return e.error }

// InVariables is what is wrong with a class of references, told by the variables that its
// settings come from.
func InVariables(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for product, settings := range fields {
		for field, variable := range settings {
			place := strings.TrimSuffix("stores."+string(product)+"."+field, ".")
			text = strings.ReplaceAll(text, place+":", "variable "+variable+":")
		}
	}
	return variablesError{err, text}
}

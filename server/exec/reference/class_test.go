package reference

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/dialect/lanyard"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// classOf is the class that the native dialect understands.
func classOf(t *testing.T, parameters map[string]string) *spec.Class {
	t.Helper()
	class, err := lanyard.Parse(parameters)
	if err != nil {
		t.Fatalf("%v\n%v", parameters, err)
	}
	if problems := class.Validate(); len(problems) > 0 {
		t.Fatalf("%v\n%v", parameters, problems)
	}
	return class
}

// variables are those of a test.
func variables(pairs ...string) Options {
	all := map[string]string{}
	for _, pair := range pairs {
		name, text, _ := strings.Cut(pair, "=")
		all[name] = text
	}
	return Options{Variable: func(name string) string { return all[name] }, ReadFile: func(path string) ([]byte, error) {
		if path == "/ca.pem" {
			return []byte("PEM of ca"), nil
		}
		return nil, errors.New("no file " + path)
	}}
}

func references(t *testing.T, texts ...string) []Reference {
	t.Helper()
	var environ []string
	for i, text := range texts {
		environ = append(environ, "V"+strings.Repeat("x", i)+"="+text)
	}
	found, err := Find(environ, Syntaxes())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestClassReadsWhatReferencesName(t *testing.T) {
	for text, want := range map[string]spec.Object{
		"vault:secret/data/db#password":                     {Name: "vault:secret/data/db#password", Store: "vault", Key: "secret/data/db", Property: `"password"`},
		"vault:secret/data/db#tls.crt#3":                    {Name: "vault:secret/data/db#tls.crt#3", Store: "vault", Key: "secret/data/db", Property: `"tls.crt"`, Version: "3"},
		`vault:p#a"\<é` + "\u00a0\u2028":                    {Store: "vault", Key: "p", Property: `"a\"\\<é` + "\u00a0" + `\u2028"`},
		"bao:p#k":                                           {Name: "bao:p#k", Store: "openbao", Key: "p", Property: `"k"`},
		">>vault:pki/issue/web#serial":                      {Name: ">>vault:pki/issue/web#serial", Store: "vault", Key: "pki/issue/web", Property: `"serial"`, Options: map[string]any{"method": "PUT"}},
		`>>vault:p#k#{"a":{"b":"c"}}`:                       {Store: "vault", Key: "p", Property: `"k"`, Options: map[string]any{"method": "PUT", "body": map[string]any{"a": map[string]any{"b": "c"}}}},
		"vault:v1:abc":                                      {Store: "vault", Key: "transit/decrypt/web", Property: "plaintext", Encoding: "base64", Options: map[string]any{"method": "PUT", "body": map[string]any{"ciphertext": "vault:v1:abc"}}},
		"azure:keyvault:db/0123":                            {Name: "azure:keyvault:db/0123", Store: "azure", Key: "secrets/db", Version: "0123"},
		"arn:aws:ssm:r-1:1:parameter/a/b":                   {Name: "arn:aws:ssm:r-1:1:parameter/a/b", Store: "ssmparameter", Key: "arn:aws:ssm:r-1:1:parameter/a/b"},
		"gcp:secretmanager:projects/p/secrets/s/versions/7": {Name: "gcp:secretmanager:projects/p/secrets/s/versions/7", Store: "gcp", Key: "projects/p/secrets/s", Version: "7"},
	} {
		all := references(t, text)
		parameters, err := Class(all, variables("VAULT_TRANSIT_KEY_ID=web"))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		want.Path = all[0].File()
		if want.Name == "" {
			want.Name = all[0].String() + "#…" + want.Path[4:12]
		}
		if got := classOf(t, parameters).Objects; !reflect.DeepEqual(got, []spec.Object{want}) {
			t.Errorf("%s:\n%+v, want\n%+v", text, got, want)
		}
	}
}

// A template is rendered from the whole secret.
func TestClassOfATemplate(t *testing.T) {
	all := references(t, "vault:secret/data/db#${.user}:${.password | urlquery}#2")
	parameters, err := Class(all, Options{})
	if err != nil {
		t.Fatal(err)
	}
	file := all[0].File()
	want := []spec.Object{
		{Name: file + ".secret", Store: "vault", Key: "secret/data/db", Version: "2"},
		{Name: all[0].Text, Path: file, Template: `{{ with fromJson (index . "` + file + `.secret") }}{{.user}}:{{.password | urlquery}}{{ end }}`},
	}
	if got := classOf(t, parameters).Objects; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want\n%+v", got, want)
	}
}

func TestClassTakesStoresFromVariables(t *testing.T) {
	const vault, secret, key = "vault:p#k", "arn:aws:secretsmanager:r-1:1:secret:a", "azure:keyvault:a"
	for name, c := range map[string]struct {
		texts     []string
		variables []string
		want      map[string]map[string]any
	}{
		"nothing":  {[]string{vault}, nil, nil},
		"address":  {[]string{vault}, []string{"VAULT_ADDR=https://vault:8200/"}, map[string]map[string]any{"vault": {"type": "vault", "address": "https://vault:8200", "auth": map[string]any{"method": "kubernetes", "role": "default"}}}},
		"operator": {[]string{vault}, []string{"VAULT_ROLE=web", "VAULT_SKIP_VERIFY=true", "VAULT_AUTH_METHOD=jwt"}, map[string]map[string]any{"vault": {"auth": map[string]any{"role": "web"}}}},
		"all of Vault": {[]string{vault}, []string{"VAULT_ADDR=https://vault", "VAULT_ROLE=web", "VAULT_PATH=/k8s/prod/", "VAULT_NAMESPACE=/a/b/", "VAULT_CACERT=/ca.pem", "VAULT_TLS_SERVER_NAME=v", "VAULT_IGNORE_MISSING_SECRETS=false", "VAULT_LOG_LEVEL=debug"},
			map[string]map[string]any{"vault": {"type": "vault", "address": "https://vault", "namespace": "a/b", "tls": map[string]any{"caCert": "PEM of ca", "serverName": "v"}, "auth": map[string]any{"method": "kubernetes", "role": "web", "mount": "k8s/prod"}}}},
		"unverified": {[]string{vault}, []string{"VAULT_ADDR=https://vault", "VAULT_SKIP_VERIFY=1"}, map[string]map[string]any{"vault": {"type": "vault", "address": "https://vault", "tls": map[string]any{"insecureSkipVerify": true}, "auth": map[string]any{"method": "kubernetes", "role": "default"}}}},
		"plain text": {[]string{vault}, []string{"VAULT_ADDR=http://vault", "VAULT_SKIP_VERIFY=1"}, map[string]map[string]any{"vault": {"type": "vault", "address": "http://vault", "auth": map[string]any{"method": "kubernetes", "role": "default"}}}},
		"OpenBao":    {[]string{"bao:p#k"}, []string{"VAULT_ADDR=https://vault", "BAO_ADDR=https://bao"}, map[string]map[string]any{"openbao": {"type": "vault", "address": "https://bao", "auth": map[string]any{"method": "kubernetes", "role": "default", "audience": "openbao"}}}},
		"AWS":        {[]string{secret, "arn:aws:ssm:r-1:1:parameter/a"}, []string{"AWS_ROLE_ARN=arn:aws:iam::1:role/web"}, map[string]map[string]any{"secretsmanager": {"type": "aws-secrets-manager", "region": "r-1", "auth": map[string]any{"role": "arn:aws:iam::1:role/web"}}, "ssmparameter": {"type": "aws-parameter-store", "region": "r-1", "auth": map[string]any{"role": "arn:aws:iam::1:role/web"}}}},
		"regions":    {[]string{secret, "arn:aws:secretsmanager:r-2:1:secret:a"}, []string{"AWS_REGION=r-2", "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.23/v1/credentials"}, map[string]map[string]any{"secretsmanager": {"type": "aws-secrets-manager", "region": "r-2", "auth": map[string]any{"method": "podIdentity"}}, "secretsmanager-r-1": {"type": "aws-secrets-manager", "region": "r-1", "auth": map[string]any{"method": "podIdentity"}}}},
		"Google":     {[]string{"gcp:secretmanager:projects/p/secrets/s"}, nil, map[string]map[string]any{"gcp": {"type": "google-secret-manager"}}},
		"Azure":      {[]string{key}, []string{"AZURE_KEY_VAULT_URL=https://shop-kv.vault.azure.net/", "AZURE_CLIENT_ID=c", "AZURE_TENANT_ID=t"}, map[string]map[string]any{"azure": {"type": "azure-key-vault", "vault": "shop-kv", "tenantID": "t", "auth": map[string]any{"clientID": "c"}}}},
		"a cloud":    {[]string{key}, []string{"AZURE_KEY_VAULT_URL=https://kv.vault.azure.cn"}, map[string]map[string]any{"azure": {"type": "azure-key-vault", "vault": "kv", "cloud": "china"}}},
		"emulator":   {[]string{key}, []string{"AZURE_KEY_VAULT_URL=https://kv.vault.azure.net:8443"}, map[string]map[string]any{"azure": {"type": "azure-key-vault", "address": "https://kv.vault.azure.net:8443"}}},
	} {
		parameters, err := Class(references(t, c.texts...), variables(c.variables...))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := classOf(t, parameters).Stores; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n%v, want\n%v", name, got, c.want)
		}
	}
}

// Nobody wrote the class of references, so what is wrong with it is told by the variables.
func TestProblemsOfTheClassAreToldByVariables(t *testing.T) {
	cause := errors.New("stores.vault: not allowed; stores.vault.address: pinned; stores.openbao.auth.role: pinned; stores.azure.tenantID: is none; stores.vault.retries: no; object 1 (stores.vault.addressing): no")
	err := InVariables(cause)
	const want = "variable VAULT_ADDR: not allowed; variable VAULT_ADDR: pinned; variable BAO_ROLE: pinned; variable AZURE_TENANT_ID: is none; stores.vault.retries: no; object 1 (stores.vault.addressing): no"
	if err.Error() != want || !errors.Is(err, cause) {
		t.Errorf("%v\nwant\n%s", err, want)
	}
	if err := InVariables(nil); err != nil {
		t.Error(err)
	}
}

// Each has its name in the message, and all are told at once.
func TestClassRefuses(t *testing.T) {
	all := references(t, "vault:p#k", "vault:v1:planted", "bao:p#k", "arn:aws:ssm:r-1:1:parameter/a", "azure:keyvault:a", "db@azurekeyvault", "web@azurekeyvault?tls.key")
	names := []string{
		"VAULT_TOKEN", "VAULT_TOKEN_FILE", "VAULT_AGENT_ADDR", "VAULT_CAPATH", "VAULT_CLIENT_CERT", "VAULT_CLIENT_KEY", "VAULT_MFA", "VAULT_WRAP_TTL", "VAULT_PROXY_ADDR", "BAO_TOKEN_FILE",
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AZURE_CLIENT_SECRET", "AZURE_PASSWORD", "VAULT_AUTH_METHOD", "VAULT_CACERT",
	}
	given := []string{"VAULT_SRV_LOOKUP=true", "VAULT_IGNORE_MISSING_SECRETS=true", "VAULT_ADDR=https://vault"}
	for _, name := range names {
		given = append(given, name+"=planted")
	}
	_, err := Class(all, variables(given...))
	if err == nil {
		t.Fatal("it is made")
	}
	for _, want := range append(names, "VAULT_SRV_LOOKUP", "VAULT_IGNORE_MISSING_SECRETS", "VAULT_TRANSIT_KEY_ID", "db@azurekeyvault: the AzureKeyVaultSecret db", "an object web/tls.key,") {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not tell %s", err, want)
		}
	}
	if _, err := Class(references(t, "vault:p#k"), Options{Variable: func(name string) string {
		return map[string]string{"VAULT_ADDR": "https://v", "VAULT_CACERT": "/ca.pem"}[name]
	}}); err == nil || !strings.Contains(err.Error(), "VAULT_CACERT: files are not read here") {
		t.Error(err)
	}
}

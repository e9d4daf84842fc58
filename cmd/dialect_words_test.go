package cmd

import (
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/config"
)

// nativeWords are names that no author of a class in another dialect has written.
var nativeWords = regexp.MustCompile("`|\\b(options|stores|auth|tls)\\.[a-z]|\\b(key|property|path|expand|mode): |goes into (version|key)|clientCertFile|\\bsecrets/ and\\b")

// Everything that is wrong with a class is said in its own words, remedies included,
// and at once: what the stores and the templates find as well as what the dialect does.
func TestCheckSpeaksTheDialectOfTheClass(t *testing.T) {
	settings := config.Default()
	settings.Policy.ReadObjects = true // as check without a configuration, which speaks of what the class's author can fix
	e, err := newEngine(settings, prometheus.NewRegistry(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	azure := func(entries ...string) map[string]string {
		return map[string]string{
			"keyvaultName": "shop-kv", "tenantID": "11111111-2222-3333-4444-555555555555", "clientID": "11111111-2222-3333-4444-666666666666",
			"objects": "array:\n  - |\n    " + strings.Join(entries, "\n  - |\n    "),
		}
	}
	vault := func(entries ...string) map[string]string {
		return map[string]string{"vaultAddress": "https://vault:8200", "roleName": "web", "objects": "- " + strings.Join(entries, "\n- ")}
	}
	with := func(parameters map[string]string, name, value string) map[string]string {
		parameters[name] = value
		return parameters
	}
	amazon := func(entries ...string) map[string]string {
		return map[string]string{"region": "eu-west-1", "objects": "- " + strings.Join(entries, "\n- ")}
	}
	google := func(entries ...string) map[string]string {
		return map[string]string{"secrets": "- " + strings.Join(entries, "\n- ")}
	}
	for name, test := range map[string]struct {
		provider   string
		parameters map[string]string
		says       []string
	}{
		"azure objects": {"azure", azure("{objectName: my_secret, objectType: secret}", "{objectName: a, objectType: secret, objectVersion: 12/3}", "{objectName: a/b, objectType: cert}", "{objectName: d, objectType: key, objectAlias: ../d}", "{objectName: '', objectType: key}"), []string{
			"object 1 (my_secret): objectName: names the secret wrongly: an object's name in the vault has at most 127 letters, digits and dashes, and its version goes into objectVersion",
			"object 2 (a): objectVersion: must be", "object 3 (a/b): objectName: names the certificate wrongly", "object 4 (../d): objectAlias: must not leave", "object 5: objectName: missing",
		}},
		"azure vault":            {"azure", with(azure("{objectName: a, objectType: secret}"), "keyvaultName", "k_v"), []string{"keyvaultName: must be the name alone"}},
		"azure tenant":           {"azure", with(azure("{objectName: a, objectType: secret}"), "tenantID", "a b"), []string{"tenantID: "}},
		"azure node":             {"azure", with(azure("{objectName: a, objectType: secret}"), "useVMManagedIdentity", "true"), []string{"useVMManagedIdentity: reads with the node's own identity"}},
		"azure environment file": {"azure", with(with(azure("{objectName: a, objectType: secret}"), "cloudName", "AzureStackCloud"), "cloudEnvFileName", "/x"), []string{"cloudName: AzureStackCloud is described by a file of the node: the operator's configuration must say which"}},
		"azure identity binding": {"azure", with(azure("{objectName: a, objectType: secret}"), "useAzureTokenProxy", "true"), []string{"useAzureTokenProxy: logs in through the cluster's token proxy"}},
		"azure client":           {"azure", with(azure("{objectName: a, objectType: secret}"), "clientID", "a b"), []string{"clientID: must be"}},
		"azure patterns": {"azure", azure("{objectName: 'a*b_', objectType: secret, objectAlias: a}", "{objectName: 'a*', objectType: key, objectAlias: b}"), []string{
			"object 1 (a): objectName: names the secret wrongly", "object 2 (b): objectType: must be secret where objectName is a pattern",
		}},
		"aws objects": {"aws", amazon("{objectName: 'a b', objectType: secretsmanager}", "{objectName: 'a:3', objectType: ssmparameter}", "{objectName: a, objectType: ssmparameter, objectVersion: x}", "{objectName: b, objectType: secretsmanager, objectVersion: x}",
			"{objectName: d, objectType: secretsmanager, jmesPath: [{path: my-key, objectAlias: x}]}", "{objectName: 'arn:aws:ssm:us-east-1:111122223333:parameter/prod/db', objectAlias: q}", "{objectName: e, objectType: ssmparameter, objectVersion: '3', objectVersionLabel: l}"), []string{
			"object 1 (a b): objectName: must be a secret's ARN", "object 2 (a:3): objectName: must not hold a colon; a version goes into objectVersion, a label into objectVersionLabel",
			"object 3 (a): objectVersion: must be the number of a version, from 1; a label goes into objectVersionLabel", "a label such as AWSPREVIOUS goes into objectVersionLabel",
			"object 5 (x): jmesPath: arithmetic", "object 6 (q): objectName: is a parameter of region us-east-1", "object 7 (e): objectVersionLabel: ",
		}},
		"aws region": {"aws", with(with(amazon("{objectName: a, objectType: secretsmanager}"), "region", "eu west"), "failoverRegion", "x y"), []string{"region: must be the name of a region", "failoverRegion[0]: "}},
		"gcp": {"gcp", google("{resourceName: projects/shop-1/secrets/s/versions/v x, path: a}", "{resourceName: projects/shop-1/secrets/s, path: b}", "{resourceName: projects/shop-1/secrets/s s/versions/1, path: d}", "{resourceName: x, path: /e}"), []string{
			"object 1 (a): resourceName: must be a version's number", "object 2 (b): resourceName: names no version", "object 3 (d): resourceName: the secret's name", "object 4 (/e): resourceName: must be",
		}},
		"gcp node": {"gcp", with(google("{resourceName: projects/shop-1/secrets/s/versions/1, path: e}"), "auth", "provider-adc"), []string{"auth: reads with the node's own credentials"}},
		"vault objects": {"vault", vault("{objectName: a, secretPath: /secret/a, secretKey: k}", "{objectName: b, secretPath: 'secret/a?x=y&x=z'}", "{objectName: d, secretPath: a//b, secretKey: my-key, method: DELETE}",
			"{objectName: e, secretPath: \"a\\x01\", secretKey: my-key}", "{objectName: f, secretPath: v1/a, secretKey: k, encoding: x}", "{objectName: ../g, secretPath: a}"), []string{
			"object 2 (b): secretPath: gives an argument twice", "object 3 (d): method: must be one of", "object 4 (e): secretPath: must be UTF-8 without control characters", "object 5 (f): encoding: unknown", "object 6 (../g): objectName: must not leave",
		}},
		"vault settings": {"vault", with(with(vault("{objectName: a, secretPath: a}"), "vaultKubernetesMountPath", "a b"), "vaultTLSClientCertPath", "/x"), []string{
			"vaultKubernetesMountPath: must be", "vaultTLSClientCertPath: give vaultTLSClientCertPath and vaultTLSClientKeyPath together",
		}},
		"vault without an address": {"vault", with(vault("{objectName: a, secretPath: a}"), "vaultAddress", ""), []string{"vaultAddress: is missing; must be the server's URL"}},
		"openbao's under vault":    {"vault", map[string]string{"baoAddress": "https://bao", "roleName": "web", "objects": "- {objectName: a, secretPath: a}"}, []string{"these parameters are of provider: openbao and not of provider: vault"}},
		"openbao settings": {"openbao", map[string]string{"openbaoNamespace": "a b", "baoTLSClientKeyPath": "/x", "objects": "- {objectName: a, secretPath: a, secretKey: k}"}, []string{
			"baoAddress: is missing", "roleName: is missing", "openbaoNamespace: must be a path", "baoTLSClientCertPath: give baoTLSClientCertPath and baoTLSClientKeyPath together",
		}},
		"openbao objects": {"openbao", map[string]string{"baoAddress": "https://bao", "roleName": "web", "objects": "- {objectName: a, secretPath: a/../c, secretKey: k}\n- {objectName: b, secretPath: a, method: DELETE}\n- {objectName: /d, secretPath: a, secretKey: k}"}, []string{
			"object 1 (a): secretPath: must be a path", "object 2 (b): method: must be one of", "object 3 (/d): objectName: must be relative",
		}},
		"vault without a role":          {"vault", with(vault("{objectName: a, secretPath: a}"), "roleName", ""), []string{"roleName: is missing"}},
		"vault's under lanyard":         {"lanyard", vault("{objectName: a, secretPath: secret/data/a, secretKey: k}", "{objectName: b, secretPath: secret/data/b}"), []string{"these parameters are of provider: openbao or vault and not of provider: lanyard; "}},
		"azure's under lanyard":         {"lanyard", azure("{objectName: s, objectType: secret}"), []string{"these parameters are of provider: azure and not"}},
		"aws's under lanyard":           {"lanyard", amazon("{objectName: s, objectType: secretsmanager}"), []string{"these parameters are of provider: aws and not"}},
		"gcp's under lanyard":           {"lanyard", google("{resourceName: projects/shop-1/secrets/s/versions/1, path: a}"), []string{"these parameters are of provider: gcp or gke and not"}},
		"lanyard's under vault":         {"vault", map[string]string{"objects": "- {path: a, store: vault, key: secret/data/a}"}, []string{"these parameters are of provider: lanyard and not of provider: vault"}},
		"lanyard's under azure":         {"azure", map[string]string{"stores": "vault: {type: vault, address: 'https://v', auth: {method: kubernetes, role: r}}", "objects": "- {path: a, store: vault, key: secret/data/a}"}, []string{"these parameters are of provider: lanyard and not of provider: azure"}},
		"vault's under aws":             {"aws", vault("{objectName: a, secretPath: secret/data/a, secretKey: k}"), []string{"these parameters are of provider: openbao or vault and not of provider: aws"}},
		"aws's under gcp":               {"gcp", amazon("{objectName: s, objectType: secretsmanager}"), []string{"these parameters are of provider: aws and not of provider: gcp"}},
		"vault's with its own mistakes": {"lanyard", with(vault("{objectName: ../a, secretPath: secret/data/a, method: DELETE}"), "roleName", ""), []string{"these parameters are of provider: openbao or vault"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := e.Check(test.provider, test.parameters)
			if err == nil {
				t.Fatal("no problem is found")
			}
			text := err.Error()
			for _, want := range test.says {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in\n%s", want, strings.ReplaceAll(text, "; object", "\n   object"))
				}
			}
			if strings.Contains(name, "under") && strings.Contains(text, "unknown") {
				t.Errorf("more than one line: %s", text)
			}
			if found := nativeWords.FindString(text); found != "" && test.provider != "lanyard" {
				t.Errorf("%q is no word of provider %s: %s", found, test.provider, text)
			}
		})
	}
}

// Every class of vault-csi-provider gives a role, and AppRole takes none.
func TestARoleBesideAppRoleSaysWhatToIgnore(t *testing.T) {
	for _, provider := range []string{"vault", "openbao"} {
		store := config.Store{Type: "vault", Fields: map[string]any{
			"address": "https://vault:8200", "auth": map[string]any{"method": "approle", "roleID": "r", "secretIDCredential": "s"},
		}}
		check := func() error {
			settings := config.Default()
			settings.Stores = map[string]config.Store{provider: store}
			e, err := newEngine(settings, prometheus.NewRegistry(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			return e.Check(provider, map[string]string{"roleName": "web", "objects": "- {objectName: a, secretPath: kv/a}"})
		}
		err := check()
		const want = "roleName: is not for the method approle, which takes mount, roleID, roleIDCredential, secretIDFile, secretIDCredential; ignore: [auth.role] of the store in the operator's configuration lets classes give it to no effect"
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", provider, err, want)
		}
		store.Ignore = []string{"auth.role"}
		if err := check(); err != nil {
			t.Errorf("%s, ignored: %v", provider, err)
		}
	}
}

func TestATypingErrorIsNoOtherDialect(t *testing.T) {
	e, err := newEngine(config.Default(), prometheus.NewRegistry(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for provider, parameters := range map[string]map[string]string{
		"lanyard": {"objects": "- {path: a, stor: vault, key: k}"},
		"vault":   {"roleNam": "r", "objects": "- {objectName: a, secretPath: s}"},
		"openbao": {"baoAdress": "r", "objects": "- {objectName: a, secretPath: s}"},
		"aws":     {"objects": "- {objectName: a, objectTyp: secretsmanager}"},
		"gcp":     {"secrets": "- {resourceNam: x, path: a}"},
		"azure":   {"keyVaultname": "x", "objects": "array:\n  - |\n    {objectName: a, objectType: secret}"},
	} {
		if err := e.Check(provider, parameters); err == nil || !strings.Contains(err.Error(), "did you mean") || strings.Contains(err.Error(), "these parameters") {
			t.Errorf("%s: %v", provider, err)
		}
	}
}

package classfile_test

import (
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/dialect/aws"
	"github.com/lanyardhq/lanyard/provider/dialect/azure"
	"github.com/lanyardhq/lanyard/provider/dialect/gcp"
	"github.com/lanyardhq/lanyard/provider/dialect/lanyard"
	"github.com/lanyardhq/lanyard/provider/dialect/openbao"
	"github.com/lanyardhq/lanyard/provider/dialect/vault"
	"github.com/lanyardhq/lanyard/provider/manifest/classfile"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// pinnable are the dialects.
var pinnable = map[string]struct {
	parse spec.Dialect
	how   dialect.Pin
	more  string // parameters that a class needs
}{
	"lanyard": {lanyard.Parse, lanyard.Pin, ""},
	"vault":   {vault.Parse, vault.Pin, "    vaultAddress: https://vault:8200\n    roleName: web\n"},
	"openbao": {openbao.Parse, vault.Pin, "    baoAddress: https://bao:8200\n    roleName: web\n"},
	"aws":     {aws.Parse, aws.Pin, "    region: eu-west-1\n    failoverRegion: eu-central-1\n"},
	"azure":   {azure.Options{}.Parse, azure.Pin, "    keyvaultName: kv\n    tenantID: t\n    clientID: c\n"},
	"gcp":     {gcp.Parse, gcp.Pin, ""},
}

// pinClass is a class whose list of objects is the block.
func pinClass(provider, block string) string {
	how := pinnable[provider]
	text := "# kept: before\napiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: web}   # kept\nspec:\n  provider: " + provider +
		"\n  parameters:\n" + how.more + "    " + how.how.Parameter + ": |   # kept\n"
	for line := range strings.Lines(block) {
		text += "      " + line
	}
	return text + "  # kept: after\n---\nkind: ConfigMap\ndata: {version: '3'}\n"
}

const (
	secretID = "EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE"
	vaultID  = "4387e9f3d6e14c459867679a90fd0f79"
)

func TestPinAndUnpinGiveTheFirstFileAgain(t *testing.T) {
	for name, test := range map[string]struct {
		provider, block string
		entry           int
		version         string
		pinned          string // the block then
	}{
		"a native block":           {"lanyard", "- path: a\n  # kept\n  store: s\n  key: k   # kept\n  property: p\n- path: b\n  store: s\n  key: k\n", 0, "3", "- path: a\n  # kept\n  store: s\n  key: k   # kept\n  version: \"3\"\n  property: p\n- path: b\n  store: s\n  key: k\n"},
		"the last field":           {"lanyard", "- path: b\n  store: s\n  key: k\n- path: a\n  store: s\n  key: k\n", 1, "3", "- path: b\n  store: s\n  key: k\n- path: a\n  store: s\n  key: k\n  version: \"3\"\n"},
		"the key in front":         {"lanyard", "- key: k\n  path: a\n  store: s\n", 0, "3", "- key: k\n  version: \"3\"\n  path: a\n  store: s\n"},
		"in braces":                {"lanyard", "- {path: a, store: s, key: k} # kept\n", 0, "3", "- {version: \"3\", path: a, store: s, key: k} # kept\n"},
		"a list in brackets":       {"lanyard", "[{path: b, store: s, key: k}, {path: a, store: s, key: k}]\n", 1, "3", "[{path: b, store: s, key: k}, {version: \"3\", path: a, store: s, key: k}]\n"},
		"an indented list":         {"lanyard", "  - path: a\n    store: s\n    key: k\n\n    mode: \"0400\"\n", 0, "3", "  - path: a\n    store: s\n    key: k\n    version: \"3\"\n\n    mode: \"0400\"\n"},
		"an empty version":         {"lanyard", "- path: a\n  store: s\n  version: \"\" # kept\n  key: k\n", 0, "3", "- path: a\n  store: s\n  version: \"3\" # kept\n  key: k\n"},
		"letters of others":        {"lanyard", "- path: größe\n  store: s\n  key: k ü # kept: ß\n", 0, "3", "- path: größe\n  store: s\n  key: k ü # kept: ß\n  version: \"3\"\n"},
		"vault":                    {"vault", "- objectName: a\n  secretPath: \"secret/data/a\" # kept\n  secretKey: k\n- objectName: b\n  secretPath: secret/data/a\n", 0, "3", "- objectName: a\n  secretPath: \"secret/data/a?version=3\" # kept\n  secretKey: k\n- objectName: b\n  secretPath: secret/data/a\n"},
		"vault with a query":       {"vault", "- {objectName: a, secretPath: 'v1/secret/data/a?x=y', secretKey: k}\n", 0, "3", "- {objectName: a, secretPath: 'v1/secret/data/a?x=y&version=3', secretKey: k}\n"},
		"openbao":                  {"openbao", "- objectName: a\n  secretPath: secret/data/a\n  secretKey: k\n", 0, "12", "- objectName: a\n  secretPath: secret/data/a?version=12\n  secretKey: k\n"},
		"aws":                      {"aws", "- objectName: \"a\"\n  objectType: secretsmanager\n", 0, secretID, "- objectName: \"a\"\n  objectVersion: \"" + secretID + "\"\n  objectType: secretsmanager\n"},
		"aws, a stage":             {"aws", "- objectName: \"a\"\n  objectType: secretsmanager\n", 0, "AWSPREVIOUS", "- objectName: \"a\"\n  objectVersionLabel: \"AWSPREVIOUS\"\n  objectType: secretsmanager\n"},
		"aws, a parameter":         {"aws", "- objectName: /a\n  objectType: ssmparameter\n  objectAlias: a\n", 0, "3", "- objectName: /a\n  objectVersion: \"3\"\n  objectType: ssmparameter\n  objectAlias: a\n"},
		"aws, a parameter's label": {"aws", "- objectName: arn:aws:ssm:eu-west-1:111122223333:parameter/a\n  objectAlias: a\n", 0, "stable", "- objectName: arn:aws:ssm:eu-west-1:111122223333:parameter/a\n  objectVersionLabel: \"stable\"\n  objectAlias: a\n"},
		"aws with failover":        {"aws", "- objectName: a\n  objectType: secretsmanager\n  objectAlias: x\n  failoverObject:\n    objectName: b\n  jmesPath:\n    - {path: u, objectAlias: u}\n", 0, secretID, "- objectName: a\n  objectVersion: \"" + secretID + "\"\n  objectType: secretsmanager\n  objectAlias: x\n  failoverObject:\n    objectName: b\n    objectVersion: \"" + secretID + "\"\n  jmesPath:\n    - {path: u, objectAlias: u}\n"},
		"azure":                    {"azure", "array:\n  - |\n    objectName: a\n    objectType: secret # kept\n  - |\n    # kept\n    objectName: b\n    objectType: cert\n", 1, vaultID, "array:\n  - |\n    objectName: a\n    objectType: secret # kept\n  - |\n    # kept\n    objectName: b\n    objectVersion: \"" + vaultID + "\"\n    objectType: cert\n"},
		"azure, as documented":     {"azure", "array:\n  - |\n    objectName: a\n    objectType: secret\n    objectVersion: \"\"\n", 0, vaultID, "array:\n  - |\n    objectName: a\n    objectType: secret\n    objectVersion: \"" + vaultID + "\"\n"},
		"azure, deeper":            {"azure", "array:\n    -   |\n          objectName: a\n          objectType: secret\n", 0, vaultID, "array:\n    -   |\n          objectName: a\n          objectVersion: \"" + vaultID + "\"\n          objectType: secret\n"},
		"gcp":                      {"gcp", "- resourceName: \"projects/p/secrets/a/versions/latest\" # kept\n  path: a\n", 0, "3", "- resourceName: \"projects/p/secrets/a/versions/3\" # kept\n  path: a\n"},
		"gcp in a region":          {"gcp", "- path: a\n  resourceName: projects/p/locations/l/secrets/a/versions/latest\n", 0, "good", "- path: a\n  resourceName: projects/p/locations/l/secrets/a/versions/good\n"},
	} {
		for _, ends := range []string{"\n", "\r\n"} {
			t.Run(name, func(t *testing.T) {
				of := pinnable[test.provider]
				text := strings.ReplaceAll(pinClass(test.provider, test.block), "\n", ends)
				pinned, err := classfile.Pin([]byte(text), "web", of.parse, of.how, test.entry, test.version)
				if err != nil {
					t.Fatal(err)
				}
				if want := strings.ReplaceAll(pinClass(test.provider, test.pinned), "\n", ends); string(pinned) != want {
					t.Errorf("pinned\n%s\nwant\n%s", pinned, want)
				}
				again, err := classfile.Pin(pinned, "", of.parse, of.how, test.entry, test.version)
				if err != nil || string(again) != string(pinned) {
					t.Errorf("pinned again\n%s, %v", again, err)
				}
				back, err := classfile.Pin(pinned, "", of.parse, of.how, test.entry, "")
				if err != nil || string(back) != text {
					t.Errorf("unpinned\n%s\nwant\n%s\n%v", back, text, err)
				}
			})
		}
	}
}

func TestAPinIsMovedAndWhatOthersWroteStays(t *testing.T) {
	for name, test := range map[string]struct{ provider, block, version, want string }{
		"a number without quotes":     {"aws", "- objectName: /a\n  objectType: ssmparameter\n  objectVersion: 3 # kept\n", "4", "- objectName: /a\n  objectType: ssmparameter\n  objectVersion: \"4\" # kept\n"},
		"that is taken back":          {"aws", "- objectName: /a\n  objectType: ssmparameter\n  objectVersion: 3 # kept\n", "", "- objectName: /a\n  objectType: ssmparameter\n  objectVersion: \"\" # kept\n"},
		"a label for a version":       {"aws", "- objectName: a\n  objectVersion: \"" + secretID + "\"\n  objectType: secretsmanager\n", "AWSPREVIOUS", "- objectName: a\n  objectVersionLabel: \"AWSPREVIOUS\"\n  objectType: secretsmanager\n"},
		"a version for a label":       {"aws", "- objectName: a\n  objectType: secretsmanager\n  objectVersionLabel: x # kept\n", secretID, "- objectName: a\n  objectVersion: \"" + secretID + "\"\n  objectType: secretsmanager\n  objectVersionLabel: \"\" # kept\n"},
		"in single quotes":            {"lanyard", "- path: a\n  version: '1'\n  store: s\n  key: k\n", "2", "- path: a\n  version: '2'\n  store: s\n  key: k\n"},
		"nothing after the colon":     {"aws", "- objectName: a\n  objectType: secretsmanager\n  objectVersion:   # kept\n", secretID, "- objectName: a\n  objectType: secretsmanager\n  objectVersion: \"" + secretID + "\"   # kept\n"},
		"a number in a query":         {"vault", "- objectName: a\n  secretPath: secret/data/a?version=0&x=y\n", "7", "- objectName: a\n  secretPath: secret/data/a?x=y&version=7\n"},
		"in braces, not in front":     {"lanyard", "- {path: a, store: s, version: \"1\", key: k}\n", "", "- {path: a, store: s, version: \"\", key: k}\n"},
		"another version of a secret": {"gcp", "- path: a\n  resourceName: projects/p/secrets/a/versions/good\n", "7", "- path: a\n  resourceName: projects/p/secrets/a/versions/7\n"},
	} {
		t.Run(name, func(t *testing.T) {
			of := pinnable[test.provider]
			got, err := classfile.Pin([]byte(pinClass(test.provider, test.block)), "", of.parse, of.how, 0, test.version)
			if want := pinClass(test.provider, test.want); err != nil || string(got) != want {
				t.Errorf("%v:\n%s\nwant\n%s", err, got, want)
			}
		})
	}
}

func TestWhatCannotBeWrittenIsRefused(t *testing.T) {
	whole := func(parameters string) string {
		return "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: web}\nspec:\n  provider: lanyard\n  parameters:" + parameters
	}
	for name, test := range map[string]struct{ provider, text, version, want string }{
		"a list in quotes":       {"lanyard", whole("\n    objects: \"- {path: a, store: s, key: k}\"\n"), "3", `spec.parameters.objects is not a literal block; write "objects: |"`},
		"JSON":                   {"lanyard", `{"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass", "metadata": {"name": "web"}, "spec": {"provider": "lanyard", "parameters": {"objects": "- path: a"}}}`, "3", "is not a literal block"},
		"no list":                {"lanyard", whole(" {}\n"), "3", "spec.parameters.objects is missing"},
		"an alias":               {"lanyard", pinClass("lanyard", "- *a\n"), "3", "objects: "},
		"a key of several lines": {"lanyard", pinClass("lanyard", "- path: a\n  store: s\n  key:\n    k\n"), "3", "key is not written on one line"},
		"the latest of vault":    {"vault", pinClass("vault", "- objectName: a\n  secretPath: secret/data/a\n"), "latest", "a whole number from 1"},
		"the latest of azure":    {"azure", pinClass("azure", "array:\n  - |\n    objectName: a\n    objectType: secret\n"), "latest", "give --unpin"},
		"an entry in quotes":     {"azure", pinClass("azure", "array:\n  - \"{objectName: a, objectType: secret}\"\n"), vaultID, `entry 1 of array is not a literal block; write "- |"`},
		"the latest of gcp":      {"gcp", pinClass("gcp", "- {path: a, resourceName: projects/p/secrets/a/versions/latest}\n"), "latest", "give --unpin"},
		"a parameter's latest":   {"gcp", pinClass("gcp", "- {path: a, resourceName: projects/p/locations/global/parameters/a/versions/v1}\n"), "", "a parameter has no latest version"},
		"an escape":              {"gcp", pinClass("gcp", "- {path: a, resourceName: \"projects\\x2fp/secrets/a/versions/latest\"}\n"), "3", "resourceName is not written on one line"},
		"no version":             {"lanyard", pinClass("lanyard", "- {path: a, store: s, key: k}\n"), "a b", "none of any store"},
		"another class's name":   {"lanyard", strings.Replace(pinClass("lanyard", "- {path: a, store: s, key: k}\n"), "name: web", "name: api", 1), "3", "holds no SecretProviderClass named web"},
	} {
		t.Run(name, func(t *testing.T) {
			of := pinnable[test.provider]
			got, err := classfile.Pin([]byte(test.text), "web", of.parse, of.how, 0, test.version)
			if err == nil || !strings.Contains(err.Error(), test.want) || got != nil {
				t.Errorf("%v, want %q; %s", err, test.want, got)
			}
		})
	}
}

// What is written is a class that reads the version, or nothing.
func FuzzPin(f *testing.F) {
	f.Add("lanyard", "- path: a\n  store: s\n  key: k\n", 0, "3")
	f.Add("azure", "array:\n  - |\n    objectName: a\n    objectType: secret\n", 0, vaultID)
	f.Add("aws", "- {objectName: /a, objectType: ssmparameter, failoverObject: {objectName: b}}\n", 0, "x")
	f.Add("vault", "- objectName: a\n  secretPath: 'secret/data/a?version=1'\r", 0, "")
	f.Add("gcp", "- path: a\u2028\n  resourceName: projects/p/secrets/a/versions/latest\n", 1, "3")
	f.Fuzz(func(t *testing.T, provider, block string, entry int, version string) {
		of, known := pinnable[provider]
		if !known || len(block) > 1<<12 || entry < 0 {
			return
		}
		text := pinClass(provider, block)
		got, err := classfile.Pin([]byte(text), "", of.parse, of.how, entry, version)
		if err != nil {
			return
		}
		if again, err := classfile.Pin(got, "", of.parse, of.how, entry, version); err != nil || string(again) != string(got) {
			t.Errorf("%v:\n%s\nagain\n%s", err, got, again)
		}
	})
}

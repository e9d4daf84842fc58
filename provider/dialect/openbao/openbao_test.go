package openbao

import (
	"maps"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/dialect/vault"
)

const objects = "- {objectName: a, secretPath: secret/data/a, secretKey: a}"

func TestParametersBecomeSettingsOfTheStore(t *testing.T) {
	file := func(name, value string) map[string]any { return map[string]any{"tls": map[string]any{name: value}} }
	auth := func(name, value string) map[string]any { return map[string]any{"auth": map[string]any{name: value}} }
	type given = map[string]string
	for name, test := range map[string]struct {
		parameters given
		want       map[string]any
		idle       string
	}{
		"nothing":               {nil, map[string]any{}, ""},
		"a role":                {given{"roleName": "web"}, auth("role", "web"), ""},
		"a role of bao":         {given{"baoRoleName": "web"}, auth("role", "web"), ""},
		"a role of openbao":     {given{"openbaoRoleName": "web"}, auth("role", "web"), ""},
		"a role of vault":       {given{"vaultRoleName": "web"}, auth("role", "web"), ""},
		"two roles":             {given{"roleName": "web", "vaultRoleName": "old"}, auth("role", "web"), "vaultRoleName: has no effect beside roleName"},
		"an audience":           {given{"audience": "eu"}, auth("audience", "eu"), ""},
		"an address":            {given{"baoAddress": "https://bao:8200/"}, map[string]any{"type": "vault", "address": "https://bao:8200"}, ""},
		"an address of openbao": {given{"openbaoAddress": "https://bao"}, map[string]any{"type": "vault", "address": "https://bao"}, ""},
		"an address of vault":   {given{"vaultAddress": "https://bao"}, map[string]any{"type": "vault", "address": "https://bao"}, ""},
		"bao before all":        {given{"vaultAddress": "https://c", "baoAddress": "https://a", "openbaoAddress": "https://b"}, map[string]any{"type": "vault", "address": "https://a"}, "openbaoAddress: has no effect beside baoAddress; vaultAddress: has no effect beside baoAddress"},
		"openbao before vault":  {given{"vaultAddress": "https://c", "openbaoAddress": "https://b"}, map[string]any{"type": "vault", "address": "https://b"}, "vaultAddress: has no effect beside openbaoAddress"},
		"an empty one is none":  {given{"baoAddress": "", "vaultAddress": "https://c"}, map[string]any{"type": "vault", "address": "https://c"}, ""},
		"a namespace":           {given{"baoNamespace": "/team/a/"}, map[string]any{"namespace": "team/a"}, ""},
		"a mount":               {given{"baoAuthMountPath": "jwt"}, auth("mount", "jwt"), ""},
		"the older mount":       {given{"openbaoKubernetesMountPath": "k8s"}, auth("mount", "k8s"), ""},
		"an authority":          {given{"baoCACertPath": "/ca"}, file("caCertFile", "/ca"), ""},
		"a directory":           {given{"vaultCADirectory": "/ca"}, file("caCertDir", "/ca"), ""},
		"both":                  {given{"openbaoCACertPath": "/ca", "vaultCADirectory": "/ca"}, file("caCertFile", "/ca"), "vaultCADirectory: has no effect beside openbaoCACertPath"},
		"a name":                {given{"baoTLSServerName": "x"}, file("serverName", "x"), ""},
		"a certificate":         {given{"baoTLSClientCertPath": "/c"}, file("clientCertFile", "/c"), ""},
		"a key":                 {given{"baoTLSClientKeyPath": "/k"}, file("clientKeyFile", "/k"), ""},
		"not verified":          {given{"openbaoSkipTLSVerify": "true"}, map[string]any{"tls": map[string]any{"insecureSkipVerify": true}}, ""},
		"plain text":            {given{"openbaoAddress": "http://b", "vaultCACertPath": "/ca"}, map[string]any{"type": "vault", "address": "http://b"}, "vaultCACertPath: has no effect with a openbaoAddress of http://"},
		"an unknown parameter":  {given{"baoAdress": "x"}, map[string]any{}, "baoAdress: unknown parameter, which has no effect; did you mean baoAddress?"},
		"a prefix of its own":   {given{"baoAudience": "x"}, map[string]any{}, "baoAudience: unknown parameter, which has no effect; did you mean audience?"},
	} {
		t.Run(name, func(t *testing.T) {
			parameters := given{"objects": objects}
			maps.Copy(parameters, test.parameters)
			class, err := Parse(parameters)
			if err != nil {
				t.Fatal(err)
			}
			if got := class.Stores[Name]; !reflect.DeepEqual(got, test.want) {
				t.Errorf("settings %v, want %v", got, test.want)
			}
			if got := class.Idle.Error(); got != test.idle {
				t.Errorf("without effect: %s, want %s", got, test.idle)
			}
			for i, o := range class.Objects {
				if o.Store != Name {
					t.Errorf("object %d reads from %s", i, o.Store)
				}
			}
		})
	}
}

func TestTheAudienceIsItsOwnWhereNobodySays(t *testing.T) {
	class, err := Parse(map[string]string{"objects": objects})
	want := map[string]map[string]any{Name: {"type": "vault", "auth": map[string]any{"method": "kubernetes", "audience": "openbao"}}}
	if err != nil || !reflect.DeepEqual(class.Defaults, want) {
		t.Errorf("defaults %v, %v", class.Defaults, err)
	}
}

func TestProblemsAreInTheNamesOfTheClass(t *testing.T) {
	for name, test := range map[string]struct {
		parameters map[string]string
		want       string
	}{
		"two mounts":     {map[string]string{"baoAuthMountPath": "a", "vaultKubernetesMountPath": "b"}, "vaultKubernetesMountPath: is the older name of baoAuthMountPath, which is given too; remove this one"},
		"no truth value": {map[string]string{"openbaoSkipTLSVerify": "yes"}, `openbaoSkipTLSVerify: must be "true" or "false"`},
		"no path":        {map[string]string{"objects": "- {objectName: a}"}, "object 1 (a): secretPath: missing; give the path in OpenBao, such as secret/data/prod/db"},
	} {
		t.Run(name, func(t *testing.T) {
			parameters := map[string]string{"objects": objects}
			maps.Copy(parameters, test.parameters)
			_, err := Parse(parameters)
			if err == nil || err.Error() != test.want {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

// What both providers have in common they read alike.
func FuzzItReadsWhatVaultReads(f *testing.F) {
	f.Add("- {objectName: a, secretPath: 'v1/a/b?version=1', method: PUT, secretArgs: {a: 1}}\n- {objectName: a, secretPath: c}", "https://v/x", "true", "a//b")
	f.Add("[]", "http://v", "x", "")
	f.Fuzz(func(t *testing.T, list, address, skip, mount string) {
		if len(list) > 1<<16 {
			return
		}
		parameters := func(prefix string) map[string]string {
			return map[string]string{"objects": list, prefix + "Address": address, prefix + "SkipTLSVerify": skip, prefix + "AuthMountPath": mount, prefix + "CACertPath": mount}
		}
		mine, mineErr := Parse(parameters("bao"))
		old, oldErr := Parse(parameters("vault"))
		theirs, theirsErr := vault.Parse(parameters("vault"))
		if (mineErr == nil) != (theirsErr == nil) || (oldErr == nil) != (theirsErr == nil) {
			t.Fatalf("errors %v, %v and %v", mineErr, oldErr, theirsErr)
		}
		for i := range theirs.Objects {
			theirs.Objects[i].Store = Name
		}
		if !reflect.DeepEqual(mine.Objects, theirs.Objects) || !reflect.DeepEqual(mine.Stores[Name], theirs.Stores[vault.Name]) || !reflect.DeepEqual(old.Stores, mine.Stores) {
			t.Errorf("%+v and %+v", mine, theirs)
		}
	})
}

func TestThePageHasEveryParameterAndField(t *testing.T) {
	page, err := os.ReadFile("../../../docs/migrate-from-openbao.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range product.Known() {
		if !strings.Contains(string(page), "\n| `"+name+"` |") {
			t.Errorf("the page has no row for %s", name)
		}
	}
}

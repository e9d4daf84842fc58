package reference

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// parsed is a text as a test writes it: references in brackets.
func parsed(t Text) string {
	text, _ := t.Resolve(math.MaxInt, func(r Reference) string { return "[" + r.Text + "]" })
	return text
}

func TestParse(t *testing.T) {
	arn := "arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/db-a1b2c3"
	for text, want := range map[string]string{
		"":      "",
		"plain": "plain",
		"a$b{}": "a$b{}",

		// Lanyard's own.
		"lanyard:db/password":                   "[lanyard:db/password]",
		"a${lanyard:x}b${lanyard:y}":            "a[lanyard:x]b[lanyard:y]",
		"xlanyard:a":                            "xlanyard:a",
		"${lanyard:a}${vault:p#k}${OTHER} ${x}": "[lanyard:a][vault:p#k]${OTHER} ${x}",

		// bank-vaults: a whole text.
		"vault:secret/data/db#password":                         "[vault:secret/data/db#password]",
		"vault:secret/data/db#password#3":                       "[vault:secret/data/db#password#3]",
		"vault:secret/data/db#${.password | urlquery}":          "[vault:secret/data/db#${.password | urlquery}]",
		"vault:secret/data/db#${.user}:${.password}":            "[vault:secret/data/db#${.user}:${.password}]",
		">>vault:pki/issue/web#certificate":                     "[>>vault:pki/issue/web#certificate]",
		`>>vault:pki/issue/web#${.private_key}#{"ttl":"1h"}`:    `[>>vault:pki/issue/web#${.private_key}#{"ttl":"1h"}]`,
		"vault:v1:8SDd3WHDOjf7mq69CyCqYjBXAiQQAVZRkFM13ok481zo": "[vault:v1:8SDd3WHDOjf7mq69CyCqYjBXAiQQAVZRkFM13ok481zo]",
		"vault:v1/data#k":                                       "[vault:v1/data#k]",
		"vault:/secret//data/db/#password":                      "[vault:/secret//data/db/#password]",
		// Within a text.
		"scheme://${vault:p#user}:${vault:p#${.password | urlquery}}@127.0.0.1:8080": "scheme://[vault:p#user]:[vault:p#${.password | urlquery}]@127.0.0.1:8080",
		`{"a":"${vault:p#a}","b":"${>>vault:p#b}"}`:                                  `{"a":"[vault:p#a]","b":"[>>vault:p#b]"}`,
		"${vault:v1:abc=}": "[vault:v1:abc=]",
		// Which is no reference of the original either.
		"https://vault:8200/v1#x":            "https://vault:8200/v1#x",
		"see vault:secret/data/db#password":  "see vault:secret/data/db#password",
		" vault:p#k":                         " vault:p#k",
		"VAULT:p#k":                          "VAULT:p#k",
		">vault:p#k":                         ">vault:p#k",
		">>>vault:p#k":                       ">>>vault:p#k",
		"$vault:p#k}":                        "$vault:p#k}",
		"${vault:p#k":                        "${vault:p#k",
		"${ vault:p#k}":                      "${ vault:p#k}",
		"${>>>vault:p#k}":                    "${>>>vault:p#k}",
		"$(vault:p#k)":                       "$(vault:p#k)",
		"${vault:p\n#k}":                     "${vault:p\n#k}",
		"vaults:p#k":                         "vaults:p#k",
		"hashicorp/vault:1.20#x":             "hashicorp/vault:1.20#x",
		"postgres://vault:password@db/app#x": "postgres://vault:password@db/app#x",

		// secret-init.
		"bao:secret/data/db#password": "[bao:secret/data/db#password]",
		"x${bao:p#k}${vault:p#k}":     "x[bao:p#k][vault:p#k]",
		">>bao:pki/issue/web#serial":  "[>>bao:pki/issue/web#serial]",
		arn:                           "[" + arn + "]",
		"arn:aws:ssm:eu-west-1:111122223333:parameter/prod/db":    "[arn:aws:ssm:eu-west-1:111122223333:parameter/prod/db]",
		"gcp:secretmanager:projects/p/secrets/s":                  "[gcp:secretmanager:projects/p/secrets/s]",
		"gcp:secretmanager:projects/p/secrets/s/versions/latest":  "[gcp:secretmanager:projects/p/secrets/s/versions/latest]",
		"gcp:secretmanager:projects/p/secrets/s/versions/7":       "[gcp:secretmanager:projects/p/secrets/s/versions/7]",
		"azure:keyvault:db-password":                              "[azure:keyvault:db-password]",
		"azure:keyvault:db/0123456789abcdef":                      "[azure:keyvault:db/0123456789abcdef]",
		"arn:aws-cn:secretsmanager:cn-north-1:1:secret:x":         "arn:aws-cn:secretsmanager:cn-north-1:1:secret:x",
		"arn:aws:iam::111122223333:role/web":                      "arn:aws:iam::111122223333:role/web",
		"arn:aws:s3:::bucket":                                     "arn:aws:s3:::bucket",
		"x" + arn:                                                 "x" + arn,
		"${" + arn + "}":                                          "${" + arn + "}",
		"secretsmanager:db":                                       "secretsmanager:db",
		"projects/p/secrets/s":                                    "projects/p/secrets/s",
		"gcp:storage:x":                                           "gcp:storage:x",
		"azure:storage:x":                                         "azure:storage:x",
		"file:/etc/app.conf":                                      "file:/etc/app.conf",
		"file:///data/dev.db":                                     "file:///data/dev.db",
		"bw:0d8a9a9c-3b1c-4f7e-9c9e-0d8a9a9c3b1c":                 "bw:0d8a9a9c-3b1c-4f7e-9c9e-0d8a9a9c3b1c",
		"https://kv.vault.azure.net/secrets/azure:keyvault:x":     "https://kv.vault.azure.net/secrets/azure:keyvault:x",
		"baobab:p#k":                                              "baobab:p#k",
		"gcp:secretmanager:projects/p/locations/l/secrets/s":      "[gcp:secretmanager:projects/p/locations/l/secrets/s]",
		"https://${vault:p#k}.example.com/${lanyard:a}?b=${vault": "https://[vault:p#k].example.com/[lanyard:a]?b=${vault",

		// akv2k8s.
		"db@azurekeyvault":                              "[db@azurekeyvault]",
		"web-cert@azurekeyvault?tls.crt":                "[web-cert@azurekeyvault?tls.crt]",
		"web@azurekeyvault?":                            "[web@azurekeyvault?]",
		"A1@azurekeyvault?_a":                           "[A1@azurekeyvault?_a]",
		"@azurekeyvault":                                "@azurekeyvault",
		"-a@azurekeyvault":                              "-a@azurekeyvault",
		"a-@azurekeyvault":                              "a-@azurekeyvault",
		"a.b@azurekeyvault":                             "a.b@azurekeyvault",
		"a_b@azurekeyvault":                             "a_b@azurekeyvault",
		"someone@azurekeyvault.example.com":             "someone@azurekeyvault.example.com",
		"mail someone@azurekeyvault now":                "mail someone@azurekeyvault now",
		"a@azurekeyvault?1":                             "a@azurekeyvault?1",
		"a@azurekeyvault?b-c":                           "a@azurekeyvault?b-c",
		"a@azurekeyvault?b?c":                           "a@azurekeyvault?b?c",
		"a@azurekeyvault\n":                             "a@azurekeyvault\n",
		"${a@azurekeyvault}":                            "${a@azurekeyvault}",
		"a@AzureKeyVault":                               "a@AzureKeyVault",
		strings.Repeat("a", 241) + "@azurekeyvault":     "[" + strings.Repeat("a", 241) + "@azurekeyvault]",
		strings.Repeat("a", 242) + "@azurekeyvault":     strings.Repeat("a", 242) + "@azurekeyvault",
		"a@azurekeyvault;b@azurekeyvault":               "a@azurekeyvault;b@azurekeyvault",
		"Server=x;Password=a@azurekeyvault?password;":   "Server=x;Password=a@azurekeyvault?password;",
		"postgres://user:a@azurekeyvault/db?sslmode=no": "postgres://user:a@azurekeyvault/db?sslmode=no",
	} {
		got, err := Parse("V", text, Syntaxes())
		if err != nil || parsed(got) != want {
			t.Errorf("%q: %q, %v; want %q", text, parsed(got), err, want)
		}
	}
}

func TestParseReadsTheParts(t *testing.T) {
	for text, want := range map[string]Reference{
		"vault:/secret//data/db/#pass word#12": {Product: Vault, Name: "secret/data/db", Key: "pass word", Version: "12"},
		"vault:p#k#-1":                         {Product: Vault, Name: "p", Key: "k"},
		"vault:p#k#0":                          {Product: Vault, Name: "p", Key: "k"},
		"vault:p#k#":                           {Product: Vault, Name: "p", Key: "k"},
		">>bao:p#k":                            {Product: OpenBao, Name: "p", Key: "k", Body: "{}"},
		`>>vault:p#k#{"a":"b#c"}`:              {Product: Vault, Name: "p", Key: "k", Body: `{"a":"b#c"}`},
		"vault:v12:abc":                        {Product: Vault, Name: "vault:v12:abc", Ciphertext: true},
		"gcp:secretmanager:projects/p/locations/l/secrets/s/versions/latest": {Product: GoogleSecretManager, Name: "projects/p/locations/l/secrets/s"},
		"azure:keyvault:a/b":      {Product: AzureKeyVault, Name: "a", Version: "b"},
		"a@azurekeyvault?tls.key": {Product: AzureKeyVaultSecret, Name: "a", Key: "tls.key"},
	} {
		want.Text, want.Variable = text, "V"
		got, err := Parse("V", text, Syntaxes())
		if err != nil || !reflect.DeepEqual(got.References(), []Reference{want}) {
			t.Errorf("%s: %+v, %v; want %+v", text, got.References(), err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"lanyard:":                           "V: names no object",
		"a${lanyard:}":                       "V: names no object",
		"vault:secret/data/db":               "V: vault:secret/data/db names no key; write vault:PATH#KEY",
		"vault:":                             "names no key",
		"vault:#k":                           "names no key",
		"vault:///#k":                        "names no key",
		"vault:p#":                           "names no key",
		"vault:p##1":                         "names no key",
		"bao:p":                              "write bao:PATH#KEY",
		"vault:p#k#one":                      "the version must be a number",
		"vault:p#k#1.5":                      "the version must be a number",
		"vault:p#k#-2":                       "the version must be a number",
		`vault:p#k#{"a":"b"}`:                "the version must be a number",
		">>vault:p#k#[1]":                    ">>vault:p: what is written must be an object of JSON",
		">>vault:p#k#{planted}":              "what is written must be an object of JSON",
		"${>vault:p#k}":                      "write vault: to read, or >>vault: to write",
		"vault:p#${.a}${ `}":                 "has a ${ without a closing }",
		"vault:p#${.a":                       "has a ${ without a closing }; within a text a template ends",
		"x${vault:p#${.a}:${.b}}":            "V: vault:p#${.a: the template has a ${ without",
		"vault:p#\x00":                       "characters that no name has",
		"vault:p#\xff":                       "characters that no name has",
		"arn:aws:secretsmanager:":            "is no whole ARN",
		"arn:aws:ssm:eu-west-1:1":            "is no whole ARN",
		"arn:aws:secretsmanager::1:secret:x": "is no whole ARN",
		"gcp:secretmanager:":                 "names no secret; write gcp:secretmanager:projects/",
		"gcp:secretmanager:s":                "names no secret",
		"gcp:secretmanager:projects/p/x/s":   "names no secret",
		"azure:keyvault:":                    "names no secret; write azure:keyvault:NAME",
		"azure:keyvault:/v":                  "names no secret",
		"azure:keyvault:a/b/c":               "names no secret",
		"${vault:a} ${vault:b} ${lanyard:}":  "V: vault:b names no key",
		"gcp:secretmanager:projects/p/secrets/s/versions/1/x": "names no secret",
	} {
		got, err := Parse("V", text, Syntaxes())
		if err == nil || !strings.Contains(err.Error(), want) || len(got.References()) > 0 || strings.Contains(err.Error(), "planted") {
			t.Errorf("%q: %+v, %v; want %s", text, got, err, want)
		}
	}
	for variable, text := range map[string]string{"VAULT_ENV_FROM_PATH": "secret/data/a", "VAULT_FROM_PATH": "a,b", "BAO_FROM_PATH": "a", "VAULT_TOKEN": "vault:login", "BAO_TOKEN": "bao:login"} {
		if _, err := Parse(variable, text, []string{SecretInit}); err == nil || !strings.HasPrefix(err.Error(), variable+": ") {
			t.Errorf("%s: %v", variable, err)
		}
		if got, err := Parse(variable, "", Syntaxes()); err != nil || len(got.References()) > 0 {
			t.Errorf("%s without a text: %v", variable, err)
		}
		if got, err := Parse(variable, text, nil); err != nil || parsed(got) != text {
			t.Errorf("%s of nobody: %v", variable, err)
		}
	}
}

// What was not chosen is text, but for Lanyard's own references.
func TestSyntaxesAreChosen(t *testing.T) {
	all := map[string][]string{
		"lanyard:a":                              {"", BankVaults, SecretInit, AKV2K8s},
		"vault:p#k":                              {BankVaults, SecretInit},
		"${vault:p#k}":                           {BankVaults, SecretInit},
		"bao:p#k":                                {SecretInit},
		"${bao:p#k}":                             {SecretInit},
		"arn:aws:ssm:r:1:parameter/a":            {SecretInit},
		"gcp:secretmanager:projects/p/secrets/s": {SecretInit},
		"azure:keyvault:a":                       {SecretInit},
		"a@azurekeyvault":                        {AKV2K8s},
	}
	for text, understand := range all {
		for _, syntax := range append(Syntaxes(), "") {
			got, err := Parse("V", text, []string{syntax})
			if is := len(got.References()) == 1; err != nil || is != slices.Contains(understand, syntax) {
				t.Errorf("%s in %q: %v, %v", text, syntax, is, err)
			}
		}
	}
	if got, err := Parse("V", "${lanyard:a}${vault:b}", nil); err != nil || parsed(got) != "[lanyard:a]${vault:b}" {
		t.Errorf("%s, %v", parsed(got), err)
	}
}

// The name of the file is promised to whoever fills a volume.
func TestFile(t *testing.T) {
	for _, text := range []string{"vault:secret/data/db#password", "${vault:secret/data/db#password}"} {
		got, err := Parse("V", text, Syntaxes())
		if err != nil || got.References()[0].File() != "ref-c18f27cc4e35435b211d9347a1e0f08e" {
			t.Errorf("%s: %s, %v", text, got.References()[0].File(), err)
		}
	}
}

func TestFind(t *testing.T) {
	got, err := Find([]string{"A=vault:p#k", "B=x${vault:p#k}${lanyard:a}${bao:p#k}", "A=vault:bad", "C=lanyard:b", "D"}, Syntaxes())
	if err != nil || len(got) != 2 || got[0].Text != "vault:p#k" || got[1].Text != "bao:p#k" {
		t.Errorf("%v, %v", got, err)
	}
	got, err = Find([]string{"A=vault:bad", "B=vault:p#k", "C=azure:keyvault:"}, Syntaxes())
	if err == nil || !strings.Contains(err.Error(), "A: ") || !strings.Contains(err.Error(), "C: ") || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	for _, one := range []string{"${vault:p#k%d}", "${lanyard:o%d}"} {
		many := strings.Builder{}
		for i := range maxReferences + 1 {
			fmt.Fprintf(&many, one, i)
		}
		if got, err = Find([]string{"A=" + many.String()}, Syntaxes()); !errors.Is(err, ErrTooMany) || !strings.Contains(err.Error(), "1001 references; the maximum is 1000") || got != nil {
			t.Errorf("%s: %d, %v", one, len(got), err)
		}
	}
}

func TestValue(t *testing.T) {
	secret := Reference{Product: SecretsManager}
	for text, want := range map[string]string{
		`{"password":"planted"}`: `"planted"`, `{"a":1}`: "1", `{"a":{"b":[true]}}`: `{"b":[true]}`, `{"a":"<"}`: `"\u003c"`,
		`{"a":1,"b":2}`: `{"a":1,"b":2}`, "{}": "{}", "plain": "plain", "123": "123", `"x"`: `"x"`, "null": "null", "": "", "[1]": "[1]", "{\"a\":1}\n": "1",
	} {
		if got := secret.Value([]byte(text)); string(got) != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if got := (Reference{Product: Vault}).Value([]byte(`{"a":1}`)); string(got) != `{"a":1}` {
		t.Errorf("Vault: %s", got)
	}
}

func TestTranslate(t *testing.T) {
	for text, want := range map[string]string{
		"${.a}":                         "{{.a}}",
		"${ .a | urlquery }":            "{{ .a | urlquery }}",
		"x${.a}y${.b}z":                 "x{{.a}}y{{.b}}z",
		"${- .a -}":                     "{{- .a -}}",
		"${ index . `a}b` }":            "{{ index . `a}b` }}",
		`${ index . "a}\"}b" }`:         `{{ index . "a}\"}b" }}`,
		"${ '}' }":                      "{{ '}' }}",
		"{{.a}}${.b}":                   `{{ "{{" }}.a}}{{.b}}`,
		"${if .a}${.b}${else}c${end}":   "{{if .a}}{{.b}}{{else}}c{{end}}",
		"${range .a}${.}${end}":         "{{range .a}}{{.}}{{end}}",
		`{"auths":{"x":"${.a | quote}"`: `{"auths":{"x":"{{.a | quote}}"`,
	} {
		if got, err := translate(text); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"vault:secret/data/db#password", "${vault:p#${.a | urlquery}}", ">>vault:p#k#{\"a\":1}", "vault:v1:abc", "bao:p#k", "arn:aws:ssm:r:1:parameter/a",
		"gcp:secretmanager:projects/p/secrets/s", "azure:keyvault:a/b", "a@azurekeyvault?b", "lanyard:a", "x${lanyard:a}${vault:b#c}}", "${>>vault:a#${`}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse("V", text, Syntaxes())
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' && r != '\n' }) {
				t.Errorf("%q: control characters in %q", text, err)
			}
			return
		}
		if back, _ := got.Resolve(math.MaxInt, func(r Reference) string {
			if strings.HasPrefix(text, "${") || len(got.references) > 1 || text != r.Text {
				return "${" + r.Text + "}"
			}
			return r.Text
		}); back != text {
			t.Errorf("%q comes back as %q", text, back)
		}
		if len(got.references) == 0 {
			return
		}
		parameters, err := Class(got.references, Options{})
		if err != nil {
			return
		}
		classOf(t, parameters)
	})
}

package reference

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/lanyardhq/lanyard/internal/message"
)

// within are references within a text. Where those of bank-vaults end is decided by its
// expression, which lets one brace stand before the last, for templates.
var within = regexp.MustCompile(`\$\{(lanyard:[^}]*|>{0,2}(?:vault|bao):.*?#*\}?)\}`)

var (
	// ciphertext is one of Vault's transit engine.
	// https://github.com/bank-vaults/vault-sdk/blob/main/vault/transit.go
	ciphertext = regexp.MustCompile(`^vault:v[0-9]+:.+$`)
	// secretObject is a reference of akv2k8s, which is never a part of a text.
	secretObject = regexp.MustCompile(`^([a-zA-Z0-9](?:[a-zA-Z0-9-]{0,239}[a-zA-Z0-9])?)@azurekeyvault(?:\?([a-zA-Z_][a-zA-Z0-9_.]*)?)?$`)
	// versionNumber is a version of Vault's KV version 2.
	versionNumber = regexp.MustCompile(`^[1-9][0-9]{0,9}$`)
	// googleSecret is a secret of Google, global or regional, with or without a version.
	googleSecret = regexp.MustCompile(`^(projects/[^/]+(?:/locations/[^/]+)?/secrets/[^/]+)(?:/versions/([^/]+))?$`)
)

// maxReferences bounds the references of one environment, and so what is read for it.
const maxReferences = 1000

// ErrTooMany is that an environment has more references than are read for one.
var ErrTooMany = errors.New("too many references")

// Parse finds the references in the text of a variable, in the syntaxes that are chosen.
// The error has all that is wrong with them, and names the variable.
func Parse(variable, text string, syntaxes []string) (Text, error) {
	p := parser{variable: variable, syntaxes: syntaxes}
	switch {
	case strings.HasPrefix(text, "lanyard:"):
		p.whole(text)
	case p.forVault(text):
	case p.chosen(AKV2K8s) && secretObject.MatchString(text):
		p.whole(text)
	case p.chosen(SecretInit) && slices.ContainsFunc(cloudPrefixes, func(prefix string) bool { return strings.HasPrefix(text, prefix) }):
		p.whole(text)
	case strings.Contains(text, "${"):
		p.inline(text)
		if len(p.text.references) > 0 || len(p.problems) > 0 {
			break
		}
		fallthrough
	default:
		if p.vaultReference(text) {
			p.whole(text)
		}
	}
	if len(p.problems) > 0 {
		return Text{}, errors.Join(p.problems...)
	}
	if len(p.text.references) == 0 {
		return Text{between: []string{text}}, nil
	}
	return p.text, nil
}

// parser reads the text of one variable.
type parser struct {
	variable string
	syntaxes []string
	text     Text
	problems []error
}

func (p *parser) chosen(syntax string) bool { return slices.Contains(p.syntaxes, syntax) }

func (p *parser) wrong(format string, args ...any) {
	p.problems = append(p.problems, fmt.Errorf("%s: %s", p.variable, fmt.Sprintf(format, args...)))
}

// cloudPrefixes begin the references of secret-init to clouds.
var cloudPrefixes = []string{"arn:aws:secretsmanager:", "arn:aws:ssm:", "gcp:secretmanager:", "azure:keyvault:"}

// forVault refuses the variables by which the originals are told to do what is not done
// here, and says whether the variable is one of them.
func (p *parser) forVault(text string) bool {
	if text == "" || !p.chosen(BankVaults) && !p.chosen(SecretInit) {
		return false
	}
	switch p.variable {
	case "VAULT_ENV_FROM_PATH", "VAULT_FROM_PATH", "BAO_FROM_PATH":
		p.wrong("variables are not made of all keys of a path, whose names who writes the secret would choose; name each, as in NAME=vault:PATH#KEY, or give a class with expand and --all --prefix")
	case "VAULT_TOKEN", "BAO_TOKEN":
		if text != "vault:login" && text != "bao:login" {
			return false
		}
		p.wrong("the token of a login is given to nobody; let the application log in to Vault itself")
	default:
		return false
	}
	return true
}

// vaultReference says that a text is one of bank-vaults.
func (p *parser) vaultReference(text string) bool {
	text = strings.TrimPrefix(text, ">>")
	return (p.chosen(BankVaults) || p.chosen(SecretInit)) && strings.HasPrefix(text, "vault:") || p.chosen(SecretInit) && strings.HasPrefix(text, "bao:")
}

// whole takes all of the text for one reference.
func (p *parser) whole(text string) {
	if r, ok := p.reference(text); ok {
		p.text = Text{between: []string{"", ""}, references: []Reference{r}}
	}
}

// inline finds the references within the text.
func (p *parser) inline(text string) {
	last := 0
	for _, at := range within.FindAllStringSubmatchIndex(text, -1) {
		one := text[at[2]:at[3]]
		if !strings.HasPrefix(one, "lanyard:") && !p.vaultReference(strings.TrimLeft(one, ">")) {
			continue
		}
		if r, ok := p.reference(one); ok {
			p.text.between = append(p.text.between, text[last:at[0]])
			p.text.references = append(p.text.references, r)
		}
		last = at[1]
	}
	if last > 0 {
		p.text.between = append(p.text.between, text[last:])
	}
}

// reference reads one reference of a syntax that is known to be its own.
func (p *parser) reference(text string) (Reference, bool) {
	before := len(p.problems)
	r := Reference{Text: text, Variable: p.variable}
	switch rest := ""; {
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(c rune) bool { return unicode.IsControl(c) && c != '\n' && c != '\t' }):
		p.wrong("the reference has characters that no name has; write it as plain text")
	case cut(text, "lanyard:", &rest):
		r.Product, r.Name = Lanyard, rest
		if rest == "" {
			p.wrong("names no object; write lanyard:OBJECT")
		}
	case cut(text, "arn:aws:secretsmanager:", &rest):
		r.Product, r.Name = SecretsManager, text
		p.arn(text)
	case cut(text, "arn:aws:ssm:", &rest):
		r.Product, r.Name = ParameterStore, text
		p.arn(text)
	case cut(text, "gcp:secretmanager:", &rest):
		p.google(&r, rest)
	case cut(text, "azure:keyvault:", &rest):
		p.azure(&r, rest)
	case secretObject.MatchString(text):
		found := secretObject.FindStringSubmatch(text)
		r.Product, r.Name, r.Key = AzureKeyVaultSecret, found[1], found[2]
	default:
		p.vault(&r)
	}
	return r, len(p.problems) == before
}

func cut(text, prefix string, rest *string) bool {
	var found bool
	*rest, found = strings.CutPrefix(text, prefix)
	return found
}

// arn refuses what has no region, which is asked.
func (p *parser) arn(text string) {
	if parts := strings.SplitN(text, ":", 6); len(parts) < 6 || parts[3] == "" || parts[5] == "" {
		p.wrong("%s is no whole ARN; write arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME or arn:aws:ssm:REGION:ACCOUNT:parameter/NAME", message.Printable(text))
	}
}

// google reads the name of a version. The original takes the latest where a version is
// misspelt.
func (p *parser) google(r *Reference, name string) {
	found := googleSecret.FindStringSubmatch(name)
	if found == nil {
		p.wrong("%s names no secret; write gcp:secretmanager:projects/PROJECT/secrets/SECRET, and /versions/NUMBER after it for one version", message.Printable(r.Text))
		return
	}
	r.Product, r.Name, r.Version = GoogleSecretManager, found[1], found[2]
	if r.Version == "latest" {
		r.Version = ""
	}
}

func (p *parser) azure(r *Reference, name string) {
	r.Product = AzureKeyVault
	r.Name, r.Version, _ = strings.Cut(name, "/")
	if r.Name == "" || strings.Contains(r.Version, "/") {
		p.wrong("%s names no secret; write azure:keyvault:NAME, and /VERSION after it for one version", message.Printable(r.Text))
	}
}

// vault reads [>>]vault:PATH#KEY[#VERSION or data], or the same with bao:.
func (p *parser) vault(r *Reference) {
	rest, writes := strings.CutPrefix(r.Text, ">>")
	if strings.HasPrefix(rest, ">") {
		p.wrong("%s: write vault: to read, or >>vault: to write and take the answer", message.Printable(r.Text))
		return
	}
	r.Product = Vault
	if bao, is := strings.CutPrefix(rest, "bao:"); is {
		r.Product, rest = OpenBao, bao
	} else {
		if ciphertext.MatchString(rest) {
			r.Ciphertext, r.Name = true, rest
			return
		}
		rest = strings.TrimPrefix(rest, "vault:")
	}
	parts := strings.SplitN(rest, "#", 3)
	r.Name = strings.Join(strings.FieldsFunc(parts[0], func(c rune) bool { return c == '/' }), "/")
	if len(parts) < 2 || parts[1] == "" || r.Name == "" {
		p.wrong("%s names no key; write %sPATH#KEY, where PATH is that of the API, such as secret/data/prod/db", message.Printable(r.Text), prefixes[r.Product])
		return
	}
	r.Key = parts[1]
	switch {
	case !isTemplate(r.Key) && strings.Contains(r.Key, left):
		p.wrong("%s: the template has a ${ without a closing }; within a text a template ends after its first }}, or else at its first }", message.Printable(r.Text))
	case isTemplate(r.Key):
		if _, err := translate(r.Key); err != nil {
			p.wrong("the template after %s%s#: %v", prefixes[r.Product], message.Printable(r.Name), err)
		}
	}
	third := strings.Join(parts[2:], "")
	switch {
	case writes && third == "":
		r.Body = "{}"
	case writes:
		var body map[string]any
		if json.Unmarshal([]byte(third), &body) != nil {
			p.wrong(">>%s%s: what is written must be an object of JSON, as in >>%sPATH#KEY#{\"name\":\"value\"}", prefixes[r.Product], message.Printable(r.Name), prefixes[r.Product])
			return
		}
		r.Body = third
	case slices.Contains([]string{"", "0", "-1"}, third): // the current one
	case versionNumber.MatchString(third):
		r.Version = third
	default:
		p.wrong("%s: the version must be a number", message.Printable(r.Text))
	}
}

// Find finds the references of an environment, which has NAME=VALUE texts: all but those to
// objects of a class, each once, in the order of the environment. Of a name that is there
// twice the first counts. The error has everything that is wrong with references; those
// that are returned beside it are right. It is ErrTooMany if there are too many, of which
// those to objects count too.
func Find(environ, syntaxes []string) ([]Reference, error) {
	var found []Reference
	var problems []error
	variables, texts := map[string]bool{}, map[string]bool{}
	for _, pair := range environ {
		name, text, _ := strings.Cut(pair, "=")
		if variables[name] {
			continue
		}
		variables[name] = true
		parsed, err := Parse(name, text, syntaxes)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		for _, r := range parsed.references {
			if r.Product != Lanyard && !texts[r.Text] {
				found = append(found, r)
			}
			texts[r.Text] = true
		}
	}
	if len(texts) > maxReferences {
		problems = append(problems, fmt.Errorf("%w: the environment has %d references; the maximum is %d", ErrTooMany, len(texts), maxReferences))
		found = nil
	}
	return found, errors.Join(problems...)
}

// compact is JSON that every reader of YAML takes, too.
func compact(value any) (string, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "", err
	}
	var out strings.Builder
	for _, c := range strings.TrimSuffix(b.String(), "\n") {
		// YAML takes these only escaped: https://yaml.org/spec/1.2.2/#51-character-set
		if c >= 0x7f && c <= 0x9f || c == 0xfeff || c == 0xfffe || c == 0xffff {
			fmt.Fprintf(&out, `\u%04x`, c)
			continue
		}
		out.WriteRune(c)
	}
	return out.String(), nil
}

package cmd

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// redactor takes out of texts what could be a secret. What it took out of one text, where
// its place says that it may be one, it takes out of all others too.
type redactor struct {
	// taken are the values that were taken out, and plain those that are names of
	// objects, which stay.
	taken map[string]bool
	plain map[string]bool
	// replace takes out what is in taken; nil while it is not made.
	replace *strings.Replacer
}

func newRedactor() *redactor {
	return &redactor{taken: map[string]bool{}, plain: map[string]bool{}}
}

// minTaken is the length from which a value that was taken out of one place is taken out
// of all texts. Shorter ones are words that stand everywhere.
const minTaken = 8

// take returns what stands in place of a value.
func (r *redactor) take(value string) string {
	if value == "" {
		return ""
	}
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); len(line) >= minTaken && !r.plain[line] {
			r.taken[line] = true
			r.replace = nil
		}
	}
	return secret.Redacted
}

// keep notes the name of an object, which stays though it is a value elsewhere.
func (r *redactor) keep(name string) { r.plain[name] = true }

// The forms of what is a secret wherever it stands.
var (
	secretForms = []*regexp.Regexp{
		regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|$)`),
		regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)*`),   // JWT, JWE
		regexp.MustCompile(`\b(hv[sbr]|[sbr])\.[A-Za-z0-9_-]{20,}`),                       // Vault
		regexp.MustCompile(`\b(AKIA|ASIA)[A-Z0-9]{16}\b`),                                 // AWS
		regexp.MustCompile(`\b(ya29\.[A-Za-z0-9_.-]+|AIza[A-Za-z0-9_-]{30,})`),            // Google
		regexp.MustCompile(`\b(gh[pousr]_|github_pat_|glpat-|xox[abprs]-)[A-Za-z0-9_-]+`), // repositories, chats
		regexp.MustCompile(`\blanyard\.v1\.[A-Za-z0-9_-]+`),                               // sealed
		regexp.MustCompile(`\bvault:v\d+:[A-Za-z0-9+/=]+`),                                // Transit
	}
	// What follows a name that says so, and credentials of headers and URLs. The first group
	// stays.
	secretPlaces = []*regexp.Regexp{
		regexp.MustCompile(`(?i)((?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|client[_-]?secret|credential|sas)s?\\?["']?\s*[=:]\s*\\?["']?)[^\s"',;&\\]+`),
		regexp.MustCompile(`(?i)((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{4,}`),
		regexp.MustCompile(`(://)[^/\s@"']+@`),
		regexp.MustCompile(`([?&][A-Za-z0-9_.-]+=)[^\s&"']+`),
	}
	// Long runs, as keys and ciphertexts have.
	longRun = regexp.MustCompile(`(?:sha256:)?[A-Za-z0-9+/_=-]{32,}`)
)

// text takes out of a text what was taken out elsewhere, and what has the form of a
// secret.
func (r *redactor) text(text string) string {
	for _, form := range secretForms {
		text = form.ReplaceAllString(text, secret.Redacted)
	}
	for _, place := range secretPlaces {
		text = place.ReplaceAllString(text, "${1}"+secret.Redacted)
	}
	text = longRun.ReplaceAllStringFunc(text, func(run string) string {
		if strings.HasPrefix(run, "sha256:") || r.plain[run] || !isDense(run) {
			return run
		}
		return secret.Redacted
	})
	if r.replace == nil {
		// The longest first: one may be part of another.
		var pairs []string
		all := make([]string, 0, len(r.taken))
		for value := range r.taken {
			all = append(all, value)
		}
		slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
		for _, value := range all {
			pairs = append(pairs, value, secret.Redacted)
		}
		r.replace = strings.NewReplacer(pairs...)
	}
	return r.replace.Replace(text)
}

// isDense tells keys from words and paths: what has letters of both cases and digits,
// and long hexadecimal numbers.
func isDense(run string) bool {
	var upper, lower, digit, other bool
	for _, c := range run {
		switch {
		case c >= 'A' && c <= 'Z':
			upper = true
		case c >= '0' && c <= '9':
			digit = true
		case c >= 'a' && c <= 'f':
		case c >= 'a' && c <= 'z':
			lower = true
		default:
			other = true
		}
	}
	return upper && digit || digit && !lower && !other
}

// plainSettings are the fields of configurations and classes whose values say where and
// how, and hold no secret. A value of any other field is taken out.
var plainSettings = func() map[string]bool {
	plain := map[string]bool{}
	for _, field := range config.Fields() {
		parts := strings.Split(field.Path, ".")
		plain[parts[len(parts)-1]] = true
	}
	for name := range strings.FieldsSeq(`
		type base address namespace timeout retries serverName insecureSkipVerify method mount role certRole audience tokenAudience
		region failoverRegions failoverRegion failoverCheck endpoint stsEndpoint agentEndpoint fips dualStack addressType sessionName chain
		vault hsm cloud dnsSuffix authorityHost resource apiVersion tenantID tenantId clientID clientId identityID identityBinding
		project location regionalEndpoint iamEndpoint oauthEndpoint metadataEndpoint serviceAccount annotations refuseKeys
		roleIDCredential secretIDCredential clientIDCredential clientSecretCredential keyCredential
		root keyRing caCertFile caCertDir clientCertFile clientKeyFile secretIDFile jwtFile tokenFile headersFile keyFile environmentFile
		path name store key version property encoding mode optional refresh expand service keys
		objectName objectType objectAlias objectVersion objectVersionLabel objectFormat objectEncoding objectVersionHistory fileName filePermission
		secretPath secretKey secretName resourceName jmesPath usePodIdentity useVMManagedIdentity userAssignedIdentityID keyvaultName cloudName
		roleName vaultAddress vaultNamespace vaultAuthMountPath vaultRoleName vaultKubernetesMountPath vaultCACertPath vaultSkipTLSVerify
		pathTranslation preferredAddressType fipsEndpoint auth`) {
		plain[name] = true
	}
	return plain
}()

// yamlInside are the fields whose text is YAML again.
var yamlInside = []string{"stores", "objects", "secrets", "array", "jmesPath"}

// yaml takes out of a YAML text the values of fields that are not known to be plain, and
// all comments. A text that is no YAML is taken out as a whole.
func (r *redactor) yaml(text string) string {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return r.take(text)
	}
	r.node(&document, "")
	out, err := yaml.Marshal(&document)
	if err != nil {
		return r.take(text)
	}
	return string(out)
}

// node redacts a node that stands under a field.
func (r *redactor) node(node *yaml.Node, field string) {
	node.HeadComment, node.LineComment, node.FootComment = "", "", ""
	switch node.Kind {
	case yaml.DocumentNode, yaml.SequenceNode:
		for _, item := range node.Content {
			r.node(item, field)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			node.Content[i].HeadComment, node.Content[i].LineComment, node.Content[i].FootComment = "", "", ""
			r.node(node.Content[i+1], node.Content[i].Value)
		}
	case yaml.AliasNode:
		node.Kind, node.Alias = yaml.ScalarNode, nil
		node.SetString(secret.Redacted)
	case yaml.ScalarNode:
		r.scalar(node, field)
	}
}

func (r *redactor) scalar(node *yaml.Node, field string) {
	switch {
	case node.Tag == "!!null" || node.Tag == "!!bool":
	case slices.Contains(yamlInside, field) && strings.ContainsAny(node.Value, ":\n"):
		node.SetString(r.yaml(node.Value))
	case !plainSettings[field]:
		node.SetString(r.take(node.Value))
	default:
		if plain := plainAddress(node.Value); plain != node.Value {
			r.take(node.Value)
			node.SetString(plain)
		}
	}
}

// plainAddress is a URL without a user, a password and a query.
func plainAddress(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	parsed, err := url.Parse(text)
	if err != nil {
		return secret.Redacted
	}
	if parsed.User == nil && parsed.RawQuery == "" && parsed.Fragment == "" {
		return text
	}
	parsed.User, parsed.RawQuery, parsed.Fragment = nil, "", ""
	return parsed.String()
}

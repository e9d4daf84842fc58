package vault

import (
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/address"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

// The bounds and defaults of settings. See docs/stores/vault.md.
const (
	defaultTimeout  = 10 * time.Second
	defaultRetries  = 2
	maxRetries      = 5
	defaultAudience = "vault"

	// MaxNameBytes bounds a path, a role and the like.
	MaxNameBytes = 1024
)

// Settings are a connection as configured. They are decoded from a map of
// fields, into the value that DefaultSettings returns, and then checked.
type Settings struct {
	Address   string        `yaml:"address"`
	Namespace string        `yaml:"namespace"`
	TLS       remote.TLS    `yaml:"tls"`
	Auth      AuthSettings  `yaml:"auth"`
	Timeout   time.Duration `yaml:"timeout"` // of one try of one call
	Retries   int           `yaml:"retries"` // of one call, after the first try
	// HeadersFile is a file of the node with further headers of every call, such as a
	// gateway before Vault demands. It is read at each call.
	HeadersFile string `yaml:"headersFile"`

	// Network is the way to the address.
	Network remote.Network `yaml:"-"`

	byOperator bool // they stand in the operator's configuration
}

// DefaultSettings are the settings before anything is decoded into them.
func DefaultSettings() Settings {
	return Settings{Timeout: defaultTimeout, Retries: defaultRetries, Auth: AuthSettings{Audience: defaultAudience}}
}

// AsPerson lets the settings log in with the token of the person, who must be that
// of the Pool's Options, whatever they say of a login. It comes before Check.
//
// The settings may lie in a repository where others write too. So they may say
// which Vault they are of, and not to which the token goes: that is the person's
// to say, and so is whom to trust there.
func (s *Settings) AsPerson(person *Person, problems *remote.Problems) {
	s.Auth = AuthSettings{Method: methodPerson, person: true}
	if s.TLS != (remote.TLS{}) {
		problems.Add("tls", "has no place beside your own token; say whom to trust with VAULT_CACERT")
	}
	if s.HeadersFile != "" {
		problems.Add("headersFile", "has no place beside your own token")
	}
	if s.Address == "" {
		s.Address = person.Address
	}
	if !address.SameURL(s.Address, person.Address) {
		problems.Add("address", "is not the Vault that your token is for; if you trust it, set VAULT_ADDR to it")
	}
	if s.Namespace == "" {
		s.Namespace = person.Namespace
	}
	s.TLS = remote.TLS{CACertFile: person.CACertFile}
}

// Check completes the settings and notes all that is wrong with them.
// byOperator is true if they stand in the operator's configuration; only then
// may they name files of the node.
func (s *Settings) Check(byOperator bool, problems *remote.Problems) {
	s.byOperator = byOperator
	s.checkAddress(problems)
	s.checkHeaders(byOperator, problems)
	s.TLS.Check(byOperator, true, problems.Add)
	if s.TLS != (remote.TLS{}) && strings.HasPrefix(s.Address, "http://") {
		problems.Add("tls", "has no effect with an address of http://; use https://")
	}
	s.Auth.check(s.TLS, byOperator, problems)
	if !byOperator {
		s.refuseNodeFiles(problems)
	}
	if strings.ContainsFunc(s.Namespace, NotPathText) || strings.HasPrefix(s.Namespace, "/") {
		problems.Add("namespace", "must be a path such as team-a or org/team-a, without a leading slash")
	}
	problems.CheckTries(s.Timeout, time.Second, s.Retries, maxRetries)
}

func (s *Settings) checkAddress(problems *remote.Problems) {
	const example = "https://vault.example.com:8200"
	if s.Address == "" {
		problems.Add("address", "is missing; must be the server's URL such as %s", example)
		return
	}
	if checked := problems.CheckBaseURL("address", s.Address, example, "https", "http"); checked != "" {
		if strings.HasSuffix(checked, "/v1") {
			problems.Add("address", "must end before /v1, which every call adds; such as %s", example)
		}
		s.Address = checked
		s.Network.Rule.Check("address", s.Address, problems.Add)
	}
}

// refuseNodeFiles reports the settings that read the node's files, which only
// the operator may name.
func (s *Settings) refuseNodeFiles(problems *remote.Problems) {
	for _, setting := range []struct{ field, value, instead string }{
		{"auth.secretIDFile", s.Auth.SecretIDFile, "; use auth.secretIDCredential and nodePublishSecretRef"},
		{"auth.jwtFile", s.Auth.JWTFile, "; leave it out, and the pod's own token logs in"},
		{"auth.tokenFile", s.Auth.TokenFile, "; use the kubernetes or jwt method"},
	} {
		if setting.value != "" {
			problems.Add(setting.field, "reads a file of the node, so only the operator's configuration file may give it%s", setting.instead)
		}
	}
}

// NotPathText is true of what neither mounts, namespaces nor audiences hold.
func NotPathText(r rune) bool {
	return r <= ' ' || r == 0x7f || r == '?' || r == '#' || r == '\\' || r == '%' || r == 0xfffd || r >= 0x80 && r < 0xa0
}

// CleanPath is true for a path that means the same to everyone on its way.
func CleanPath(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}

package vault

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// The bounds and defaults of settings. See docs/stores/vault.md.
const (
	defaultTimeout  = 10 * time.Second
	mostTimeout     = time.Minute
	defaultRetries  = 2
	mostRetries     = 5
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

	// Network is the way to the address.
	Network remote.Network `yaml:"-"`

	byOperator bool // they stand in the operator's configuration
}

// Problems collects what is wrong with settings or references.
type Problems strict.Problems

// Add notes what is wrong with a field.
func (p *Problems) Add(field, format string, args ...any) {
	*p = append(*p, strict.Problem{Field: field, Text: fmt.Sprintf(format, args...)})
}

// Err is nil if there are none, and else wraps fault.ErrInvalid.
func (p *Problems) Err() error {
	if len(*p) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", fault.ErrInvalid, strict.Problems(*p))
}

// Decode reads fields into a struct and returns all that cannot be read.
func Decode(fields map[string]any, into any) Problems {
	return Problems(strict.DecodeMap(fields, into))
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
func (s *Settings) AsPerson(person *Person, problems *Problems) {
	s.Auth = AuthSettings{Method: methodPerson, person: true}
	if s.TLS != (remote.TLS{}) {
		problems.Add("tls", "has no place beside your own token; say whom to trust with VAULT_CACERT")
	}
	if s.Address == "" {
		s.Address = person.Address
	}
	if strings.TrimSuffix(s.Address, "/") != strings.TrimSuffix(person.Address, "/") {
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
func (s *Settings) Check(byOperator bool, problems *Problems) {
	s.byOperator = byOperator
	s.checkAddress(problems)
	s.TLS.Check(byOperator, true, problems.Add)
	if s.TLS != (remote.TLS{}) && strings.HasPrefix(s.Address, "http://") {
		problems.Add("tls", "has no effect with an address of http://; use https://")
	}
	s.Auth.check(s.TLS, problems)
	if !byOperator {
		s.refuseNodeFiles(problems)
	}
	if strings.ContainsFunc(s.Namespace, NotPathText) || strings.HasPrefix(s.Namespace, "/") {
		problems.Add("namespace", "must be a path such as team-a or org/team-a, without a leading slash")
	}
	if s.Timeout < time.Second || s.Timeout > mostTimeout {
		problems.Add("timeout", "must be between 1s and %s", mostTimeout)
	}
	if s.Retries < 0 || s.Retries > mostRetries {
		problems.Add("retries", "must be between 0 and %d", mostRetries)
	}
}

func (s *Settings) checkAddress(problems *Problems) {
	const want = "must be the server's URL such as https://vault.example.com:8200"
	if s.Address == "" {
		problems.Add("address", "is missing; %s", want)
		return
	}
	// The parser's own error repeats the address, which may hold a password.
	parsed, err := url.Parse(s.Address)
	switch {
	case err != nil:
		problems.Add("address", "is not a URL; %s", want)
	case parsed.User != nil:
		problems.Add("address", "must not hold a user name or password; how to log in is said in auth")
	case parsed.Scheme != "https" && parsed.Scheme != "http":
		problems.Add("address", "must begin with https:// (or http:// for development); %s", want)
	case parsed.Hostname() == "":
		problems.Add("address", "names no host; %s", want)
	case strings.TrimSuffix(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "":
		problems.Add("address", "must not go beyond the port: no path, no ?, no #; %s", want)
	default:
		s.Address = parsed.Scheme + "://" + parsed.Host
		s.Network.Rule.Check("address", s.Address, problems.Add)
	}
}

// refuseNodeFiles reports the settings that read the node's files, which only
// the operator may name.
func (s *Settings) refuseNodeFiles(problems *Problems) {
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

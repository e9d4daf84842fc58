package azure

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/strict"
)

// The bounds and defaults of settings.
const (
	defaultTimeout = 10 * time.Second
	mostTimeout    = time.Minute
	defaultRetries = 3
	mostRetries    = 8
	defaultCloud   = "public"
	maxTextBytes   = 1024
)

// settings are the connection as configured.
type settings struct {
	// One of these says which vault or HSM: a name below DNSSuffix, or an
	// address.
	Vault   string `yaml:"vault"`
	HSM     string `yaml:"hsm"`
	Address string `yaml:"address"`

	// Cloud gives DNSSuffix and AuthorityHost their defaults.
	Cloud         string `yaml:"cloud"`
	DNSSuffix     string `yaml:"dnsSuffix"`
	AuthorityHost string `yaml:"authorityHost"`
	// EnvironmentFile describes a cloud that Cloud has no name for.
	EnvironmentFile string `yaml:"environmentFile"`
	// Resource is what tokens are for; empty takes what the vault's challenge
	// says, if the vault's host lies below it.
	Resource string `yaml:"resource"`
	// Endpoint is the host and port that is dialled instead of the address's.
	Endpoint string `yaml:"endpoint"`
	// APIVersion is for clouds that lag behind the client's own.
	APIVersion string `yaml:"apiVersion"`

	TenantID string        `yaml:"tenantID"`
	Auth     authSettings  `yaml:"auth"`
	TLS      tlsSettings   `yaml:"tls"`
	Timeout  time.Duration `yaml:"timeout"`
	Retries  int           `yaml:"retries"`

	byOperator bool // the operator's configuration names the store
}

type tlsSettings struct {
	CACert     string `yaml:"caCert"`
	CACertFile string `yaml:"caCertFile"`
}

// problemList collects what is wrong with settings or references.
type problemList strict.Problems

func (p *problemList) add(field, format string, args ...any) {
	*p = append(*p, strict.Problem{Field: field, Text: fmt.Sprintf(format, args...)})
}

func (p *problemList) err() error {
	if len(*p) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", store.ErrInvalid, strict.Problems(*p))
}

// parseSettings returns the settings with their defaults, and all that is
// wrong with them.
func parseSettings(given store.Settings) (*settings, problemList) {
	config := &settings{
		byOperator: given.ByOperator, Cloud: defaultCloud, Timeout: defaultTimeout, Retries: defaultRetries,
		Auth: authSettings{Audience: defaultAudience},
	}
	var problems problemList
	if err := strict.DecodeMap(given.Fields, config); err != nil {
		var found strict.Problems
		if !errors.As(err, &found) {
			return nil, problemList{{Text: "the settings cannot be read"}}
		}
		return nil, problemList(found)
	}
	if config.EnvironmentFile != "" {
		if config.fillEnvironment(&problems); len(problems) > 0 {
			return config, problems // the rest hangs on what the file says
		}
	}
	config.fillCloud(&problems)
	config.checkWhich(&problems)
	config.AuthorityHost = checkURL("authorityHost", config.AuthorityHost, "https://login.microsoftonline.com", &problems)
	if config.Resource != "" {
		config.Resource = checkURL("resource", config.Resource, "https://vault.azure.net", &problems)
	}
	if _, _, err := net.SplitHostPort(config.Endpoint); config.Endpoint != "" && err != nil {
		problems.add("endpoint", "must be a host and a port, such as 10.0.0.4:443")
	}
	if config.APIVersion != "" && !apiVersion.MatchString(config.APIVersion) {
		problems.add("apiVersion", "must be a version of the Key Vault API, such as 7.4 or 2025-07-01")
	}
	if config.TenantID != "" && !tenant.MatchString(config.TenantID) {
		problems.add("tenantID", "must be the tenant's ID or one of its domains: letters, digits, dots and dashes")
	}
	config.Auth.check(config.byOperator, &problems)
	config.TLS.check(config.byOperator, &problems)
	if config.Timeout < time.Second || config.Timeout > mostTimeout {
		problems.add("timeout", "must be between 1s and %s", mostTimeout)
	}
	if config.Retries < 0 || config.Retries > mostRetries {
		problems.add("retries", "must be between 0 and %d", mostRetries)
	}
	return config, problems
}

var (
	// https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftkeyvault
	vaultName  = regexp.MustCompile(`^[a-zA-Z](?:-?[a-zA-Z0-9]){2,23}$`)
	dnsName    = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?$`)
	tenant     = regexp.MustCompile(`^[a-zA-Z0-9.-]{1,253}$`)
	apiVersion = regexp.MustCompile(`^[0-9]{1,4}(?:\.[0-9]|-[0-9]{2}-[0-9]{2})(?:-preview(?:\.[0-9])?)?$`)
)

// fillCloud sets what the cloud says and nobody else does.
func (s *settings) fillCloud(problems *problemList) {
	c, known := cloudNamed(s.Cloud)
	if strings.EqualFold(s.Cloud, customCloud) && s.DNSSuffix != "" && s.AuthorityHost != "" {
		return
	}
	if !known {
		names := make([]string, 0, 2*len(clouds()))
		for _, c := range clouds() {
			names = append(names, c.name)
		}
		problems.add("cloud", "%s; for any other cloud leave it out, and give dnsSuffix and authorityHost", strict.Unknown("cloud", printable(s.Cloud), names))
		return
	}
	if s.AuthorityHost == "" {
		s.AuthorityHost = c.authority
	}
	if s.DNSSuffix == "" {
		s.DNSSuffix = c.vaults
		if s.HSM != "" {
			s.DNSSuffix = c.hsms
		}
	}
}

// checkWhich makes the address of whichever way it was given.
func (s *settings) checkWhich(problems *problemList) {
	given := 0
	for _, text := range []string{s.Vault, s.HSM, s.Address} {
		if text != "" {
			given++
		}
	}
	if given != 1 {
		problems.add("vault", "give the vault's name in vault, or a Managed HSM's in hsm, or a whole https:// address in address: one of the three")
		return
	}
	if s.Address != "" {
		s.Address = checkURL("address", s.Address, "https://my-vault.vault.azure.net", problems)
		return
	}
	field, name := "vault", s.Vault
	if s.HSM != "" {
		field, name = "hsm", s.HSM
	}
	if !vaultName.MatchString(name) || len(name) > 24 {
		problems.add(field, "must be the name alone, 3 to 24 letters, digits and single dashes, beginning with a letter; a whole URL goes into address")
	}
	if !dnsName.MatchString(s.DNSSuffix) {
		problems.add("dnsSuffix", "must be a domain such as vault.azure.net")
	}
	s.Address = "https://" + strings.ToLower(name) + "." + strings.ToLower(s.DNSSuffix)
}

// checkURL returns an https URL without anything after its port.
func checkURL(field, text, example string, problems *problemList) string {
	// The parser's own error repeats the text, which may hold a password.
	parsed, err := url.Parse(text)
	switch {
	case err != nil:
		problems.add(field, "is not a URL; must be one such as %s", example)
	case parsed.User != nil:
		problems.add(field, "must not hold a user name or password; how to log in is said in auth")
	case parsed.Scheme != "https":
		problems.add(field, "must begin with https://, such as %s: tokens are not sent in plain text", example)
	case parsed.Hostname() == "":
		problems.add(field, "names no host; must be a URL such as %s", example)
	case strings.TrimSuffix(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "":
		problems.add(field, "must not go beyond the port: no path, no ?, no #; such as %s", example)
	default:
		return "https://" + strings.ToLower(parsed.Host)
	}
	return ""
}

func (t *tlsSettings) check(byOperator bool, problems *problemList) {
	switch {
	case t.CACert != "" && t.CACertFile != "":
		problems.add("tls.caCert", "give one of caCert and caCertFile")
	case t.CACertFile != "" && !byOperator:
		problems.add("tls.caCertFile", "reads a file of the node, so only the operator's configuration file may give it; put the certificate itself into tls.caCert")
	case t.CACertFile != "" && !filepath.IsAbs(t.CACertFile):
		problems.add("tls.caCertFile", "must be an absolute path on the node")
	}
}

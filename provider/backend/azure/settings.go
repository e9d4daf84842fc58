package azure

import (
	"cmp"
	"net"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

// The bounds and defaults of settings.
const (
	defaultTimeout = 10 * time.Second
	defaultRetries = 3
	maxRetries     = 8
	maxTextBytes   = 1024
)

// Settings are a vault or HSM and the way to it, as configured. They are decoded
// into the value that DefaultSettings returns, and then checked.
type Settings struct {
	// One of these says which vault or HSM: a name below DNSSuffix, or an
	// address.
	Vault   string `yaml:"vault"`
	HSM     string `yaml:"hsm"`
	Address string `yaml:"address"`

	// Cloud gives DNSSuffix and AuthorityHost their defaults.
	Cloud         string `yaml:"cloud"`
	DNSSuffix     string `yaml:"dnsSuffix"`
	AuthorityHost string `yaml:"authorityHost"`
	// EnvironmentFile describes a cloud that Cloud has no name for. It does not hold
	// where Cloud is another.
	EnvironmentFile string `yaml:"environmentFile"`
	// Resource is what tokens are for; empty takes what the vault's challenge
	// says, if the vault's host lies below it.
	Resource string `yaml:"resource"`
	// Endpoint is the host and port that is dialled instead of the address's.
	Endpoint string `yaml:"endpoint"`
	// APIVersion is for clouds that lag behind the client's own.
	APIVersion string `yaml:"apiVersion"`

	TenantID   string        `yaml:"tenantID"`
	Auth       Auth          `yaml:"auth"`
	TokenProxy TokenProxy    `yaml:"tokenProxy"`
	TLS        remote.TLS    `yaml:"tls"`
	Timeout    time.Duration `yaml:"timeout"`
	Retries    int           `yaml:"retries"`

	// Network is the way to the vault, and LoginNetwork that to Entra ID.
	Network      remote.Network `yaml:"-"`
	LoginNetwork remote.Network `yaml:"-"`

	byOperator bool // the operator's configuration names the store
}

// DefaultSettings are the settings before anything is decoded into them.
func DefaultSettings() Settings {
	return Settings{Timeout: defaultTimeout, Retries: defaultRetries}
}

// Check completes the settings and notes all that is wrong with them.
// byOperator is true if they stand in the operator's configuration.
func (s *Settings) Check(byOperator bool, problems *remote.Problems) {
	s.byOperator = byOperator
	before := len(*problems)
	if s.EnvironmentFile != "" && (s.Cloud == "" || strings.EqualFold(s.Cloud, customCloud)) {
		if s.fillEnvironment(problems); len(*problems) > before {
			return // the rest hangs on what the file says
		}
	}
	s.fillCloud(problems)
	s.checkWhich(problems)
	s.AuthorityHost = strings.ToLower(problems.CheckURL("authorityHost", s.AuthorityHost, "https://login.microsoftonline.com", "https"))
	s.checkReach(problems)
	if s.Resource != "" {
		s.Resource = strings.ToLower(problems.CheckURL("resource", s.Resource, "https://vault.azure.net", "https"))
	}
	if _, _, err := net.SplitHostPort(s.Endpoint); s.Endpoint != "" && err != nil {
		problems.Add("endpoint", "must be a host and a port, such as 10.0.0.4:443")
	}
	if s.APIVersion != "" && !apiVersion().MatchString(s.APIVersion) {
		problems.Add("apiVersion", "must be a version of the Key Vault API, such as 7.4 or 2025-07-01")
	}
	if s.TenantID != "" && !tenant().MatchString(s.TenantID) {
		problems.Add("tenantID", "must be the tenant's ID or one of its domains: letters, digits, dots and dashes")
	}
	s.Auth.check(s.byOperator, problems)
	s.TokenProxy.check(s.byOperator, s.Auth.IdentityBinding, problems)
	s.TLS.Check(s.byOperator, false, problems.Add)
	problems.CheckTries(s.Timeout, time.Second, s.Retries, maxRetries)
}

// checkReach looks at the addresses that are dialled.
func (s *Settings) checkReach(problems *remote.Problems) {
	s.LoginNetwork.Rule.Check("authorityHost", s.AuthorityHost, problems.Add)
	if s.Endpoint != "" {
		s.Network.Rule.Check("endpoint", s.Endpoint, problems.Add)
		return
	}
	field := "address"
	switch {
	case s.Vault != "":
		field = "vault"
	case s.HSM != "":
		field = "hsm"
	}
	s.Network.Rule.Check(field, s.Address, problems.Add)
}

var (
	// https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftkeyvault
	vaultName  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z](?:-?[a-zA-Z0-9]){2,23}$`) })
	dnsName    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?$`) })
	tenant     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9.-]{1,253}$`) })
	apiVersion = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[0-9]{1,4}(?:\.[0-9]|-[0-9]{2}-[0-9]{2})(?:-preview(?:\.[0-9])?)?$`)
	})
)

// fillCloud sets what the cloud says and nobody else does.
func (s *Settings) fillCloud(problems *remote.Problems) {
	c, known := cloudNamed(cmp.Or(s.Cloud, clouds()[0].name))
	custom := strings.EqualFold(s.Cloud, customCloud)
	switch {
	case custom && s.DNSSuffix != "" && s.AuthorityHost != "":
		return
	case custom:
		problems.Add("cloud", "%s is described by a file of the node: the operator's configuration must say which for this store, in environmentFile", customCloud)
	case !known:
		names := make([]string, 0, 2*len(clouds()))
		for _, c := range clouds() {
			names = append(names, c.name)
		}
		problems.Add("cloud", "%s; for any other cloud leave it out, and give dnsSuffix and authorityHost", strict.Unknown("cloud", message.Excerpt(s.Cloud), names))
	}
	if !known {
		c = clouds()[0] // for the checks of what else there is
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
func (s *Settings) checkWhich(problems *remote.Problems) {
	given := 0
	for _, text := range []string{s.Vault, s.HSM, s.Address} {
		if text != "" {
			given++
		}
	}
	if given != 1 {
		problems.Add("vault", "give the vault's name in vault, or a Managed HSM's in hsm, or a whole https:// address in address: one of the three")
		return
	}
	if s.Address != "" {
		s.Address = strings.ToLower(problems.CheckURL("address", s.Address, "https://my-vault.vault.azure.net", "https"))
		return
	}
	field, name := "vault", s.Vault
	if s.HSM != "" {
		field, name = "hsm", s.HSM
	}
	if !vaultName().MatchString(name) || len(name) > 24 {
		problems.Add(field, "must be the name alone, 3 to 24 letters, digits and single dashes, beginning with a letter; a whole URL goes into `address` in the operator's configuration, or of a class of provider lanyard")
	}
	if !dnsName().MatchString(s.DNSSuffix) {
		problems.Add("dnsSuffix", "must be a domain such as vault.azure.net")
	}
	s.Address = "https://" + strings.ToLower(name) + "." + strings.ToLower(s.DNSSuffix)
}

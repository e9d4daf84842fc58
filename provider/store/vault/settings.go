package vault

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/strict"
)

// The bounds and defaults of settings.
const (
	defaultTimeout  = 10 * time.Second
	mostTimeout     = time.Minute
	defaultRetries  = 2
	mostRetries     = 5
	defaultAudience = "vault"
)

// settings are the connection as configured.
type settings struct {
	Address   string        `yaml:"address"`
	Namespace string        `yaml:"namespace"`
	TLS       tlsSettings   `yaml:"tls"`
	Auth      authSettings  `yaml:"auth"`
	Timeout   time.Duration `yaml:"timeout"`
	Retries   int           `yaml:"retries"`

	byOperator bool // the operator's configuration names the store
}

type tlsSettings struct {
	CACert             string `yaml:"caCert"`
	CACertFile         string `yaml:"caCertFile"`
	CACertDir          string `yaml:"caCertDir"`
	ServerName         string `yaml:"serverName"`
	InsecureSkipVerify bool   `yaml:"insecureSkipVerify"`
	ClientCertFile     string `yaml:"clientCertFile"`
	ClientKeyFile      string `yaml:"clientKeyFile"`
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
	config := &settings{byOperator: given.ByOperator, Timeout: defaultTimeout, Retries: defaultRetries, Auth: authSettings{Audience: defaultAudience}}
	var problems problemList
	if err := strict.DecodeMap(given.Fields, config); err != nil {
		var found strict.Problems
		if !errors.As(err, &found) {
			return nil, problemList{{Text: "the settings cannot be read"}}
		}
		return nil, problemList(found)
	}
	config.checkAddress(&problems)
	config.TLS.check(config.Address, &problems)
	config.Auth.check(config.TLS, &problems)
	if !given.ByOperator {
		config.refuseNodeFiles(&problems)
	}
	if strings.ContainsFunc(config.Namespace, notPathText) || strings.HasPrefix(config.Namespace, "/") {
		problems.add("namespace", "must be a path such as team-a or org/team-a, without a leading slash")
	}
	if config.Timeout < time.Second || config.Timeout > mostTimeout {
		problems.add("timeout", "must be between 1s and %s", mostTimeout)
	}
	if config.Retries < 0 || config.Retries > mostRetries {
		problems.add("retries", "must be between 0 and %d", mostRetries)
	}
	return config, problems
}

func (s *settings) checkAddress(problems *problemList) {
	const want = "must be the server's URL such as https://vault.example.com:8200"
	if s.Address == "" {
		problems.add("address", "is missing; %s", want)
		return
	}
	// The parser's own error repeats the address, which may hold a password.
	parsed, err := url.Parse(s.Address)
	switch {
	case err != nil:
		problems.add("address", "is not a URL; %s", want)
	case parsed.User != nil:
		problems.add("address", "must not hold a user name or password; how to log in is said in auth")
	case parsed.Scheme != "https" && parsed.Scheme != "http":
		problems.add("address", "must begin with https:// (or http:// for development); %s", want)
	case parsed.Hostname() == "":
		problems.add("address", "names no host; %s", want)
	case strings.TrimSuffix(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "":
		problems.add("address", "must not go beyond the port: no path, no ?, no #; %s", want)
	default:
		s.Address = parsed.Scheme + "://" + parsed.Host
	}
}

func (t *tlsSettings) check(address string, problems *problemList) {
	for field, path := range map[string]string{
		"tls.caCertFile": t.CACertFile, "tls.caCertDir": t.CACertDir,
		"tls.clientCertFile": t.ClientCertFile, "tls.clientKeyFile": t.ClientKeyFile,
	} {
		if path != "" && !filepath.IsAbs(path) {
			problems.add(field, "must be an absolute path on the node")
		}
	}
	if (t.CACert != "") && (t.CACertFile != "") || (t.CACert != "" || t.CACertFile != "") && t.CACertDir != "" {
		problems.add("tls.caCert", "give one of caCert, caCertFile and caCertDir")
	}
	if t.InsecureSkipVerify && (t.CACert != "" || t.CACertFile != "" || t.CACertDir != "") {
		problems.add("tls.insecureSkipVerify", "a certificate authority is of no use when nothing is verified; leave one of the two out")
	}
	if (t.ClientCertFile == "") != (t.ClientKeyFile == "") {
		problems.add("tls.clientCertFile", "give clientCertFile and clientKeyFile together")
	}
	if *t != (tlsSettings{}) && strings.HasPrefix(address, "http://") {
		problems.add("tls", "has no effect with an address of http://; use https://")
	}
}

// refuseNodeFiles reports the settings that read the node's files, which only
// the operator may name.
func (s *settings) refuseNodeFiles(problems *problemList) {
	for _, setting := range []struct{ field, value, instead string }{
		{"tls.caCertFile", s.TLS.CACertFile, "; put the certificate itself into tls.caCert"},
		{"tls.caCertDir", s.TLS.CACertDir, "; put the certificates themselves into tls.caCert"},
		{"tls.clientCertFile", s.TLS.ClientCertFile, ""},
		{"tls.clientKeyFile", s.TLS.ClientKeyFile, ""},
		{"auth.secretIDFile", s.Auth.SecretIDFile, "; use auth.secretIDCredential and nodePublishSecretRef"},
		{"auth.tokenFile", s.Auth.TokenFile, "; use the kubernetes or jwt method"},
	} {
		if setting.value != "" {
			problems.add(setting.field, "reads a file of the node, so only the operator's configuration file may give it%s", setting.instead)
		}
	}
}

// notPathText is true of what neither mounts, namespaces nor audiences hold.
func notPathText(r rune) bool {
	return r <= ' ' || r == 0x7f || r == '?' || r == '#' || r == '\\' || r == '%' || r == 0xfffd || r >= 0x80 && r < 0xa0
}

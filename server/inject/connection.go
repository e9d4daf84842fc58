package inject

import (
	"bytes"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	core "k8s.io/api/core/v1"
)

// audienceOfVault is the audience that the store of connection.config asks tokens for.
const audienceOfVault = "vault"

// connection is a store of Vault as a configuration file has it.
type connection struct {
	Type      string     `yaml:"type"`
	Address   string     `yaml:"address"`
	Namespace string     `yaml:"namespace,omitempty"`
	Auth      login      `yaml:"auth"`
	TLS       connectTLS `yaml:"tls,omitempty"`
	Timeout   string     `yaml:"timeout,omitempty"`
	Retries   *int       `yaml:"retries,omitempty"`

	refresh string // how often values are read again
	proxy   string
}

type login struct {
	Method string `yaml:"method"`
	Mount  string `yaml:"mount"`
	Role   string `yaml:"role"`
}

type connectTLS struct {
	CACertFile         string `yaml:"caCertFile,omitempty"`
	CACertDir          string `yaml:"caCertDir,omitempty"`
	ServerName         string `yaml:"serverName,omitempty"`
	InsecureSkipVerify bool   `yaml:"insecureSkipVerify,omitempty"`
	ClientCertFile     string `yaml:"clientCertFile,omitempty"`
	ClientKeyFile      string `yaml:"clientKeyFile,omitempty"`
}

// defaultConnection is what the operator says.
func (b *builder) defaultConnection() connection {
	return connection{
		Type: "vault", Address: b.Vault.Address, Namespace: b.Vault.Namespace,
		Auth: login{Method: "kubernetes", Mount: b.Vault.AuthPath},
	}
}

// override replaces a setting with what the pod says.
func (connection) override(setting *string, text string) {
	if text != "" {
		*setting = text
	}
}

// says whether the connection is what a variable of bank-vaults says.
func (c connection) says(annotation, text string) bool {
	switch said := map[string]string{"addr": c.Address, "role": c.Auth.Role, "path": c.Auth.Mount, "auth-method": c.Auth.Method, "namespace": c.Namespace, "skip-verify": strconv.FormatBool(c.TLS.InsecureSkipVerify)}; annotation {
	case "client-timeout", "tls-secret":
		return false
	default:
		return said[annotation] == text
	}
}

// checkConnection refuses what cannot work. The keys are the annotations that say the
// address, the role and the method.
func (b *builder) checkConnection(c connection, address, role, method string) {
	u, err := url.Parse(c.Address)
	switch {
	case c.Address == "":
		b.problem("%s: is missing; write the address of Vault, or have the operator set it", address)
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		b.problem("%s: must be a URL such as https://vault.example.com:8200, not %s", address, shown(c.Address))
	}
	if c.Auth.Role == "" {
		b.problem("%s: is missing; name the role of Vault's auth method that the pod logs in with", role)
	}
	if !slices.Contains([]string{"kubernetes", "jwt"}, c.Auth.Method) {
		b.problem("%s: must be kubernetes or jwt, not %s; the pod logs in with its own token", method, shown(c.Auth.Method))
	}
}

// configOf are connections as a configuration file, by the names of their stores. What is for all
// stores is the same in all connections of a pod.
func configOf(stores map[string]connection) any {
	type cache struct {
		Refresh string `yaml:"refresh"`
	}
	type proxy struct {
		URL string `yaml:"url"`
	}
	var all struct {
		Stores map[string]connection `yaml:"stores"`
		Cache  *cache                `yaml:"cache,omitempty"`
		Proxy  *proxy                `yaml:"proxy,omitempty"`
	}
	all.Stores = stores
	for _, c := range stores {
		if c.refresh != "" {
			all.Cache = &cache{c.refresh}
		}
		if c.proxy != "" {
			all.Proxy = &proxy{c.proxy}
		}
	}
	return all
}

// yamlText is a value as YAML.
func yamlText(value any) string {
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	// Maps, lists and texts are written to memory.
	_ = encoder.Encode(value) //nolint:errcheck // see above
	_ = encoder.Close()       //nolint:errcheck // see above
	return text.String()
}

// loginToken is the token that logs in: one that is projected for the agent, or that of a
// volume of the pod, whose mount has the token's path as its SubPath.
func (b *builder) loginToken(key, volume string) ([]token, *core.VolumeMount) {
	if volume == "" || path.IsAbs(volume) {
		return []token{{audienceOfVault, b.Vault.Audience}}, nil
	}
	for _, v := range b.pod.Spec.Volumes {
		if v.Name != volume {
			continue
		}
		if v.Projected != nil {
			for _, source := range v.Projected.Sources {
				if source.ServiceAccountToken != nil {
					return nil, &core.VolumeMount{Name: volume, MountPath: "/var/run/secrets/" + strings.TrimSuffix(prefix, "/") + "/login", SubPath: source.ServiceAccountToken.Path, ReadOnly: true}
				}
			}
		}
		b.problem("%s: the volume %s projects no token of the service account", key, shown(volume))
		return nil, nil
	}
	b.problem("%s: the pod has no volume %s", key, shown(volume))
	return nil, nil
}

package azure

import (
	"regexp"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/azure"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/key"
)

// settings are a key as configured.
type settings struct {
	azure.Settings `yaml:",inline"`

	// Key is the key's name, without a version.
	Key string `yaml:"key"`
	// Algorithm wraps: RSA-OAEP-256 for RSA keys, A256KW for symmetric keys,
	// which only a Managed HSM has.
	Algorithm string `yaml:"algorithm"`
}

// https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#object-identifiers
var keyName = regexp.MustCompile(`^[a-zA-Z0-9-]{1,127}$`)

// parseSettings returns the settings with their defaults, and all that is
// wrong with them.
func parseSettings(given key.Settings, asPerson bool) (*settings, remote.Problems) {
	config := &settings{Settings: azure.DefaultSettings(), Algorithm: string(azkeys.EncryptionAlgorithmRSAOAEP256)}
	problems := remote.Decode(given.Fields, config)
	if asPerson {
		if _, says := given.Fields["auth"]; says {
			problems.Add("auth", "has no place here: commands use your own credentials; remove it and log in with az login (see troubleshooting: command-credentials)")
		}
		config.AsPerson(&problems)
	}
	config.Network, config.LoginNetwork = given.Network(), given.Network()
	config.Check(given.ByOperator, &problems)
	if !keyName.MatchString(config.Key) {
		problems.Add("key", "must be the name of a key without a version: at most 127 letters, digits and dashes")
	}
	algorithms := []string{string(azkeys.EncryptionAlgorithmRSAOAEP256), string(azkeys.EncryptionAlgorithmA256KW)}
	if !slices.Contains(algorithms, config.Algorithm) {
		problems.Add("algorithm", "%s", strict.Unknown("algorithm", message.Excerpt(config.Algorithm), algorithms))
	}
	return config, problems
}

package vault

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/backend/vault"
	"github.com/lanyardhq/lanyard/provider/key"
)

// The ways in which Vault binds a ciphertext to its context.
const (
	// bindDerived derives a key for each context; the key must have derived=true.
	bindDerived = "derived"
	// bindAssociatedData authenticates the context as associated data, which needs
	// Vault 1.13.
	bindAssociatedData = "associatedData"
	// bindPayload relies on the payload, which this package checks.
	bindPayload = "payload"
)

const (
	defaultMount = "transit"
	maxKnownAs   = 253 // bytes
)

// settings are a key as configured.
type settings struct {
	vault.Settings `yaml:",inline"`

	Mount   string `yaml:"mount"`
	Key     string `yaml:"key"`
	Binding string `yaml:"binding"`
	KnownAs string `yaml:"knownAs"`
}

// parseSettings returns the settings with defaults, and all their problems.
func parseSettings(given key.Settings, person *vault.Person) (*settings, remote.Problems) {
	config := &settings{Settings: vault.DefaultSettings(), Mount: defaultMount, Binding: bindDerived}
	problems := remote.Decode(given.Fields, config)
	config.Network = given.Network()
	if person != nil {
		if _, says := given.Fields["auth"]; says {
			problems.Add("auth", "has no place here: commands use your own credentials; remove it and log in with vault login, or set VAULT_TOKEN (see troubleshooting: command-credentials)")
		}
		config.AsPerson(person, &problems)
	}
	config.Check(given.ByOperator, &problems)
	if !vault.CleanPath(config.Mount) || strings.ContainsFunc(config.Mount, vault.NotPathText) || len(config.Mount) > vault.MaxNameBytes {
		problems.Add("mount", "must be the path that the Transit engine is enabled at, such as %s, without slashes around it", defaultMount)
	}
	if !keyName.MatchString(config.Key) || len(config.Key) > vault.MaxNameBytes {
		problems.Add("key", "must be the name of a Transit key: letters, digits, dots, dashes and underscores, beginning and ending with a letter or digit")
	}
	bindings := []string{bindDerived, bindAssociatedData, bindPayload}
	if !slices.Contains(bindings, config.Binding) {
		problems.Add("binding", "%s", strict.Unknown("binding", message.Excerpt(config.Binding), bindings))
	}
	if config.KnownAs == "" {
		config.KnownAs = config.Address
	}
	if len(config.KnownAs) > maxKnownAs || strings.ContainsFunc(config.KnownAs, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		problems.Add("knownAs", "must be at most %d bytes of text without spaces, such as the first address of this Vault", maxKnownAs)
	}
	return config, problems
}

// keyName is the form in which Vault accepts the name of a key, in one spelling. With
// .. or % the path would address something else.
var keyName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?$`)

package sealed

import (
	"fmt"
	"slices"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/store"
)

// The bounds of sealers.
const (
	maxSealers  = 256
	maxPatterns = 256
)

// sealerSettings is a trusted sealer.
type sealerSettings struct {
	// Name is the sealer's name in errors and classes.
	Name string `yaml:"name"`
	// Public is the public key, as in the file of lanyard keygen --sealer.
	Public string `yaml:"public"`
	// Namespaces are those it may seal for; * stands for any text.
	Namespaces []string `yaml:"namespaces"`
}

// signatures returns the policy of the settings, or their problems. Without sealers
// there is no policy.
func (s *settings) signatures() (*seal.Signatures, strict.Problems) {
	var problems strict.Problems
	if len(s.Sealers) == 0 && len(s.Unsigned) > 0 {
		problems.Add("unsigned", "is the exception to sealers, of which there are none; remove it, or name sealers")
	}
	if len(s.Sealers) > maxSealers {
		problems.Add("sealers", "has %d sealers, at most %d are possible", len(s.Sealers), maxSealers)
		return nil, problems
	}
	patterns := func(field string, given []string) {
		if len(given) > maxPatterns {
			problems.Add(field, "has %d namespaces, at most %d are possible; use * for any text", len(given), maxPatterns)
			return
		}
		for i, pattern := range given {
			if text := seal.WrongNamespacePattern(pattern); text != "" {
				problems.Add(fmt.Sprintf("%s[%d]", field, i), "%s", text)
			}
		}
	}
	found := &seal.Signatures{Unsigned: s.Unsigned}
	patterns("unsigned", s.Unsigned)
	for i, sealer := range s.Sealers {
		at := fmt.Sprintf("sealers[%d]", i)
		key, err := seal.ParseSealerKey(sealer.Name, sealer.Public)
		if err != nil {
			problems.Add(at, "%s", err)
			continue
		}
		if slices.ContainsFunc(found.Trusted, func(other seal.TrustedSealer) bool { return other.Key.Name() == sealer.Name }) {
			problems.Add(at+".name", "is another sealer's too; give each sealer a name of its own")
		}
		if len(sealer.Namespaces) == 0 {
			problems.Add(at+".namespaces", `is missing; name the namespaces that it may seal for, or "*" for all`)
		}
		patterns(at+".namespaces", sealer.Namespaces)
		found.Trusted = append(found.Trusted, seal.TrustedSealer{Key: key, Namespaces: sealer.Namespaces})
	}
	if len(found.Trusted) == 0 {
		found = nil
	}
	return found, problems
}

// requiredSealers returns the names in an object's options, one of which must have
// signed the value.
func requiredSealers(ref store.Reference) ([]string, error) {
	var options struct {
		Sealers []string `yaml:"sealers"`
	}
	if problems := strict.DecodeMap(ref.Options, &options); problems != nil {
		for i := range problems {
			if problems[i].Field = "options." + problems[i].Field; problems[i].Field == "options." {
				problems[i].Field = "options"
			}
		}
		return nil, problems
	}
	if _, says := ref.Options["sealers"]; says && (len(options.Sealers) == 0 || slices.Contains(options.Sealers, "")) {
		return nil, strict.Problems{{Field: "options.sealers", Text: "must name one sealer at least, as the operator's configuration calls it"}}
	}
	return options.Sealers, nil
}

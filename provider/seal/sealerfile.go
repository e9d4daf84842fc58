package seal

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"

	"github.com/lanyardhq/lanyard/internal/nodefile"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/secret"
)

const (
	sealerKind          = "lanyard.sealer.v1"
	sealerPublicKind    = "lanyard.sealer-public.v1"
	sealerPrivatePrefix = "lanyard.sealer-private.v1."
	sealerPublicPrefix  = "lanyard.sealer-public.v1."
)

// sealerFile is the private or the public key file of a sealer as YAML.
type sealerFile struct {
	Kind    string `yaml:"kind"`
	Name    string `yaml:"name"`
	ID      string `yaml:"id"`
	Private string `yaml:"private"`
	Public  string `yaml:"public"`
}

// Marshal returns the private key file: YAML that ReadSealer reads.
func (s *Sealer) Marshal() secret.Bytes {
	return secret.NewString(fmt.Sprintf("# Lanyard sealer: a private key that signs sealed values.\n"+
		"# Whoever can read it can seal in this sealer's name. Never commit it.\n"+
		"kind: %s\nname: %s\nid: %q\nprivate: %s\n", sealerKind, s.public.name, s.public.id, encodeText(sealerPrivatePrefix, s.private.Reveal())))
}

// Marshal returns the public key file: YAML that ReadSealerKey reads.
func (k *SealerKey) Marshal() []byte {
	return []byte(fmt.Sprintf("# Lanyard sealer, public part. By it the signatures of sealed values are checked.\n"+
		"# Guard it against replacement, not against reading.\n"+
		"kind: %s\nname: %s\nid: %q\npublic: %s\n", sealerPublicKind, k.name, k.id, k))
}

// ReadSealer reads the private key file at path, which must be private as in
// ReadKeyRing. The error names the path and quotes no key.
func ReadSealer(path string) (*Sealer, error) {
	data, err := nodefile.ReadPrivate(path, MaxKeyFile)
	if err != nil {
		return nil, err
	}
	sealer, err := parseSealer(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return sealer, nil
}

// ReadSealerKey reads the public key file at path. The error names the path.
func ReadSealerKey(path string) (*SealerKey, error) {
	data, err := nodefile.Read(path, MaxKeyFile)
	if err != nil {
		return nil, err
	}
	key, err := parseSealerKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

func parseSealer(data []byte) (*Sealer, error) {
	file, problems := decodeSealer(data, sealerKind)
	if len(problems) > 0 {
		return nil, problems
	}
	if file.Public != "" {
		problems = append(problems, strict.Problem{Field: "public", Text: "is for the public part; remove it"})
	}
	seed, err := decodeKey(sealerPrivatePrefix, file.Private)
	if err == nil && len(seed) != ed25519.SeedSize {
		err = errors.New("is not a private key of Ed25519")
	}
	if err != nil {
		return nil, append(problems, strict.Problem{Field: "private", Text: err.Error()})
	}
	sealer := sealerOf(file.Name, seed)
	if problems = append(problems, file.wrongID(sealer.public)...); len(problems) > 0 {
		return nil, problems
	}
	return sealer, nil
}

func parseSealerKey(data []byte) (*SealerKey, error) {
	file, problems := decodeSealer(data, sealerPublicKind)
	if len(problems) > 0 {
		return nil, problems
	}
	if file.Private != "" {
		problems = append(problems, strict.Problem{Field: "private", Text: "is for the sealer's own file; remove it, and make a new key if others may have seen it"})
	}
	key, err := ParseSealerKey(file.Name, file.Public)
	if err != nil {
		return nil, append(problems, strict.Problem{Field: "public", Text: err.Error()})
	}
	if problems = append(problems, file.wrongID(key)...); len(problems) > 0 {
		return nil, problems
	}
	return key, nil
}

// decodeSealer decodes the fields that both files share.
func decodeSealer(data []byte, kind string) (file sealerFile, problems strict.Problems) {
	problems = wantKind(data, kind)
	if problems == nil {
		problems = strict.Unmarshal(data, &file)
	}
	if problems != nil {
		return file, problems
	}
	if text := WrongServiceKeyName(file.Name); text != "" {
		problems = append(problems, strict.Problem{Field: "name", Text: text})
	}
	return file, problems
}

func (f sealerFile) wrongID(key *SealerKey) strict.Problems {
	if strings.EqualFold(f.ID, key.id.String()) && f.ID == strings.ToLower(f.ID) {
		return nil
	}
	return strict.Problems{{Field: "id", Text: "is not the id of this key; take the file from its source again"}}
}

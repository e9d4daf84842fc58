package seal

import (
	"crypto/hpke"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/strict"
)

const keyIDSize = 16

// KeyID identifies a key and is public: the first 16 bytes of SHA-256 over
// "lanyard.v1 key id", a zero byte, the suite's byte and the public key. 16 bytes
// resist second preimages and can still be compared by eye.
type KeyID [keyIDSize]byte

// String is the id in 32 hexadecimal digits.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// ParseKeyID reads what KeyID.String writes.
func ParseKeyID(text string) (KeyID, error) {
	var id KeyID
	if len(text) != hex.EncodedLen(keyIDSize) || strings.Trim(text, "0123456789abcdef") != "" {
		return KeyID{}, fmt.Errorf("a key id has %d digits of 0-9 and a-f", hex.EncodedLen(keyIDSize))
	}
	_, err := hex.Decode(id[:], []byte(text))
	return id, err
}

func keyIDOf(key hpke.PublicKey) KeyID {
	named := append([]byte("lanyard.v1 key id\x00"), byte(SuiteHPKE))
	sum := sha256.Sum256(append(named, key.Bytes()...))
	return KeyID(sum[:keyIDSize])
}

// PublicKey is the key that values are sealed to. It may be committed to Git; what
// matters is that nobody can replace it unnoticed.
type PublicKey struct {
	id      KeyID
	cluster string
	key     hpke.PublicKey
}

// ID names the key.
func (p *PublicKey) ID() KeyID { return p.id }

// Cluster is the name of the cluster that the key is for; empty if the key ring
// names none.
func (p *PublicKey) Cluster() string { return p.cluster }

const (
	publicKind   = "lanyard.public-key.v1"
	publicPrefix = "lanyard.public.v1."
)

// publicFile is a public key file as YAML.
type publicFile struct {
	Kind    string `yaml:"kind"`
	Cluster string `yaml:"cluster"`
	ID      string `yaml:"id"`
	Public  string `yaml:"public"`
}

// Marshal returns the public key file: YAML that ParsePublicKey reads.
func (p *PublicKey) Marshal() []byte {
	var b strings.Builder
	b.WriteString("# Lanyard public key. Values are sealed to it, and it opens none: it may be\n" +
		"# committed to Git. Guard it against replacement, not against reading.\n")
	fmt.Fprintf(&b, "kind: %s\n", publicKind)
	if p.cluster != "" {
		fmt.Fprintf(&b, "cluster: %q\n", p.cluster)
	}
	fmt.Fprintf(&b, "id: %q\npublic: %s\n", p.id, encodeText(publicPrefix, p.key.Bytes()))
	return []byte(b.String())
}

// ParsePublicKey reads a public key file. The error is a strict.Problems.
func ParsePublicKey(data []byte) (*PublicKey, error) {
	if err := wantKind(data, publicKind); err != nil {
		return nil, err
	}
	var file publicFile
	if err := strict.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	var problems strict.Problems
	if text := wrongCluster(file.Cluster); text != "" {
		problems = append(problems, strict.Problem{Field: "cluster", Text: text})
	}
	id, err := ParseKeyID(file.ID)
	if err != nil {
		problems = append(problems, strict.Problem{Field: "id", Text: err.Error()})
	}
	key, err := parsePublic(file.Public)
	if err != nil {
		problems = append(problems, strict.Problem{Field: "public", Text: err.Error()})
	} else if keyIDOf(key) != id {
		problems = append(problems, strict.Problem{Field: "id", Text: "is not the id of this public key; take the file from its source again"})
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return &PublicKey{id: id, cluster: file.Cluster, key: key}, nil
}

func parsePublic(text string) (hpke.PublicKey, error) {
	raw, err := decodeKey(publicPrefix, text)
	if err != nil {
		return nil, err
	}
	kem, _, _ := hpkeParts()
	key, err := kem.NewPublicKey(raw)
	if err != nil {
		return nil, errors.New("is not a public key of ML-KEM-768 with X25519")
	}
	return key, nil
}

// kindOf returns the field kind of a file, or "".
func kindOf(data []byte) string {
	var file struct {
		Kind string `yaml:"kind"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return ""
	}
	return file.Kind
}

// wantKind refuses a file of another kind before its fields are decoded: the user
// then needs another file, not other fields.
func wantKind(data []byte, want string) strict.Problems {
	var file struct {
		Kind string `yaml:"kind"`
	}
	// The strict decoder explains invalid YAML.
	if isYAML := yaml.Unmarshal(data, &file) == nil; !isYAML || file.Kind == want {
		return nil
	}
	is := map[string]string{
		publicKind:       "this is a public key, which opens nothing",
		ringKind:         "this is a private key ring",
		serviceKind:      "this names a key of a key service",
		sealerKind:       "this is the private key of a sealer",
		sealerPublicKind: "this is the public key of a sealer, which checks signatures",
		wrappedRingKind:  "this is a key ring, its private keys wrapped by a key service",
	}[file.Kind]
	remedy := map[string]string{
		publicKind:       "give a public key, which lanyard keygen --public-out writes",
		ringKind:         "give the key ring that lanyard keygen wrote",
		serviceKind:      "give a file that names a key of a key service",
		sealerKind:       "give the sealer's private key, which lanyard keygen --sealer wrote",
		sealerPublicKind: "give the sealer's public part, which lanyard keygen --sealer --public-out writes",
	}[want]
	text := fmt.Sprintf("must be %s", want)
	if is != "" {
		text = is + "; " + remedy
	}
	return strict.Problems{{Line: 1, Field: "kind", Text: text}}
}

func wrongCluster(cluster string) string {
	if cluster == "" {
		return ""
	}
	return wrongText(cluster, MaxCluster)
}

// decodeKey decodes the text of a key. Its errors never quote the text.
func decodeKey(prefix, text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return nil, fmt.Errorf("does not begin with %s", prefix)
	}
	raw, err := decodeBase64(encoded)
	if err != nil {
		return nil, errors.New("is not base64url without padding, or is cut off")
	}
	return raw, nil
}

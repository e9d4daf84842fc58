package seal

import (
	"crypto/hpke"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/strict"
)

const (
	ringKind      = "lanyard.key-ring.v1"
	privatePrefix = "lanyard.private.v1."
)

// ringFile is a key ring file as YAML.
type ringFile struct {
	Kind    string        `yaml:"kind"`
	Cluster string        `yaml:"cluster"`
	Keys    []ringFileKey `yaml:"keys"`
}

type ringFileKey struct {
	ID      string `yaml:"id"`
	State   State  `yaml:"state"`
	Created string `yaml:"created"`
	Private string `yaml:"private"`
}

// Marshal returns the key ring file: YAML that ParseKeyRing reads.
func (r *KeyRing) Marshal() (secret.Bytes, error) {
	var b strings.Builder
	b.WriteString("# Lanyard key ring: a plain local key file, for development.\n" +
		"# Whoever can read it can open every value that was ever sealed to its keys.\n" +
		"# Never commit it. Change it with lanyard keygen only.\n")
	fmt.Fprintf(&b, "kind: %s\n", ringKind)
	if r.cluster != "" {
		fmt.Fprintf(&b, "cluster: %q\n", r.cluster)
	}
	b.WriteString("keys:\n")
	for _, key := range r.keys {
		fmt.Fprintf(&b, "- id: %q\n  state: %s\n  created: %q\n", key.ID, key.State, key.Created.Format(time.RFC3339))
		if key.State == StateRetired {
			continue
		}
		seed, err := key.private.Bytes()
		if err != nil {
			return secret.Bytes{}, fmt.Errorf("key %s cannot be written", key.ID)
		}
		fmt.Fprintf(&b, "  private: %s\n", encodeText(privatePrefix, seed))
	}
	return secret.NewString(b.String()), nil
}

// ParseKeyRing reads a key ring file. The error is a strict.Problems that names
// every wrong field and quotes no key.
func ParseKeyRing(data secret.Bytes) (*KeyRing, error) {
	if err := wantKind(data.Reveal(), ringKind); err != nil {
		return nil, err
	}
	var file ringFile
	if err := strict.Unmarshal(data.Reveal(), &file); err != nil {
		return nil, err
	}
	var problems strict.Problems
	add := func(field, format string, args ...any) {
		problems = append(problems, strict.Problem{Field: field, Text: fmt.Sprintf(format, args...)})
	}
	if text := wrongCluster(file.Cluster); text != "" {
		add("cluster", "%s", text)
	}
	if len(file.Keys) > maxKeys {
		add("keys", "has %d keys, at most %d are possible", len(file.Keys), maxKeys)
		return nil, problems
	}
	ring := &KeyRing{cluster: file.Cluster}
	writers, seen := 0, map[KeyID]bool{}
	for i, entry := range file.Keys {
		key, wrong := entry.parse()
		for _, problem := range wrong {
			add(fmt.Sprintf("keys[%d].%s", i, problem.Field), "%s", problem.Text)
		}
		if len(wrong) == 0 && seen[key.ID] {
			add(fmt.Sprintf("keys[%d].id", i), "the same key is in the ring twice")
		}
		seen[key.ID] = true
		if entry.State == StateWrite {
			writers++
		}
		ring.keys = append(ring.keys, key)
	}
	if writers != 1 {
		add("keys", "has %d keys of state write, there must be exactly one; lanyard keygen --rotate adds one", writers)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return ring, nil
}

// parse reads one key and says what is wrong with it.
func (k ringFileKey) parse() (ringKey, strict.Problems) {
	var problems strict.Problems
	add := func(field string, err error) {
		problems = append(problems, strict.Problem{Field: field, Text: err.Error()})
	}
	id, err := ParseKeyID(k.ID)
	if err != nil {
		add("id", err)
	}
	created, err := time.Parse(time.RFC3339, k.Created)
	if err != nil || created.Nanosecond() != 0 || created.Unix() < 0 || created.Unix() > lastSecond {
		add("created", errors.New("must be a time in whole seconds such as 2026-01-31T12:00:00Z"))
	}
	key := ringKey{Key: Key{ID: id, State: k.State, Created: created.UTC()}}
	switch k.State {
	case StateWrite, StateRead:
		if key.private, err = parsePrivate(k.Private); err != nil {
			add("private", err)
		} else if keyIDOf(key.private.PublicKey()) != id {
			add("id", errors.New("is not the id of this private key"))
		}
	case StateRetired:
		if k.Private != "" {
			add("private", errors.New("a retired key has none; remove the line"))
		}
	default:
		add("state", errors.New("must be write, read or retired"))
	}
	return key, problems
}

func parsePrivate(text string) (hpke.PrivateKey, error) {
	if text == "" {
		return nil, errors.New("is missing; a key without it must have the state retired")
	}
	seed, err := decodeKey(privatePrefix, text)
	if err != nil {
		return nil, err
	}
	kem, _, _ := hpkeParts()
	key, err := kem.NewPrivateKey(seed)
	if err != nil {
		return nil, errors.New("has the wrong length")
	}
	return key, nil
}

package seal

import (
	"crypto/hpke"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/secret"
)

const (
	ringKind        = "lanyard.key-ring.v1"
	wrappedRingKind = "lanyard.wrapped-key-ring.v1"
	privatePrefix   = "lanyard.private.v1."
	wrappedPrefix   = "lanyard.wrapped.v1."
)

// ringFile is a key ring file as YAML, plain or wrapped.
type ringFile struct {
	Kind    string        `yaml:"kind"`
	Cluster string        `yaml:"cluster"`
	Wrapper string        `yaml:"key"`
	Keys    []ringFileKey `yaml:"keys"`
}

type ringFileKey struct {
	ID      string `yaml:"id"`
	State   State  `yaml:"state"`
	Created string `yaml:"created"`
	Private string `yaml:"private"`
	Public  string `yaml:"public"`
	Version string `yaml:"version"`
	Wrapped string `yaml:"wrapped"`
}

// Marshal returns the key ring file as YAML that ParseKeyRing reads. In a wrapped
// ring every key must be wrapped; see Wrap.
func (r *KeyRing) Marshal() (secret.Bytes, error) {
	var b strings.Builder
	if r.wrapper == "" {
		b.WriteString("# Lanyard key ring: a plain local key file, for development.\n" +
			"# Whoever can read it can open every value that was ever sealed to its keys.\n" +
			"# Never commit it. Change it with lanyard keygen only.\n")
		fmt.Fprintf(&b, "kind: %s\n", ringKind)
	} else {
		b.WriteString("# Lanyard key ring, its private keys wrapped by a key service. Whoever may\n" +
			"# decrypt there can open every value that was ever sealed to these keys.\n" +
			"# Change it with lanyard keygen only.\n")
		fmt.Fprintf(&b, "kind: %s\n", wrappedRingKind)
	}
	if r.cluster != "" {
		fmt.Fprintf(&b, "cluster: %q\n", r.cluster)
	}
	if r.wrapper != "" {
		fmt.Fprintf(&b, "key: %q\n", r.wrapper)
	}
	b.WriteString("keys:\n")
	for _, key := range r.keys {
		fmt.Fprintf(&b, "- id: %q\n  state: %s\n  created: %q\n", key.ID, key.State, key.Created.Format(time.RFC3339))
		switch {
		case key.State == StateRetired:
		case r.wrapper == "":
			seed, err := key.private.Bytes()
			if err != nil {
				return secret.Bytes{}, fmt.Errorf("key %s cannot be written", key.ID)
			}
			fmt.Fprintf(&b, "  private: %s\n", encodeText(privatePrefix, seed))
		case key.wrapped == nil:
			return secret.Bytes{}, fmt.Errorf("key %s is not wrapped; wrap the ring before it is written", key.ID)
		default:
			fmt.Fprintf(&b, "  public: %s\n  version: %q\n  wrapped: %s\n",
				encodeText(publicPrefix, key.wrapped.public.Bytes()), key.wrapped.made.Version, encodeText(wrappedPrefix, key.wrapped.made.Data))
		}
	}
	return secret.NewString(b.String()), nil
}

// ParseKeyRing reads a key ring file. The error is a strict.Problems that names
// every wrong field and quotes no key.
func ParseKeyRing(data secret.Bytes) (*KeyRing, error) {
	if kindOf(data.Reveal()) != wrappedRingKind {
		if err := wantKind(data.Reveal(), ringKind); err != nil {
			return nil, err
		}
	}
	var file ringFile
	if err := strict.Unmarshal(data.Reveal(), &file); err != nil {
		return nil, err
	}
	var problems strict.Problems
	if text := wrongCluster(file.Cluster); text != "" {
		problems.Add("cluster", "%s", text)
	}
	if len(file.Keys) > maxKeys {
		problems.Add("keys", "has %d keys, at most %d are possible", len(file.Keys), maxKeys)
		return nil, problems
	}
	isWrapped := file.Kind == wrappedRingKind
	switch text := WrongServiceKeyName(file.Wrapper); {
	case isWrapped && text != "":
		problems.Add("key", "%s: the name of the key that wraps the private keys", text)
	case !isWrapped && file.Wrapper != "":
		problems.Add("key", "a plain key ring has none; remove the line")
	}
	ring := &KeyRing{cluster: file.Cluster, wrapper: file.Wrapper}
	writers, seen := 0, map[KeyID]bool{}
	for i, entry := range file.Keys {
		one, wrong := entry.parse(isWrapped)
		for _, problem := range wrong {
			problems.Add(fmt.Sprintf("keys[%d].%s", i, problem.Field), "%s", problem.Text)
		}
		if len(wrong) == 0 && seen[one.ID] {
			problems.Add(fmt.Sprintf("keys[%d].id", i), "the same key is in the ring twice")
		}
		seen[one.ID] = true
		if entry.State == StateWrite {
			writers++
		}
		ring.keys = append(ring.keys, one)
	}
	if writers != 1 {
		problems.Add("keys", "has %d keys of state write, there must be exactly one; lanyard keygen --rotate adds one", writers)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return ring, nil
}

// parse reads one key and says what is wrong with it.
func (k ringFileKey) parse(isWrapped bool) (ringKey, strict.Problems) {
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
	one := ringKey{Key: Key{ID: id, State: k.State, Created: created.UTC()}}
	switch k.State {
	case StateWrite, StateRead:
		if isWrapped {
			one.wrapped = k.parseWrapped(id, add)
		} else {
			one.private = k.parsePlain(id, add)
		}
	case StateRetired:
		for _, field := range [][2]string{{"private", k.Private}, {"public", k.Public}, {"version", k.Version}, {"wrapped", k.Wrapped}} {
			if field[1] != "" {
				add(field[0], errors.New("a retired key has none; remove the line"))
			}
		}
	default:
		add("state", errors.New("must be write, read or retired"))
	}
	return one, problems
}

// parsePlain reads the private part of a key of a plain ring.
func (k ringFileKey) parsePlain(id KeyID, add func(string, error)) hpke.PrivateKey {
	if k.Public != "" || k.Version != "" || k.Wrapped != "" {
		add("wrapped", errors.New("a plain key ring has no fields public, version and wrapped; remove them, or set the kind to "+wrappedRingKind))
	}
	private, err := parsePrivate(k.Private)
	if err != nil {
		add("private", err)
	} else if keyIDOf(private.PublicKey()) != id {
		add("id", errors.New("is not the id of this private key"))
	}
	return private
}

// parseWrapped reads the public and the wrapped private part of a key.
func (k ringFileKey) parseWrapped(id KeyID, add func(string, error)) *wrappedKey {
	if k.Private != "" {
		add("private", errors.New("a wrapped key ring has no plain private key; change the key itself, which has been in the open"))
	}
	if wrongVersion(k.Version) {
		add("version", fmt.Errorf("must be the key's version, 1 to %d bytes", key.MaxVersion))
	}
	public, err := parsePublic(k.Public)
	if err != nil {
		add("public", err)
	} else if keyIDOf(public) != id {
		add("id", errors.New("is not the id of this public key"))
	}
	data, err := decodeKey(wrappedPrefix, k.Wrapped)
	if err == nil && (len(data) < 1 || len(data) > key.MaxCiphertext) {
		err = fmt.Errorf("has %d bytes, 1 to %d are possible", len(data), key.MaxCiphertext)
	}
	if err != nil {
		add("wrapped", err)
	}
	return &wrappedKey{public: public, made: key.Ciphertext{Data: data, Version: k.Version}}
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

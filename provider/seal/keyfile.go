package seal

import (
	"fmt"

	"github.com/lanyardhq/lanyard/internal/nodefile"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// MaxKeyFile is the maximum size of a key ring, public key or service key file in
// bytes.
const MaxKeyFile = 1 << 20

// ReadKeyRing reads the key ring file at path. A plain ring must be private: owned by
// this process's user or root, without access for group and others. A wrapped ring is
// not secret. The error names the path and quotes no key.
func ReadKeyRing(path string) (*KeyRing, error) {
	data, err := nodefile.ReadPrivate(path, MaxKeyFile)
	if err != nil {
		open, openErr := nodefile.Read(path, MaxKeyFile)
		if openErr != nil || kindOf(open) != wrappedRingKind {
			return nil, err
		}
		data = open
	}
	ring, err := ParseKeyRing(secret.New(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ring, nil
}

// IsKeyRing reports whether the file at path is readable and of a kind of key ring,
// plain or wrapped.
func IsKeyRing(path string) bool {
	data, err := nodefile.Read(path, MaxKeyFile)
	if err != nil {
		return false
	}
	kind := kindOf(data)
	return kind == ringKind || kind == wrappedRingKind
}

// ReadPublicKey reads the public key file at path. The error names the path.
func ReadPublicKey(path string) (*PublicKey, error) {
	data, err := nodefile.Read(path, MaxKeyFile)
	if err != nil {
		return nil, err
	}
	key, err := ParsePublicKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// ReadServiceKey reads the file at path as ParseServiceKey does. The error names
// the path.
func ReadServiceKey(path string, types []key.Type) (*ServiceKey, error) {
	data, err := nodefile.Read(path, MaxKeyFile)
	if err != nil {
		return nil, err
	}
	opened, err := ParseServiceKey(data, types)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return opened, nil
}

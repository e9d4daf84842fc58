package local

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/lanyardhq/lanyard/internal/nodefile"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// The bounds of a key file.
const (
	keyBytes = 32
	maxKeys  = 64
	maxFile  = 64 << 10 // bytes
)

// keyFile is the content of a key file.
type keyFile struct {
	// keys are in the order of the file. The first encrypts.
	keys []masterKey
}

// masterKey is one key of the file with its ID.
type masterKey struct {
	id    keyID
	bytes secret.Bytes // keyBytes
}

// readKeyFile reads the file at path. The error names path and line and quotes no
// key.
func readKeyFile(path string) (*keyFile, error) {
	content, err := nodefile.ReadPrivate(path, maxFile)
	if err != nil {
		return nil, fault.Fail(fault.ErrUnavailable, fmt.Errorf("the key file cannot be read: %w", err))
	}
	defer clear(content)
	file, err := parseKeyFile(content)
	if err != nil {
		return nil, fault.Fail(fault.ErrUnavailable, fmt.Errorf("the key file %s: %w", path, err))
	}
	return file, nil
}

// parseKeyFile parses the form of docs/spec/local-key-v1.md. The error names every
// wrong line.
func parseKeyFile(content []byte) (*keyFile, error) {
	if !bytes.HasSuffix(content, []byte("\n")) {
		return nil, errors.New("does not end with a line's end; it is empty or was cut short")
	}
	file := &keyFile{}
	var problems []error
	number := 0
	for line := range bytes.Lines(content) {
		number++
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		one, err := parseKey(line)
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("line %d: %w", number, err))
		case file.find(one.id) != nil:
			problems = append(problems, fmt.Errorf("line %d: is the same key as a line before it", number))
		default:
			file.keys = append(file.keys, one)
		}
		if len(file.keys) > maxKeys || len(problems) > maxKeys {
			problems = append(problems, fmt.Errorf("has more than %d keys", maxKeys))
			break
		}
	}
	if len(file.keys) == 0 && len(problems) == 0 {
		problems = append(problems, errors.New("holds no key; write one line with 32 random bytes in base64"))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return file, nil
}

// parseKey accepts one spelling of each key.
func parseKey(line []byte) (masterKey, error) {
	plain := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
	n, err := base64.StdEncoding.Strict().Decode(plain, line)
	switch {
	case err != nil || bytes.ContainsAny(line, "\r\n"):
		return masterKey{}, errors.New("is not base64 (RFC 4648, section 4, with padding) and nothing else; begin a comment with #")
	case n != keyBytes:
		return masterKey{}, fmt.Errorf("is a key of %d bytes; it must have %d", n, keyBytes)
	case bytes.Count(plain[:n], plain[:1]) == n:
		return masterKey{}, errors.New("is a placeholder, the same byte throughout; a key is 32 random bytes")
	}
	return newMasterKey(plain[:n])
}

// find returns the key with the ID; nil if there is none.
func (f *keyFile) find(id keyID) *masterKey {
	at := slices.IndexFunc(f.keys, func(one masterKey) bool { return one.id == id })
	if at < 0 {
		return nil
	}
	return &f.keys[at]
}

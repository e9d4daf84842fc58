// Package local is the key service of a file on this machine that holds
// AES-256 keys: for development and for tests. Whoever reads the file opens
// everything that was ever encrypted with it, and no one sees it happen. A
// cluster that matters uses a key service that keeps its keys to itself.
//
// The package never writes a key file, never caches one, and makes no call. The
// file's form and the ciphertext's are specified in docs/spec/local-key-v1.md.
// Start with Type; keyfile.go reads the file, cipher.go encrypts.
package local

import (
	"path/filepath"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
)

// Type is the kind of key service named "local".
type Type struct{}

// NewType returns the Type.
func NewType() *Type { return &Type{} }

// Name is "local".
func (*Type) Name() string { return "local" }

// settings are the fields of a key of this type.
type settings struct {
	// File is the key file, as an absolute path on the node.
	File string `yaml:"file"`
}

// Open checks the settings. Each call reads the file, so that a rotation takes effect
// at once; the file need not exist yet.
func (*Type) Open(from key.Settings) (key.Key, error) {
	var s settings
	problems := strict.DecodeMap(from.Fields, &s)
	if !from.ByOperator {
		problems.Add("file", "a key of type local is a file of the node, so only the operator's configuration may name it")
	}
	if !filepath.IsAbs(s.File) {
		problems.Add("file", "must be the absolute path of the key file on this node")
	}
	if len(problems) > 0 {
		return nil, fault.Fail(fault.ErrInvalid, problems)
	}
	opened := &localKey{path: filepath.Clean(s.File)}
	if from.NameOnly {
		return key.Named(opened.Name(), ""), nil
	}
	return opened, nil
}

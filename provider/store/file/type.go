// Package file is the store of files: a directory tree on the node that the
// operator has named, each file one secret. It is for files that other agents
// write, and for development.
//
// There is no way out of the tree: not by "..", not by an absolute path, not by
// a symbolic link, and not by changing any of them while a file is read. The
// package never writes and never reads anything but regular files. Who may
// read is not decided here but by the store's allow list, since a node's files
// know nothing of pods. Start with Type.
package file

import (
	"path/filepath"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

// Type is the kind of store named "file".
type Type struct{}

// NewType returns the Type.
func NewType() *Type { return &Type{} }

// Name is "file".
func (*Type) Name() string { return "file" }

// WorkloadSettings is empty: the directory is the operator's alone.
func (*Type) WorkloadSettings() []string { return nil }

// ReadsAsNode implements store.NodeReader: the files are the node's.
func (*Type) ReadsAsNode(store.Settings) bool { return true }

// NodeSettings implements store.NodeReader.
func (*Type) NodeSettings() []string { return nil }

// settings are the fields of a store of this type.
type settings struct {
	// Root is the directory, as an absolute path on the node.
	Root string `yaml:"root"`
}

// Open checks the settings. The directory need not exist yet: the agent that
// writes it may start later, and until then reads are unavailable.
func (*Type) Open(from store.Settings) (store.Store, error) {
	if !from.ByOperator {
		return nil, fault.Fail(fault.ErrInvalid, strict.Problems{{Field: "root", Text: "a store of type file reads the node's files, so only the operator's configuration file may define one; use a store that it names"}})
	}
	var s settings
	problems := strict.DecodeMap(from.Fields, &s)
	switch {
	case s.Root == "":
		problems.Add("root", "is missing; give the absolute path of a directory on the node")
	case !filepath.IsAbs(s.Root):
		problems.Add("root", "must be an absolute path on the node")
	}
	if len(problems) > 0 {
		return nil, fault.Fail(fault.ErrInvalid, problems)
	}
	return &fileStore{root: filepath.Clean(s.Root)}, nil
}

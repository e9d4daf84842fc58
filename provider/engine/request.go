// Package engine turns a Request into a Volume. It plans
// what a class asks for, takes what it can from its cache, reads the rest from
// the stores as the pod's own identity, renders, and returns files.
//
// Front doors (server/csi, the mount command) make Requests; dialects turn a
// class's parameters into a spec.Class; stores hold the values. Nothing in here
// knows gRPC, and nothing above knows a store. Start with Engine.Mount.
package engine

import (
	"io/fs"

	"github.com/lanyardhq/lanyard/provider/identity"
)

// Request asks for the files of one volume.
type Request struct {
	// Dialect names the syntax of Parameters.
	Dialect string
	// Parameters are the SecretProviderClass's parameters, which the pod's
	// volume attributes may have overwritten: untrusted input.
	Parameters map[string]string
	// Identity is the pod that the volume is for.
	Identity identity.Identity
	// Mode is the mode of files whose object names none; zero means 0644.
	Mode fs.FileMode
}

// Volume is the whole content of one volume: a file that is absent here is to
// be absent there.
type Volume struct {
	Files []File
	// Versions has at least one entry, and the IDs are unique.
	Versions []Version
}

// File is one file of a volume.
type File struct {
	// Path is relative to the volume, clean, with forward slashes.
	Path string
	// Mode holds permission bits only.
	Mode fs.FileMode
	// Contents are the plain bytes and must not be changed: volumes share them.
	Contents []byte
}

// Version says which version of an object a volume holds. It changes when the
// object's value does and only then, and reveals nothing about the value.
type Version struct {
	// ID is the object's path, or its name if it has no file of its own.
	ID      string
	Version string
}

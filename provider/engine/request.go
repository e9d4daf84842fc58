// Package engine turns a Request into a Volume. It plans
// what a class asks for, takes what it can from its cache, reads the rest from
// the stores as the pod's own identity, renders, and returns files.
//
// Front doors (server/csi, the mount command) make Requests; dialects turn a
// class's parameters into a spec.Class; stores hold the values. Nothing in here
// knows gRPC, and nothing above knows a store. Start with Engine.Mount.
package engine

import (
	"crypto/sha256"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// Request asks for the files of one volume.
type Request struct {
	// Dialect names the syntax of Parameters.
	Dialect string
	// Parameters are the SecretProviderClass's parameters, which the pod's
	// volume attributes may have overwritten: untrusted input.
	Parameters map[string]string
	// Class is what records call the class, or the object that asks for its values.
	Class string
	// Identity is the pod that the volume is for.
	Identity identity.Identity
	// Mode is the mode of files whose object names none; zero means 0644.
	Mode fs.FileMode
	// Repeated says that the files are written anew at each request. Without it the first
	// request of a pod for a class gets what its stores hold now, to within
	// cache.startAge, because a process may keep what it reads at its start.
	Repeated bool
	// NotBefore asks for values that were read at that time or later, however young those
	// in memory are; zero asks for none.
	NotBefore time.Time
	// Prepared is shared by requests with equal Dialect, Parameters and Identity, which
	// nobody may change any more; nil means that there is one such request.
	Prepared *Prepared
	// Delivery holds the memory of the volume until it is delivered; nil means that it
	// is delivered when Mount returns.
	Delivery *Delivery
	// Outlook is filled in when Mount returns a volume, for who reads again by itself;
	// nil is for who does not.
	Outlook *Outlook
}

// Outlook is what will become of a volume.
type Outlook struct {
	// Due is when the first of its values is to be read again.
	Due time.Time
	// Stale is how many of its values are past their refresh, and stand in because their
	// store is unavailable.
	Stale int
}

// Prepared is what was worked out of requests that are equal but for what each asks of its
// own mount. The zero Prepared is for the first of them. It is safe for concurrent use.
type Prepared struct {
	once     sync.Once
	identity identity.Key // without the cluster, which the configuration names
	class    [sha256.Size]byte
}

// prepared returns the Prepared of a request.
func (r *Request) prepared() *Prepared {
	p := r.Prepared
	if p == nil {
		p = new(Prepared)
	}
	p.once.Do(func() { p.identity, p.class = r.Identity.Key(), digestOf(r.Dialect, r.Parameters) })
	return p
}

// Delivery is the way of a volume to who asked for it. It is for one Mount, and for one
// goroutine at a time.
type Delivery struct{ budget *budget }

// hold keeps the budget until Done; without a Delivery the volume is delivered.
func (d *Delivery) hold(b *budget) {
	if d == nil {
		b.release()
		return
	}
	d.budget = b
}

// Holds says whether memory is held until Done: a small volume from memory needs none.
func (d *Delivery) Holds() bool { return d.budget != nil }

// Done says that the volume is delivered, or that it never will be.
func (d *Delivery) Done() {
	if d.budget != nil {
		d.budget.release()
		d.budget = nil
	}
}

// Volume is the whole content of one volume: a file that is absent here is to
// be absent there.
type Volume struct {
	Files []File
	// Versions has at least one entry, and the IDs are unique.
	Versions []Version
	// Absent are the optional objects that have no file, in the class's order.
	Absent []Absence
	// Made is when the newest of the values was made, as far as their stores tell; zero
	// if none does.
	Made time.Time

	// fromCache are the objects of a record of a delivery from memory, once there was one.
	fromCache *atomic.Pointer[audit.Objects]
	// message is what Message returned.
	message *atomic.Pointer[any]
}

// Message returns what a front door makes of the volume. It is made once for all mounts
// that get the volume from memory, at the same time too, so that nobody may change it.
func (v *Volume) Message(of func(*Volume) any) any {
	if v.message == nil { // the volume is nobody else's
		return of(v)
	}
	if known := v.message.Load(); known != nil {
		return *known
	}
	message := of(v)
	v.message.Store(&message)
	return message
}

// Absence is why an optional object has no file.
type Absence struct {
	// ID is the object's path, or its name if it has no path.
	ID string
	// Reason is what the error would say if the object were not optional.
	Reason string
}

// size is about that of the message that the volume becomes, in bytes.
func (v *Volume) size() (bytes int64) {
	for i := range v.Files {
		bytes += int64(len(v.Files[i].Path)) + int64(len(v.Files[i].Contents)) + framing
	}
	return bytes
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

package kmsring

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/internal/reload"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/key"
)

// File is a loaded ring file.
type File struct {
	// Path is the file's path.
	Path string
	// Ring is the file's ring.
	Ring *Ring

	types []key.Type
	data  []byte
}

// Load loads the ring file at path. types are the known key services. The error is an
// *Error.
func Load(path string, types []key.Type) (*File, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	ring, err := Parse(data, types)
	if err != nil {
		return nil, explain(path, err)
	}
	return &File{Path: path, Ring: ring, types: types, data: data}, nil
}

// LoadNames is Load for a ring that only computes key IDs: it reads no files that
// settings name, such as certificates.
func LoadNames(path string, types []key.Type) (*Ring, error) {
	named := make([]key.Type, len(types))
	for i, t := range types {
		named[i] = nameOnly{t}
	}
	file, err := Load(path, named)
	if err != nil {
		return nil, err
	}
	return file.Ring, nil
}

// nameOnly opens keys by name only.
type nameOnly struct{ key.Type }

func (n nameOnly) Open(settings key.Settings) (key.Key, error) {
	settings.NameOnly = true
	return n.Type.Open(settings)
}

func explain(path string, err error) error {
	var problems strict.Problems
	if !errors.As(err, &problems) {
		problems = strict.Problems{{Text: err.Error()}}
	}
	return &Error{path, problems}
}

// Watcher applies changes of a ring file.
type Watcher struct {
	*reload.Watcher
	types []key.Type
	ring  *Ring // the one that holds
	apply func(*Ring) error
}

// NewWatcher returns a Watcher that calls apply with each new ring after that of
// file. When apply returns nil, the previous ring is closed, and no new use of it may
// begin; when it returns an error, the previous ring stays in force.
func NewWatcher(file *File, apply func(*Ring) error, registry prometheus.Registerer) *Watcher {
	w := &Watcher{types: file.types, ring: file.Ring, apply: apply}
	w.Watcher = reload.New(reload.File{
		Path: file.Path, Name: "key ring", Metrics: "lanyard_kms_ring",
		Read: func() ([]byte, error) { return read(file.Path) },
		Apply: func(content []byte) error {
			if err := w.follow(content); err != nil {
				return explain(file.Path, err)
			}
			return nil
		},
	}, file.data, registry)
	return w
}

// Ring returns the ring in force, for closing it after Run.
func (w *Watcher) Ring() *Ring { return w.ring }

// follow replaces the ring in force by that of a changed file.
func (w *Watcher) follow(content []byte) error {
	ring, err := parse(content, w.types, w.ring, time.Now())
	if err != nil {
		return err
	}
	if err := w.apply(ring); err != nil {
		ring.Close()
		return err
	}
	before := w.ring.String()
	w.ring.Close()
	if w.ring = ring; ring.String() != before {
		klog.InfoS("The new key ring", "keys", ring.String())
	}
	if next, at := ring.Pending(time.Now()); next != nil {
		klog.InfoS("The new write key was not in the ring to read before; it reads from now on and writes later: until then every plugin of the cluster must have the new ring", "key", next.Name, "writesFrom", at.UTC().Format(time.RFC3339), "writesNow", ring.previous.Name)
	}
	return nil
}

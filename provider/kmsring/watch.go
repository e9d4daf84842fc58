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

// File is a ring file as it was read.
type File struct {
	// Path is what it was read from.
	Path string
	// Ring is what it says.
	Ring *Ring

	types []key.Type
	data  []byte
}

// Load reads the ring file at path. types are the kinds of key service that
// there are. The error is an *Error.
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

// LoadNames is Load for a ring whose keys are only asked for their key IDs: of
// what their settings name, such as certificates, no file is read.
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

// nameOnly is a kind of key service whose keys have nothing but their names.
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

// Watcher makes changes of a ring file hold.
type Watcher struct {
	*reload.Watcher
	types []key.Type
	ring  *Ring // the one that holds
	apply func(*Ring) error
}

// NewWatcher returns a Watcher that calls apply with each new ring after that
// of file, which holds already. When apply returns nil, nobody may begin to use
// the ring before, which is closed then; when it returns an error, that ring
// still holds.
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

// Ring is the ring that holds, for who closes it after Run has ended.
func (w *Watcher) Ring() *Ring { return w.ring }

// follow puts the ring of a changed file in the place of the one that holds.
func (w *Watcher) follow(content []byte) error {
	ring, err := parse(content, w.types, w.ring, time.Now())
	if err != nil {
		return err
	}
	if err := w.apply(ring); err != nil {
		ring.Close()
		return err
	}
	w.ring.Close()
	w.ring = ring
	klog.InfoS("The new key ring", "keys", ring.String())
	if next, at := ring.waits(time.Now()); next != nil {
		klog.InfoS("The new write key was not in the ring to read before; it reads from now on and writes later: until then every plugin of the cluster must have the new ring", "key", next.Name, "writesFrom", at.UTC().Format(time.RFC3339), "writesNow", ring.previous.Name)
	}
	return nil
}

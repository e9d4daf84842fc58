package sealed

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/seal"
)

// ringFile is a key ring that follows its file. It has no watcher: each use costs one
// stat.
type ringFile struct {
	path string
	// services include the key that wraps the ring's private keys.
	services []*seal.ServiceKey

	mu       sync.Mutex
	ring     *seal.KeyRing // the last good one
	read     fs.FileInfo   // the file that ring was read from
	reported string        // the problem that the last look found and that was logged; empty if none
}

func openRing(path string, services []*seal.ServiceKey) (*ringFile, error) {
	f := &ringFile{path: path, services: services}
	if err := f.reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// current returns the file's ring, or the last good one while the file is missing or
// invalid. It logs each new problem once.
func (f *ringFile) current() *seal.KeyRing {
	f.mu.Lock()
	defer f.mu.Unlock()
	problem := ""
	err := f.reload()
	if err != nil {
		problem = err.Error()
	}
	if problem != "" && problem != f.reported {
		klog.ErrorS(err, "The key ring cannot be read; values are opened with the one read before", "path", f.path)
	}
	f.reported = problem
	return f.ring
}

// reload reads the file if it changed. The stat comes first, so that the next reload
// notices a change during the read.
func (f *ringFile) reload() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	if f.read != nil && sameFile(f.read, info) {
		return nil
	}
	ring, err := seal.ReadKeyRing(f.path)
	if err != nil {
		return err
	}
	if ring.WrappedBy() != "" {
		with, err := f.wrapper(ring.WrappedBy())
		if err != nil {
			return err
		}
		ring = ring.Unlock(with, f.ring)
	}
	if f.ring != nil {
		f.ring.Lock()
		klog.InfoS("Read the key ring anew", "path", f.path, "keys", len(ring.Keys()), "writeKey", ring.Public().ID().String())
	}
	f.ring, f.read = ring, info
	return nil
}

// wrapper returns the key that wraps the ring's private keys. It must use the node's
// credentials: the private keys open the values of every pod.
func (f *ringFile) wrapper(name string) (*seal.ServiceKey, error) {
	i := slices.IndexFunc(f.services, func(s *seal.ServiceKey) bool { return s.Name() == name })
	switch {
	case i < 0:
		return nil, fmt.Errorf("%s: the private keys are wrapped by key %s, which is not named here; add it to the store's keys, with openAs: node", f.path, name)
	case !f.services[i].AsNode():
		return nil, fmt.Errorf("%s: the private keys are wrapped by key %s, which is asked as the pod; set its openAs to node", f.path, name)
	}
	return f.services[i], nil
}

// close forgets the unwrapped keys.
func (f *ringFile) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ring != nil {
		f.ring.Lock()
	}
}

// sameFile reports whether the file is unchanged. The mode counts, because a ring
// that others can read is refused.
func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && a.Mode() == b.Mode()
}

package migrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// checkpointKind is what a checkpoint file's field kind says.
const checkpointKind = "lanyard.kms-migration.v1"

// Checkpoint is a file that remembers how far a run came. A nil Checkpoint
// remembers nothing. It is for one run at a time.
type Checkpoint struct {
	path string

	mu      sync.Mutex
	content checkpointFile
}

type checkpointFile struct {
	Kind string `json:"kind"`
	// Server is the API server that the run is on.
	Server string `json:"server"`
	// Resources are how far each of them is.
	Resources map[string]position `json:"resources"`
}

type position struct {
	// After is the last object up to which all are done.
	After string `json:"after,omitempty"`
	// Done is how many objects the resource had when all were done; 0 if they
	// are not, or if there were none.
	Done int `json:"done,omitempty"`
}

// OpenCheckpoint reads the checkpoint at path, or begins one if there is none.
// server is what the API server is called; another one's checkpoint is refused.
func OpenCheckpoint(path, server string) (*Checkpoint, error) {
	c := &Checkpoint{path: path, content: checkpointFile{Kind: checkpointKind, Server: server, Resources: map[string]position{}}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	var read checkpointFile
	if err := json.Unmarshal(data, &read); err != nil || read.Kind != checkpointKind {
		return nil, fmt.Errorf("%s is not a checkpoint of a migration; remove it, or name another file", path)
	}
	if read.Server != server {
		return nil, fmt.Errorf("%s is a checkpoint of a migration on %q, and this is %q; name another file", path, read.Server, server)
	}
	if read.Resources != nil {
		c.content = read
	}
	return c, nil
}

// Remove deletes the file when all is done.
func (c *Checkpoint) Remove() error {
	if c == nil {
		return nil
	}
	if err := os.Remove(c.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// at is how far a resource is.
func (c *Checkpoint) at(resource Resource) (after string, done int) {
	if c == nil {
		return "", 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.content.Resources[resource.String()]
	return p.After, p.Done
}

func (c *Checkpoint) reached(resource Resource, after string) error {
	return c.set(resource, position{After: after})
}

func (c *Checkpoint) finish(resource Resource, objects int) error {
	return c.set(resource, position{Done: objects})
}

// set writes the file whole or not at all.
func (c *Checkpoint) set(resource Resource, p position) error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.content.Resources[resource.String()] = p
	data, err := json.MarshalIndent(c.content, "", "  ")
	if err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(c.path), ".lanyard-*")
	if err != nil {
		return fmt.Errorf("the checkpoint cannot be written: %w", err)
	}
	_, err = next.Write(append(data, '\n'))
	if err = errors.Join(err, next.Close()); err == nil {
		err = os.Rename(next.Name(), c.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("the checkpoint cannot be written: %w", err), os.Remove(next.Name()))
	}
	return nil
}

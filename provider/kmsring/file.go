package kmsring

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/nodefile"
	"github.com/lanyardhq/lanyard/internal/proxy"
	"github.com/lanyardhq/lanyard/internal/strict"
)

// Kind is the required value of a ring file's field kind; it distinguishes ring files
// from other YAML.
const Kind = "lanyard.kms-ring.v1"

// The defaults and bounds of a ring's times.
const (
	defaultSettle = 5 * time.Minute
	defaultOutage = time.Hour
	maxTime       = 30 * 24 * time.Hour
)

// maxBytes is the maximum size of a ring file.
const maxBytes = 1 << 20

// ringFile is a ring file as YAML.
type ringFile struct {
	Kind   string        `yaml:"kind"`
	Settle time.Duration `yaml:"settle"`
	Outage time.Duration `yaml:"outage"`
	// Proxy is what leads to the key services.
	Proxy proxy.Settings `yaml:"proxy"`
	Keys  []ringKey      `yaml:"keys"`
}

// ringKey is one key of the file.
type ringKey struct {
	Name    string `yaml:"name"`
	State   State  `yaml:"state"`
	Epoch   uint32 `yaml:"epoch"`
	Cluster string `yaml:"cluster"`
	// Service is the key service: its type, and the type's own settings.
	Service map[string]any `yaml:"service"`
}

// Error holds the problems of a ring file.
type Error struct {
	// Path is the file; empty if there is none.
	Path string
	// Problems have their lines, where they can be told.
	Problems strict.Problems
}

// Error lists the problems as compilers do, one on each line: "ring.yaml:12:
// keys[0].state: must be write, read or retired".
func (e *Error) Error() string { return e.Problems.In(e.Path) }

// read returns the file's content. It refuses one that others can change, who could
// have secrets encrypted with a key of their own. The error is an *Error.
func read(path string) ([]byte, error) {
	data, err := nodefile.ReadTrusted(path, maxBytes)
	if err != nil {
		return nil, unreadable(path, err)
	}
	return data, nil
}

// unreadable names the file once; errors of package os name it again.
func unreadable(path string, err error) *Error {
	var inner *os.PathError
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return &Error{path, strict.Problems{{Text: "cannot be read: " + strings.TrimPrefix(strings.TrimPrefix(err.Error(), path+" "), path+": ")}}}
}

// decode decodes the YAML and checks everything that needs no key service.
func decode(data []byte) (ringFile, strict.Problems) {
	file := ringFile{Settle: defaultSettle, Outage: defaultOutage}
	problems := strict.Unmarshal(data, &file)
	return file, problems.With(file.problems())
}

// problems checks the decoded fields.
func (f ringFile) problems() strict.Problems {
	var found strict.Problems
	if f.Kind != Kind {
		found.Add("kind", "must be %s", Kind)
	}
	if f.Settle > maxTime {
		found.Add("settle", "must be at most %s", maxTime)
	}
	if f.Outage > maxTime {
		found.Add("outage", "must be at most %s", maxTime)
	}
	f.Proxy.Check(func(field, text string) { found.Add("proxy."+field, "%s", text) })
	if len(f.Keys) > maxKeys {
		found.Add("keys", "has %d keys, at most %d are possible", len(f.Keys), maxKeys)
		return found
	}
	writers, names := 0, map[string]int{}
	for i, k := range f.Keys {
		at := fmt.Sprintf("keys[%d]", i)
		if !message.IsPlainName(k.Name, maxName) {
			found.Add(at+".name", "must be 1 to %d letters, digits, dots, dashes and underscores", maxName)
		} else if first, twice := names[k.Name]; twice {
			found.Add(at+".name", "is the name of keys[%d] too; give each key a name of its own", first)
		}
		names[k.Name] = i
		switch k.State {
		case StateWrite:
			writers++
		case StateRead, StateRetired:
		default:
			found.Add(at+".state", "must be write, read or retired")
		}
		if k.Cluster != "" && !message.IsPlainName(k.Cluster, maxCluster) {
			found.Add(at+".cluster", "must be at most %d letters, digits, dots, dashes and underscores", maxCluster)
		}
	}
	if writers != 1 {
		found.Add("keys", "has %d keys with state write, there must be exactly one", writers)
	}
	return found
}

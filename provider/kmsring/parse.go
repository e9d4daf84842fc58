package kmsring

import (
	"bytes"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/proxy"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/key"
)

// Parse parses a ring file and opens its keys without a remote call. types are the
// known key services. The error is a strict.Problems that names every wrong field,
// including those of key services, and quotes no value.
func Parse(data []byte, types []key.Type) (*Ring, error) {
	return parse(data, types, nil, time.Time{})
}

// parse returns the ring that follows before; before is nil for the first.
func parse(data []byte, types []key.Type, before *Ring, now time.Time) (*Ring, error) {
	file, problems := decode(data)
	if len(problems) == 0 {
		var ring *Ring
		if ring, problems = open(file, types, before); len(problems) == 0 {
			if problems = ring.follow(before, now); len(problems) == 0 {
				return ring, nil
			}
			ring.Close()
		}
	}
	return nil, located(data, problems)
}

// open opens the keys of a file, or shares those of the previous ring.
func open(file ringFile, types []key.Type, before *Ring) (*Ring, strict.Problems) {
	ring := &Ring{Settle: file.Settle, Outage: file.Outage}
	var problems strict.Problems
	seen := map[string]int{}
	for i, k := range file.Keys {
		at := fmt.Sprintf("keys[%d]", i)
		o, wrong := openKey(k, file.Proxy, at+".service", types, before)
		if len(wrong) > 0 {
			problems = append(problems, wrong...)
			continue
		}
		entry := &Entry{Name: k.Name, State: k.State, Epoch: k.Epoch, Cluster: k.Cluster, service: o.key.Name(), opened: o, index: i}
		ring.entries = append(ring.entries, entry)
		if k.State == StateWrite {
			ring.write = entry
		}
		identity := entry.identity()
		if first, twice := seen[identity]; twice {
			problems = append(problems, strict.Problem{Field: at, Text: fmt.Sprintf("is the same key as keys[%d]; remove one of them, or set the newer one apart by an epoch of its own", first)})
		}
		seen[identity] = i
	}
	if len(problems) > 0 {
		ring.Close()
		return nil, problems
	}
	return ring, nil
}

// openKey opens one key, or shares the previous ring's if its settings are equal. Of
// a retired key it opens the name only: its service may be gone, which must not stop
// the plugin.
func openKey(k ringKey, via proxy.Settings, at string, types []key.Type, before *Ring) (*opened, strict.Problems) {
	retired := k.State == StateRetired
	if before != nil {
		for _, entry := range before.entries {
			if entry.opened.opens(k.Service, via, retired) {
				entry.opened.retain()
				return entry.opened, nil
			}
		}
	}
	made, problems := func() (key.Key, strict.Problems) {
		if retired {
			return key.OpenName(types, k.Service, at)
		}
		return key.Open(types, k.Service, via, at)
	}()
	if len(problems) > 0 {
		return nil, problems
	}
	return newOpened(made, k.Service, via, retired), nil
}

// located adds line numbers.
func located(data []byte, problems strict.Problems) strict.Problems {
	document, err := strict.Next(yaml.NewDecoder(bytes.NewReader(data)))
	if err != nil || len(document.Content) != 1 {
		return problems
	}
	for i := range problems {
		if problems[i].Line == 0 && problems[i].Field != "" {
			at, _, _ := strict.Find(document.Content[0], problems[i].Field)
			problems[i].Line, problems[i].Column = at.Line, at.Column
		}
	}
	return problems
}

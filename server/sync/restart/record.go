package restart

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
)

// kind is the kind of a source.
type kind string

const (
	kindClass  kind = "class"  // a SecretProviderClass that pods mount
	kindSecret kind = "secret" // a Secret that Lanyard writes
)

// source is what has versions, in the namespace of the workload that reads it.
type source struct {
	kind kind
	name string
}

// String is the name of the source in messages and records.
func (s source) String() string { return string(s.kind) + " " + s.name }

// versions are the versions of the objects of a source by their names.
type versions map[string]string

// absent is the version of an optional object without a value (provider/engine).
const absent = "absent"

const (
	// maxVersion is the length from which a version is replaced by its hash: other
	// providers' versions may be of any length.
	maxVersion = 64
	// maxObjects is how many objects of one source are recorded one by one. All of
	// a larger one are recorded as one, so that a record stays a small part of the
	// 256 KiB that the annotations of an object may have.
	maxObjects = 100
	// maxSources bounds the sources of a workload.
	maxSources = 100
	// everything is the name under which they are.
	everything = "(all objects)"
)

// shorten returns versions of bounded size that differ where the given ones do.
func shorten(all versions) versions {
	short := make(versions, min(len(all), maxObjects))
	if len(all) <= maxObjects {
		for id, version := range all {
			if len(version) > maxVersion {
				version = digest(version)
			}
			short[id] = version
		}
		return short
	}
	var parts []string
	shared := ""
	for _, id := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, id, all[id])
		shared = cmp.Or(shared, fingerprint(all[id]))
	}
	short[everything] = digest(parts...)
	if shared != "" {
		short[everything] = shared + "-" + short[everything]
	}
	return short
}

// digest is a short hash of texts.
func digest(parts ...string) string {
	hash := sha256.New()
	for _, part := range parts {
		_, _ = fmt.Fprintf(hash, "%d %s", len(part), part)
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

// digest tells whether versions are equal without showing them one by one.
func (v versions) digest() string {
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(v)) {
		parts = append(parts, id, v[id])
	}
	return digest(parts...)[:12]
}

// keyed is the form of a version that provider/engine makes: what tells its key, and
// a keyed hash.
var keyed = regexp.MustCompile(`^([0-9a-f]{8})-[0-9a-f]{32}$`)

// fingerprint tells the key and the form of a version of Lanyard's; others have none.
func fingerprint(version string) string {
	if parts := keyed.FindStringSubmatch(version); parts != nil {
		return parts[1]
	}
	return ""
}

// valueChanged says whether versions that differ show that a value changed. Those of
// two fingerprints do not: the key of versions was lost, a new Lanyard hashes in another
// way, or Lanyard took the place of another provider. If a value changes at that very
// moment, nothing tells.
func valueChanged(a, b string) bool {
	return a == absent || b == absent || fingerprint(a) == fingerprint(b)
}

// change is an object of a source whose version is another than before.
type change struct {
	source       source
	id, from, to string
}

// String tells people of the change.
func (c change) String() string {
	return fmt.Sprintf("%s: %s changed from version %s to %s", c.source, message.Printable(c.id), brief(c.from), brief(c.to))
}

// brief is enough of a version to tell it from another.
func brief(version string) string {
	if fingerprint(version) != "" {
		_, version, _ = strings.Cut(version, "-")
	}
	if len(version) > 12 {
		version = version[:12]
	}
	return message.Printable(version)
}

// changes are the objects that both have, with versions that show another value. An
// object that was added or removed is none: no process has read an older value of it.
func changes(s source, from, to versions) []change {
	var found []change
	for _, id := range slices.Sorted(maps.Keys(to)) {
		if before, ok := from[id]; ok && before != to[id] && valueChanged(before, to[id]) {
			found = append(found, change{s, id, before, to[id]})
		}
	}
	return found
}

// record is what a workload's annotation keeps, so that the controller finds its
// place again after a restart and several changes are one.
type record struct {
	// Versions are, by source, those that the workload's pods are known to have
	// started with, or that it is being rolled out for.
	Versions map[string]versions `json:"versions"`
	// Rollout is the last one.
	Rollout *rollout `json:"rollout,omitempty"`
}

// rollout is a rollout that the controller began.
type rollout struct {
	At time.Time `json:"at"`
	// For is the digest of the new versions by source.
	For map[string]string `json:"for"`
	// Short is how many pods were not available before it began. They are not held
	// against it.
	Short int `json:"short,omitempty"`
	// Failed is when it was found not to get ready.
	Failed *time.Time `json:"failed,omitempty"`
	// Ready says that it got ready, in time or later.
	Ready bool `json:"ready,omitempty"`
}

// running says whether the rollout takes a place of the budget.
func (r *rollout) running() bool { return r != nil && !r.Ready && r.Failed == nil }

// failing says whether the rollout did not get ready and still is not.
func (r *rollout) failing() bool { return r != nil && !r.Ready && r.Failed != nil }

// parseRecord reads an annotation; without one there is no record.
func parseRecord(text string) (*record, error) {
	if text == "" {
		return nil, nil
	}
	found := &record{}
	if err := json.Unmarshal([]byte(text), found); err != nil || found.Versions == nil {
		return nil, errors.New("is no record of versions; it is made anew")
	}
	large := len(found.Versions) > maxSources || found.Rollout != nil && len(found.Rollout.For) > maxSources
	for _, of := range found.Versions {
		large = large || len(of) > maxObjects
	}
	if large {
		return nil, errors.New("holds more than Lanyard writes; it is made anew")
	}
	return found, nil
}

// text is the record's annotation.
func (r *record) text() string {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // it has only strings, numbers and times
	}
	return string(text)
}

// clone is a copy that may be changed.
func (r *record) clone() *record {
	if r == nil {
		return &record{Versions: map[string]versions{}}
	}
	copied := &record{Versions: maps.Clone(r.Versions)}
	if r.Rollout != nil {
		last := *r.Rollout
		copied.Rollout = &last
	}
	return copied
}

package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lanyardhq/lanyard/provider/identity"
)

// ErrUnversioned is wrapped by the errors of a Historian for a reference whose secret has
// no versions. It is no kind of failure.
var ErrUnversioned = errors.New("has no versions")

// MaxVersions is how many versions of a secret a Historian lists at most: the newest.
const MaxVersions = 100

// Historian is a Store that can list the versions of a secret. It reads no value for that.
type Historian interface {
	Store

	// HasVersions says whether Reference.Version can name a version of what ref names.
	// It makes no call: nil may turn out to be wrong. The error wraps ErrUnversioned and
	// says what to do in its place. ref has passed Check.
	HasVersions(ref Reference) error

	// Versions lists the versions that the store knows of the secret that ref names,
	// whatever version ref itself names: the newest first, at most MaxVersions. It keeps
	// to what Store.Read promises of identities, calls and ctx. An error wraps a kind of
	// package fault, ErrUnversioned, or ctx.Err. ref has passed Check.
	Versions(ctx context.Context, as identity.Identity, ref Reference) ([]VersionInfo, error)
}

// VersionInfo is what a store tells of one version of a secret. It never holds a value.
type VersionInfo struct {
	// Version is the version as Reference.Version takes it.
	Version string
	// Made is when the version was made; zero if the store does not say.
	Made time.Time
	// Ends is when the version expires or is deleted, or has; zero if the store sets no
	// such time.
	Ends time.Time
	// State says whether the version can be read.
	State VersionState
	// Labels are the store's own names of the version, sorted: staging labels, labels or
	// aliases.
	Labels []string
	// Chosen says that this is the version that the reference names.
	Chosen bool
}

// VersionState is what has become of a version.
type VersionState string

// The states of a version.
const (
	// StateCurrent is that of the version that a reference without a version reads.
	StateCurrent VersionState = "current"
	// StateAvailable is that of another version that can be read.
	StateAvailable VersionState = "available"
	// StateDeprecated is that of a version that can be read until the store removes it,
	// which it may do at any time.
	StateDeprecated VersionState = "deprecated"
	// StateDisabled is that of a version that can be read once it is enabled again.
	StateDisabled VersionState = "disabled"
	// StateDeleted is that of a version that can be read once it is undeleted.
	StateDeleted VersionState = "deleted"
	// StateDestroyed is that of a version whose value is gone.
	StateDestroyed VersionState = "destroyed"
)

// Readable says whether a version in this state can be read.
func (s VersionState) Readable() bool {
	return s == StateCurrent || s == StateAvailable || s == StateDeprecated
}

// Newest is what a Historian returns of the versions that it found: at most MaxVersions,
// ordered by time and, where that is equal, by number. Chosen is set for the version that
// has the name, or a label of that name; without a name, for the current one.
func Newest(versions []VersionInfo, name string) []VersionInfo {
	slices.SortStableFunc(versions, func(a, b VersionInfo) int {
		return cmp.Or(b.Made.Compare(a.Made), cmp.Compare(len(b.Version), len(a.Version)), cmp.Compare(b.Version, a.Version))
	})
	for i := range versions {
		v := &versions[i]
		slices.Sort(v.Labels)
		v.Chosen = name == "" && v.State == StateCurrent || name != "" && (v.Version == name || slices.Contains(v.Labels, name))
	}
	return versions[:min(len(versions), MaxVersions)]
}

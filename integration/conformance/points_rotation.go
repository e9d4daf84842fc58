package conformance

import (
	"bytes"
	"context"
	"crypto/md5"  //nolint:gosec // what a version must not be
	"crypto/sha1" //nolint:gosec // what a version must not be
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

func rotationPoints() []Point {
	return []Point{
		{
			ID: "R-01", Promise: "a changed value is in the answer within the time that the provider names",
			Source: nodePublish, Why: "rotation is nothing but mounting again",
			check: func(ctx context.Context, s *session) error {
				_, _, err := s.rotate(ctx)
				return err
			},
		},
		{
			ID: "R-02", Promise: "with a changed value comes a changed version",
			Source: podStatus, Why: "the versions in the pod's status are how people and tools see that a rotation arrived",
			check: func(ctx context.Context, s *session) error {
				before, after, err := s.rotate(ctx)
				if err != nil {
					return err
				}
				if err := sameVersions(before.versions(), after.versions()); err == nil {
					return fmt.Errorf("the value changed and the versions are still %v", after.versions())
				}
				return nil
			},
		},
		{
			ID: "R-03", Promise: "an unchanged value keeps its version, content and mode, however often it is mounted",
			Source: shouldWrite, Why: "what differs is written again, and each write wakes every process that watches the volume",
			check: unchanged,
		},
		{
			ID: "R-04", Promise: "a value deleted at the store is never replaced by an empty one",
			Source: pathsToRemove, Why: "on an error the driver leaves the volume as it is; an answer with an empty file takes the credential from a running pod",
			check: deleted,
		},
		{
			ID: "R-05", Promise: "a version is neither the value nor a plain hash of it",
			Source: podStatus, Why: "the driver writes it into a SecretProviderClassPodStatus, which many people may read, and a weak secret can be guessed from its hash",
			check: versionsTellNothing,
		},
		{
			ID: "R-06", Promise: "mounts within the refresh interval do not read the store again",
			Source: nodePublish, Why: "with rotation on, every volume of a node is mounted again about every 80 s whether or not anything changed", Optional: true,
			needs: []func(*Provider) string{countedReads},
			check: fewReads,
		},
	}
}

// rotate changes a value and returns the answers with the old one and the new.
func (s *session) rotate(ctx context.Context) (before, after answer, err error) {
	owner := s.Accounts[0]
	pod := s.newPod(owner)
	object, value, err := s.putNew(ctx, owner, "rotated")
	if err != nil {
		return before, after, err
	}
	before, err = s.mountPod(ctx, pod, owner, object)
	if err := expect(before, err, map[string][]byte{object.Path: value}); err != nil {
		return before, after, err
	}
	changed := newValue()
	if _, err := s.put(ctx, owner, "rotated", changed); err != nil {
		return before, after, err
	}
	err = s.eventually(ctx, "the changed value", func() (bool, error) {
		after, err = s.mountPod(ctx, pod, owner, object)
		if err != nil {
			return false, err
		}
		return bytes.Equal(after.files()[object.Path], changed), after.ok()
	})
	return before, after, err
}

func unchanged(ctx context.Context, s *session) error {
	const times = 12
	owner := s.Accounts[0]
	pod := s.newPod(owner)
	object, value, err := s.putNew(ctx, owner, "same")
	if err != nil {
		return err
	}
	want := map[string][]byte{object.Path: value}
	first, err := s.mountPod(ctx, pod, owner, object)
	if err := expect(first, err, want); err != nil {
		return err
	}
	for range times {
		// Longer than the refresh interval in all, so that the store is read
		// again too.
		if err := s.clock.pause(ctx, min(s.Refresh, s.RotatesWithin)*3/2/times); err != nil {
			return err
		}
		again, err := s.mountPod(ctx, pod, owner, object)
		if err := expect(again, err, want); err != nil {
			return err
		}
		if err := sameVersions(first.versions(), again.versions()); err != nil {
			return err
		}
		if before, now := first.response.GetFiles()[0].GetMode(), again.response.GetFiles()[0].GetMode(); before != now {
			return fmt.Errorf("the mode was %#o and is %#o", before, now)
		}
	}
	return nil
}

func deleted(ctx context.Context, s *session) error {
	owner := s.Accounts[0]
	pod := s.newPod(owner)
	object, value, err := s.putNew(ctx, owner, "deleted")
	if err != nil {
		return err
	}
	want := map[string][]byte{object.Path: value}
	a, err := s.mountPod(ctx, pod, owner, object)
	if err := expect(a, err, want); err != nil {
		return err
	}
	if err := s.Delete(ctx, owner, object.Name); err != nil {
		return fmt.Errorf("the store could not be changed: %w", err)
	}
	// Either it is noticed or the old value is served on.
	end := s.clock.now().Add(min(2*s.Refresh, s.RotatesWithin))
	for {
		a, err := s.mountPod(ctx, pod, owner, object)
		if err != nil {
			return err
		}
		if _, failed := a.failure(); failed {
			return nil
		}
		if err := a.holds(want); err != nil {
			return fmt.Errorf("after the secret was deleted the mount succeeded, but %w", err)
		}
		if s.clock.now().After(end) {
			return nil
		}
		if err := s.clock.pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

func versionsTellNothing(ctx context.Context, s *session) error {
	owner := s.Accounts[0]
	object, value, err := s.putNew(ctx, owner, "versions")
	if err != nil {
		return err
	}
	a, err := s.mountNew(ctx, owner, object)
	if err := expect(a, err, map[string][]byte{object.Path: value}); err != nil {
		return err
	}
	md5Sum, sha1Sum, sha256Sum, sha512Sum := md5.Sum(value), sha1.Sum(value), sha256.Sum256(value), sha512.Sum512(value) //nolint:gosec // see above
	var w wrongs
	for id, version := range a.versions() {
		if shows(version, string(value)) || shows(id, string(value)) {
			w.add("an object version holds the value")
		}
		for name, sum := range map[string][]byte{"MD5": md5Sum[:], "SHA-1": sha1Sum[:], "SHA-256": sha256Sum[:], "SHA-512": sha512Sum[:]} {
			if holdsHash(version, sum) {
				w.add("the version of %q is the %s of the value, plain or cut off", id, name)
			}
		}
	}
	return w.err()
}

// holdsHash says whether a version holds a hash, or at least its first 8 bytes.
func holdsHash(version string, sum []byte) bool {
	const atLeast = 8
	for _, way := range []string{
		hex.EncodeToString(sum[:atLeast]), base64.RawStdEncoding.EncodeToString(sum)[:atLeast], base64.RawURLEncoding.EncodeToString(sum)[:atLeast],
	} {
		if strings.Contains(version, way) || strings.Contains(strings.ToLower(version), way) {
			return true
		}
	}
	return false
}

func fewReads(ctx context.Context, s *session) error {
	const times = 30
	owner := s.Accounts[0]
	object, value, err := s.putNew(ctx, owner, "polled")
	if err != nil {
		return err
	}
	want := map[string][]byte{object.Path: value}
	a, err := s.mountNew(ctx, owner, object)
	if err := expect(a, err, want); err != nil {
		return err
	}
	start, before := s.clock.now(), s.Reads()
	for range times {
		a, err := s.mountNew(ctx, owner, object)
		if err := expect(a, err, want); err != nil {
			return err
		}
	}
	// Providers may read somewhat early, so as not to read all at one time.
	took := s.clock.now().Sub(start)
	allowed := 1 + int(took/(s.Refresh/2))
	if reads := s.Reads() - before; reads > allowed {
		return fmt.Errorf("%d mounts in %s read the store %d times, with a refresh interval of %s", times, took.Round(time.Millisecond), reads, s.Refresh)
	}
	return nil
}

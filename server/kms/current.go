package kms

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/kmsring"
)

// current is what is known of the key that encrypts. It holds the one key ID
// that Status names. A key or a version of it becomes that only after this
// process has decrypted with it what it had encrypted, so that a key that can
// be written with and not read with is never announced.
type current struct {
	metrics *Metrics
	started time.Time

	mu    sync.Mutex
	ring  *kmsring.Ring
	entry *kmsring.Entry // of ring; nil until a key has proved itself
	keyID string         // of entry in the version that encrypts now
	// sample is what the probe has encrypted under keyID; empty if it has not.
	sample key.Ciphertext
	// order has the key IDs of entry that were named, by the time when each was
	// first; back is since when probes have found an earlier one again.
	order []string
	back  time.Time
	err   error     // why the last call failed; nil if it did not
	good  time.Time // when a call last succeeded
	// clock counts what begins and ends, and announced is the count at which
	// an Encrypt last named the key ID: what a probe saw that began before it
	// may be older.
	clock, announced uint64
}

// use is a key that is held for one call.
type use struct {
	entry   *kmsring.Entry
	keyID   string // that Status names; of another entry or version perhaps
	began   uint64
	release func()
}

func newCurrent(ring *kmsring.Ring, metrics *Metrics) *current {
	c := &current{ring: ring, metrics: metrics, started: time.Now()}
	metrics.follow(c)
	metrics.ring(ring)
	return c
}

// setRing replaces the ring; the key that Status names stays the same one.
func (c *current) setRing(ring *kmsring.Ring) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	same := ring.Same(c.entry)
	if c.entry != nil && (same == nil || same.State == kmsring.StateRetired) {
		return fmt.Errorf("key %s is what API servers write with now, because key %s has not worked yet; keep it with state read until that does", c.entry.Name, c.ring.Write(time.Now()).Name)
	}
	c.ring, c.entry = ring, same
	c.metrics.ring(ring)
	c.tell()
	return nil
}

// hold begins a call with the entry that choose picks.
func (c *current) hold(choose func(ring *kmsring.Ring, current *kmsring.Entry) (*kmsring.Entry, error)) (use, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, err := choose(c.ring, c.entry)
	if err != nil {
		return use{}, err
	}
	c.clock++
	return use{entry: entry, keyID: c.keyID, began: c.clock, release: entry.Hold()}, nil
}

// toEncrypt picks the key that Status names, though the ring say another that
// has not proved itself yet.
func toEncrypt(now time.Time) func(*kmsring.Ring, *kmsring.Entry) (*kmsring.Entry, error) {
	return func(ring *kmsring.Ring, current *kmsring.Entry) (*kmsring.Entry, error) {
		if current != nil {
			return current, nil
		}
		return ring.Write(now), nil
	}
}

// encrypted takes note of an Encrypt that has proved itself. What Status names
// next is what it returned.
func (c *current) encrypted(u use, keyID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry := c.ring.Same(u.entry)
	if c.entry == nil && entry != c.ring.Write(time.Now()) || c.entry != nil && entry != c.entry {
		return // the ring has moved on
	}
	c.clock++
	c.announced = c.clock
	c.announce(entry, keyID)
}

// probed takes note of a round trip by the probe, and of what it encrypted. It
// is told by Encrypts of what is newer.
func (c *current) probed(u use, keyID string, made key.Ciphertext) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry := c.ring.Same(u.entry)
	if entry == nil || entry != c.entry && entry != c.ring.Write(time.Now()) {
		return // the ring has moved on
	}
	if entry == c.entry && u.began < c.announced {
		c.announce(entry, c.keyID)
		return
	}
	c.announce(entry, keyID)
	c.sample = made
}

const (
	// backTime is how long probes must have found nothing but an earlier version
	// of the key before that is named again.
	backTime = 10 * time.Minute
	// mostVersions is how many key IDs are remembered in order.
	mostVersions = 16
)

// goesBack says whether a probe has found an earlier version than the one that
// is named, and returns what was encrypted under that, so that the probe can see
// whether it still decrypts. A key service may use either version for hours
// after one was made (docs/keys/gcp.md), and API servers take a new seed at each
// change of the key ID, after which all that was written is stale. So what the
// probe finds goes forward only, until backTime has passed. An Encrypt says what
// it used, whatever that is.
func (c *current) goesBack(u use, keyID, version string, now time.Time) (named string, sample key.Ciphertext) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entry == nil || c.ring.Same(u.entry) != c.entry || len(c.sample.Data) == 0 || !c.earlier(keyID, version) {
		c.back = time.Time{}
		return "", key.Ciphertext{}
	}
	if c.back.IsZero() {
		c.back = now
	}
	if now.Sub(c.back) >= backTime {
		return "", key.Ciphertext{}
	}
	return c.keyID, c.sample
}

// earlier says whether a version of entry is older than the one that is named.
// Where versions are numbers, as at Google, they say so, after a restart too.
// Elsewhere it is the order in which they were named.
func (c *current) earlier(keyID, version string) bool {
	found, err := strconv.ParseUint(version, 10, 32)
	named, namedErr := strconv.ParseUint(c.sample.Version, 10, 32)
	if err == nil && namedErr == nil {
		return found < named
	}
	before, at := slices.Index(c.order, keyID), slices.Index(c.order, c.keyID)
	return before >= 0 && before < at
}

func (c *current) announce(entry *kmsring.Entry, keyID string) {
	if c.entry != entry {
		c.order = nil
	}
	if c.entry != entry || c.keyID != keyID {
		c.sample, c.back = key.Ciphertext{}, time.Time{}
	}
	if !slices.Contains(c.order, keyID) {
		c.order = append(c.order, keyID)
		c.order = c.order[max(0, len(c.order)-mostVersions):]
	}
	if c.err != nil {
		klog.InfoS("The write key's service answers again", "key", entry.Name)
	}
	if c.keyID != keyID {
		klog.InfoS("API servers write with this key from now on", "key", entry.Name, "service", entry.Service(), "keyID", keyID)
	}
	c.entry, c.keyID, c.err, c.good = entry, keyID, nil, time.Now()
	c.tell()
}

// failed takes note of a call that failed with the key that Status names, or
// with the first one.
func (c *current) failed(u use, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if entry := c.ring.Same(u.entry); c.entry != nil && entry != c.entry {
		return
	}
	if u.began < c.announced {
		return // an Encrypt has succeeded since
	}
	if c.err == nil || c.err.Error() != err.Error() {
		klog.ErrorS(nil, "The write key cannot be used", "key", u.entry.Name, "cause", bounded(err.Error()))
	}
	c.err = err
	c.tell()
}

// tell sets the metrics.
func (c *current) tell() {
	name := ""
	if c.entry != nil {
		name = c.entry.Name
	}
	c.metrics.writes(name, c.err == nil && c.entry != nil)
}

// age is how long ago the write key was last known to work; since the start if
// it never was.
func (c *current) age(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.good.IsZero() {
		return now.Sub(c.started)
	}
	return now.Sub(c.good)
}

// silence is how old the last answer may be, beside three intervals of the
// probe.
const silence = 10 * time.Second

// status returns the key ID that Status may name, and why not all is well. An
// empty key ID makes API servers stop writing after their own three minutes.
//
// While the key service is unavailable, the key that has proved itself goes on
// being named: API servers do not ask for it, they write with the seed that
// they have, and what they write is read with the same key as all before it.
// See isKMSv2ProviderHealthyAndMaybeRotateDEK in
// k8s.io/apiserver/pkg/server/options/encryptionconfig, the same from v0.29 to
// v0.36. That ends with the ring's Outage. A key service that answers and refuses ends
// it at once: what is written then might never be read.
func (c *current) status(now time.Time, interval time.Duration) (keyID string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err = c.err
	switch {
	case c.entry == nil && err == nil:
		return "", fault.Fail(fault.ErrUnavailable, errors.New("the key service has not answered yet since the plugin started"))
	case c.entry == nil:
		return "", err
	case err == nil && now.Sub(c.good) > 3*interval+silence:
		err = fault.Fail(fault.ErrUnavailable, fmt.Errorf("key %s was last seen to work %s ago", c.entry.Name, now.Sub(c.good).Round(time.Second)))
	case err == nil:
		return c.keyID, nil
	}
	if fault.Of(err).StaleOK && now.Sub(c.good) <= c.ring.Outage {
		return c.keyID, err
	}
	return "", err
}

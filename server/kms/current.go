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

// current is the state of the key that encrypts. It holds the one key ID that Status
// names. A key, or a version of a key, becomes current only after this process has
// decrypted with it what it had encrypted, so that Status never names a key that can
// encrypt and cannot decrypt.
type current struct {
	metrics *Metrics
	started time.Time

	mu    sync.Mutex
	ring  *kmsring.Ring
	entry *kmsring.Entry // of ring; nil until a key has proved itself
	keyID string         // of entry in the version that encrypts now
	// sample is what the probe has encrypted under keyID; empty if it has not.
	sample key.Ciphertext
	// order has the key IDs of entry that Status named, by the time when it first
	// did; back is since when probes have seen an earlier one again.
	order []string
	back  time.Time
	// former are the keys that Status has named and does not name any more.
	former []*kmsring.Entry
	err    error     // why the last call failed; nil if it did not
	good   time.Time // when a call last succeeded
	// clock is a logical clock of calls, and announced its value when an Encrypt last
	// set the key ID: the result of a probe that began before may be older.
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
	// Once every key of the ring has settled, this is what writes.
	next := ring.Write(time.Now().Add(ring.Settle))
	if next != same && slices.ContainsFunc(c.former, func(e *kmsring.Entry) bool { return ring.Same(e) == next }) {
		return fmt.Errorf("key %s was the write key before key %s, and a key ID must not come back: API servers would take what was encrypted in between for up to date; leave both keys with state read, and add a copy of %s with its own name and epoch as the write key (see troubleshooting: write-key-comes-back)", next.Name, c.entry.Name, next.Name)
	}
	c.ring, c.entry = ring, same
	c.metrics.ring(ring)
	c.updateMetrics()
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

// toEncrypt picks the key that Status names, even if the ring has a newer write key
// that has not proved itself yet.
func toEncrypt(now time.Time) func(*kmsring.Ring, *kmsring.Entry) (*kmsring.Entry, error) {
	return func(ring *kmsring.Ring, current *kmsring.Entry) (*kmsring.Entry, error) {
		if current != nil {
			return current, nil
		}
		return ring.Write(now), nil
	}
}

// encrypted records an Encrypt whose ciphertext was decrypted again. Status names its
// key ID next.
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

// probed records a round trip of the probe and its ciphertext. An Encrypt that ended
// after the probe began is newer and wins.
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
	// backTime is how long probes must see only an earlier version of the key before
	// Status names that version again.
	backTime = 10 * time.Minute
	// maxVersions is the maximum number of key IDs in order.
	maxVersions = 16
)

// isRollback returns the current key ID and its sample if a probe used an earlier
// version of the key, so that the probe can check that the sample still decrypts. A
// key service may use either version for hours after a rotation (docs/keys/gcp.md),
// and API servers take a new seed at each change of the key ID, after which all
// that was written is stale. So probes move the key ID only forward until backTime
// has passed. An Encrypt always reports the version that it used.
func (c *current) isRollback(u use, keyID, version string, now time.Time) (named string, sample key.Ciphertext) {
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

// earlier says whether a version of entry is older than the current one. Versions
// that are numbers, as Google's are, are compared, after a restart too. For others
// the order counts in which Status named them.
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
		if c.entry != nil {
			c.former = append(c.former, c.entry)
		}
	}
	if c.entry != entry || c.keyID != keyID {
		c.sample, c.back = key.Ciphertext{}, time.Time{}
	}
	if !slices.Contains(c.order, keyID) {
		c.order = append(c.order, keyID)
		c.order = c.order[max(0, len(c.order)-maxVersions):]
	}
	if c.err != nil {
		klog.InfoS("The write key's service answers again", "key", entry.Name)
	}
	if c.keyID != keyID {
		klog.InfoS("API servers write with this key from now on", "key", entry.Name, "service", entry.Service(), "keyID", keyID)
	}
	c.entry, c.keyID, c.err, c.good = entry, keyID, nil, time.Now()
	c.updateMetrics()
}

// failed records a failed call with the current key, or with the first key while
// there is no current one.
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
	c.updateMetrics()
}

// updateMetrics sets the gauges of the write key.
func (c *current) updateMetrics() {
	name := ""
	if c.entry != nil {
		name = c.entry.Name
	}
	c.metrics.writes(name, c.err == nil && c.entry != nil)
}

// age returns the time since the write key last worked; since the start if it never
// did.
func (c *current) age(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.good.IsZero() {
		return now.Sub(c.started)
	}
	return now.Sub(c.good)
}

// silence is added to three probe intervals: a success that is older no longer proves
// that the key works.
const silence = 10 * time.Second

// status returns the key ID that Status may name, and the cause if the key does not
// work. An empty key ID makes API servers stop writing after their own three minutes.
//
// While the key service is unavailable, Status keeps naming the current key
// (stale-if-error): API servers write with the seed that they already have, and
// what they write is decrypted with the same key as everything before.
// See isKMSv2ProviderHealthyAndMaybeRotateDEK in
// k8s.io/apiserver/pkg/server/options/encryptionconfig, the same from v0.29 to
// v0.36. The ring's Outage limits that time. A refusal of the key service ends it at
// once, because what is written then might never be decrypted.
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

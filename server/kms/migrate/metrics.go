package migrate

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Metrics asks the API server that the objects are read from for its metrics,
// in Prometheus' text format.
type Metrics func(context.Context) ([]byte, error)

// The API server's metrics, of k8s.io/apiserver's packages storage/value and
// storage/value/encrypt/envelope/metrics; the same from v0.29 to v0.36.
const (
	// operations counts reads and writes by resource and what the bytes began
	// with.
	operations = "apiserver_storage_transformation_operations_total"
	// keyUses counts reads and writes with a key ID.
	keyUses = "apiserver_envelope_encryption_key_id_hash_total"
	// keyNamed is when a plugin's Status last named a key ID.
	keyNamed = "apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds"

	fromStorage = "from_storage"
)

// HashOf is what the API server's metrics call a key ID.
func HashOf(keyID string) string {
	sum := sha256.Sum256([]byte(keyID))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Names is the hash of the key ID with which the provider of an API server
// writes: the one that its plugin's Status named last. It is empty if the API
// server has no such provider.
func (m Metrics) Names(ctx context.Context, provider string) (hash string, err error) {
	seen, err := m.read(ctx)
	return seen.named[provider], err
}

// usage is what an API server has counted since it started.
type usage struct {
	// operations are reads that succeeded, by resource and prefix.
	operations map[[2]string]int
	keys       map[keyUse]int // reads with a key
	// named is the hash of the key ID that each provider's Status named last.
	named map[string]string
}

// keyUse is what a read with a key is counted by.
type keyUse struct {
	provider string
	hash     string // of the key ID
}

func (u usage) reads(resource string) int {
	n := 0
	for of, reads := range u.operations {
		if of[0] == resource {
			n += reads
		}
	}
	return n
}

// readsOfPlugins are those of what KMS v2 plugins have encrypted, but for the
// others.
func (u usage) readsOfPlugins(resource string, others []string) int {
	n := 0
	for of, reads := range u.operations {
		provider, isPlugin := strings.CutPrefix(of[1], "k8s:enc:kms:v2:")
		if of[0] == resource && isPlugin && !slices.Contains(others, strings.TrimSuffix(provider, ":")) {
			n += reads
		}
	}
	return n
}

func (m Metrics) read(ctx context.Context) (usage, error) {
	text, err := m(ctx)
	if err != nil {
		return usage{}, fmt.Errorf("the API server's metrics: %w", err)
	}
	found := usage{operations: map[[2]string]int{}, keys: map[keyUse]int{}, named: map[string]string{}}
	latest := map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		name, rest, labelled := strings.Cut(lines.Text(), "{")
		if !labelled || name != operations && name != keyUses && name != keyNamed {
			continue
		}
		labels, value, err := sample(rest)
		if err != nil {
			return usage{}, fmt.Errorf("the API server's metrics: %s: %w", name, err)
		}
		switch {
		case name == operations && labels["transformation_type"] == fromStorage && labels["status"] == "OK":
			found.operations[[2]string{labels["resource"], labels["transformer_prefix"]}] += int(value)
		case name == keyUses && labels["transformation_type"] == fromStorage:
			found.keys[keyUse{labels["provider_name"], labels["key_id_hash"]}] += int(value)
		case name == keyNamed && value > latest[labels["provider_name"]]:
			latest[labels["provider_name"]], found.named[labels["provider_name"]] = value, labels["key_id_hash"]
		}
	}
	return found, lines.Err()
}

// sample reads what comes after the name and the brace: labels, whose values
// are hashes, names and prefixes and so hold no escapes but in quotes, and the
// value.
// https://prometheus.io/docs/instrumenting/exposition_formats/
func sample(text string) (labels map[string]string, value float64, err error) {
	labels = map[string]string{}
	for !strings.HasPrefix(text, "}") {
		name, rest, ok := strings.Cut(strings.TrimPrefix(text, ","), "=")
		quoted, err := strconv.QuotedPrefix(rest)
		if !ok || err != nil {
			return nil, 0, fmt.Errorf("the labels cannot be read: %q", text)
		}
		if labels[name], err = strconv.Unquote(quoted); err != nil {
			return nil, 0, fmt.Errorf("the labels cannot be read: %q", text)
		}
		text = rest[len(quoted):]
	}
	value, err = strconv.ParseFloat(strings.TrimSpace(strings.TrimPrefix(text, "}")), 64)
	return labels, value, err
}

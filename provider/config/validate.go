package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/lanyardhq/lanyard/internal/address"
	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/proxy"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// Validate says what is wrong with the values themselves: what is out of
// range, missing or malformed. What the stores' own settings mean is not
// looked at; Engine.Configure does that too.
func (c Config) Validate() spec.Problems {
	var problems spec.Problems
	wrong := func(field, format string, args ...any) {
		problems = append(problems, spec.Problem{Field: field, Text: fmt.Sprintf(format, args...)})
	}
	if !message.IsPlainName(c.Cluster, 253) && c.Cluster != "" {
		wrong("cluster", "must be at most 253 letters, digits, dots, dashes and underscores")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Stores)) {
		if !message.IsPlainName(name, 63) {
			wrong("stores."+name, "a store's name must be at most 63 letters, digits, dots, dashes and underscores; rename it")
		}
		if c.Stores[name].Type == "" {
			wrong("stores."+name+".type", "missing; say what kind of store it is, such as vault or file")
		}
	}
	for i, pattern := range c.Policy.ClassStores {
		if err := address.Check(pattern); err != nil {
			wrong(fmt.Sprintf("policy.classStores[%d]", i), "%s", err)
		}
	}
	proxy.Settings(c.Proxy).Check(func(field, text string) { wrong("proxy."+field, "%s", text) })
	if file := c.Cache.VersionKeyFile; file != "" && !filepath.IsAbs(file) {
		wrong("cache.versionKeyFile", "must be an absolute path")
	}
	if name := c.Cache.VersionKeySecret; name != "" {
		if !message.IsPlainName(name, 253) {
			wrong("cache.versionKeySecret", "must be the name of a Secret: at most 253 letters, digits, dots and dashes")
		}
		if c.Cache.VersionKeyFile != "" {
			wrong("cache.versionKeySecret", "is of no use beside cache.versionKeyFile; remove one of the two")
		}
	}

	for _, d := range []struct {
		field            string
		value, low, high time.Duration
	}{
		{"cache.refresh", c.Cache.Refresh, time.Second, 30 * 24 * time.Hour},
		{"cache.startAge", c.Cache.StartAge, 0, 30 * 24 * time.Hour},
		{"cache.staleOnError", c.Cache.StaleOnError, 0, 30 * 24 * time.Hour},
		{"cache.idle", c.Cache.Idle, 2 * time.Minute, 30 * 24 * time.Hour},
		{"bounds.mountTimeout", c.Bounds.MountTimeout, time.Second, 110 * time.Second},
		{"bounds.readTimeout", c.Bounds.ReadTimeout, time.Second, 110 * time.Second},
	} {
		if d.value < d.low || d.value > d.high {
			wrong(d.field, "is %s and must be from %s to %s", message.Duration(d.value), message.Duration(d.low), message.Duration(d.high))
		}
	}
	if c.Bounds.ReadTimeout > c.Bounds.MountTimeout {
		wrong("bounds.readTimeout", "is %s, longer than the whole mount may take; lower it to at most bounds.mountTimeout, %s", message.Duration(c.Bounds.ReadTimeout), message.Duration(c.Bounds.MountTimeout))
	}

	for _, s := range []struct {
		field            string
		value, low, high Size
	}{
		{"cache.bytes", c.Cache.Bytes, 1 << 20, 64 << 30},
		{"bounds.requestBytes", c.Bounds.RequestBytes, 16 << 10, MaxRequestBytes},
		{"bounds.responseBytes", c.Bounds.ResponseBytes, 4 << 10, 64 << 20},
		{"bounds.memory", c.Bounds.Memory, 16 << 20, 64 << 30},
	} {
		if s.value < s.low || s.value > s.high {
			wrong(s.field, "is %s and must be from %s to %s", s.value, s.low, s.high)
		}
	}

	for _, n := range []struct {
		field       string
		value, high int
	}{
		{"bounds.objects", c.Bounds.Objects, 100_000},
		{"bounds.mounts", c.Bounds.Mounts, 100_000},
		{"bounds.storeCalls", c.Bounds.StoreCalls, 10_000},
	} {
		if n.value < 1 || n.value > n.high {
			wrong(n.field, "is %d and must be from 1 to %d", n.value, n.high)
		}
	}
	return slices.Concat(problems, c.Audit.Validate("audit"), c.Tracing.Validate("tracing"))
}

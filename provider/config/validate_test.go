package config

import (
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func TestDefaultConfigIsValid(t *testing.T) {
	if problems := Default().Validate(); len(problems) > 0 {
		t.Error(problems)
	}
}

// A mount keeps a part of its time for the values that stand in, however long one
// read may take.
func TestAReadMayTakeAsLongAsTheMount(t *testing.T) {
	for _, d := range []time.Duration{time.Second, 30 * time.Second, 110 * time.Second} {
		config := Default()
		config.Bounds.MountTimeout, config.Bounds.ReadTimeout = d, d
		if problems := config.Validate(); len(problems) > 0 {
			t.Errorf("both %s: %v", d, problems)
		}
	}
}

func TestConfigIsRefusedByFieldAndRange(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"cluster with a slash":     {func(c *Config) { c.Cluster = "a/b" }, "cluster: must be"},
		"store without a type":     {func(c *Config) { c.Stores = map[string]Store{"v": {}} }, "stores.v.type: missing"},
		"store with a bad name":    {func(c *Config) { c.Stores = map[string]Store{"a b": {Type: "file"}} }, "a store's name must be"},
		"store without a name":     {func(c *Config) { c.Stores = map[string]Store{"": {Type: "file"}} }, "a store's name must be"},
		"no refresh":               {func(c *Config) { c.Cache.Refresh = 0 }, "cache.refresh: is 0s and must be from 1s to 720h"},
		"idle below a poll":        {func(c *Config) { c.Cache.Idle = time.Minute }, "cache.idle: is 1m and must be from 2m to 720h"},
		"relative key file":        {func(c *Config) { c.Cache.VersionKeyFile = "key" }, "cache.versionKeyFile: must be an absolute path"},
		"no cache":                 {func(c *Config) { c.Cache.Bytes = 0 }, "cache.bytes: is 0 and must be from 1Mi to 64Gi"},
		"request above the most":   {func(c *Config) { c.Bounds.RequestBytes = 17 << 20 }, "bounds.requestBytes: is 17Mi and must be from 16Ki to 16Mi"},
		"no objects":               {func(c *Config) { c.Bounds.Objects = 0 }, "bounds.objects: is 0 and must be from 1 to 100000"},
		"negative mounts":          {func(c *Config) { c.Bounds.Mounts = -1 }, "bounds.mounts: is -1"},
		"mount beyond the kubelet": {func(c *Config) { c.Bounds.MountTimeout = 2 * time.Minute }, "bounds.mountTimeout: is 2m and must be from 1s to 1m50s"},
		"read beyond the mount":    {func(c *Config) { c.Bounds.ReadTimeout = 100 * time.Second }, "lower it to at most bounds.mountTimeout, 1m30s"},
	} {
		t.Run(name, func(t *testing.T) {
			config := Default()
			test.change(&config)
			problems := config.Validate()
			if len(problems) != 1 || !strings.Contains(problems.Error(), test.want) {
				t.Errorf("problems are %q, want one that says %q", problems, test.want)
			}
		})
	}
}

func TestConfigReportsAllProblemsAtOnce(t *testing.T) {
	if problems := (Config{}).Validate(); len(problems) < 9 {
		t.Errorf("only %d problems with an empty configuration: %v", len(problems), problems)
	}
}

func TestSizeIsWrittenAsItIsRead(t *testing.T) {
	for text, want := range map[string]Size{"32Mi": 32 << 20, "4032Ki": 4032 << 10, "2Gi": 2 << 30, "1025": 1025, "0": 0} {
		var got Size
		if err := yaml.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s is %d, want %d (%v)", text, got, want, err)
		}
		if got.String() != text {
			t.Errorf("%d is written %s, want %s", got, got, text)
		}
	}
	for text, want := range map[string]Size{"64k": 64000, `"1M"`: 1_000_000, "1024Mi": 1 << 30} {
		var got Size
		if err := yaml.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s is %d, want %d (%v)", text, got, want, err)
		}
	}
	for _, text := range []string{"much", "-1", "0.5", "1.5", "[1]", "20Ei", `""`, "{}"} {
		var got Size
		if err := yaml.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s is %d, want an error", text, got)
		} else if !strings.Contains(err.Error(), "must be a number of bytes") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

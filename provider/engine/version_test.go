package engine_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// node returns an engine with the key of the installation, as each of its nodes has
// one.
func node(t *testing.T, change func(*config.Config)) *bench {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(file, []byte("0123456789abcdef0123456789abcdef"), 0o600))
	return start(t, func(c *config.Config) {
		c.Cache.VersionKeyFile = file
		if change != nil {
			change(c)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func shapes() []spec.Object {
	return []spec.Object{
		{Path: "all", Key: "db"},
		{Path: "password", Key: "db", Property: "password"},
		{Name: "user", Key: "db", Property: "user"},
		{Path: "each", Key: "db", Expand: true},
		{Path: "url", Template: `{{ .user }}:{{ .password }}`},
		{Path: "gone", Key: "db", Property: "gone", Optional: true},
	}
}

func TestAVersionIsTheSameOnEveryNodeAndForEveryPod(t *testing.T) {
	var first map[string]string
	for i := range 3 {
		b := node(t, func(c *config.Config) {
			c.Cluster = fmt.Sprint("node", i) // as far as nodes may differ
			c.Bounds.StoreCalls = i + 1
			c.Stores["memory"] = config.Store{Type: "memory", Fields: map[string]any{"address": fmt.Sprint("replica", i)}}
		})
		for range i { // another version at its store, as a replica that counts by itself has
			b.memory.Put("db", "{}")
		}
		b.memory.Put("db", `{"user":"app","password":"s3cret"}`)
		b.class("web", shapes()...)
		as := pod("prod/web", fmt.Sprint("web-", i))
		as.Credentials = map[string]secret.Bytes{"password": secret.NewString(fmt.Sprint(i))}
		_, versions := b.mustMount(t, as, "web")
		if first == nil {
			first = versions
		}
		if !maps.Equal(first, versions) {
			t.Errorf("node %d shows\n%v, want\n%v", i, versions, first)
		}
	}
}

func TestAVersionStaysWhileAnotherFieldMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := node(t, nil)
		b.class("web", shapes()...)
		b.memory.Put("db", `{"user":"app","password":"s3cret","ttl":20}`)
		_, before := b.mustMount(t, web, "web")
		b.memory.Put("db", `{"user":"app","ttl":19,"password":"s3cret"}`)
		time.Sleep(time.Hour)
		_, after := b.mustMount(t, web, "web")
		for _, id := range []string{"password", "user", "url", "gone"} {
			if before[id] != after[id] {
				t.Errorf("%s moved though its bytes did not", id)
			}
		}
		for _, id := range []string{"all", "each"} {
			if before[id] == after[id] {
				t.Errorf("%s did not move with its bytes", id)
			}
		}
	})
}

// What a pod's status shows must not tell another tenant that a guess was right, nor
// anybody that two values are equal.
func TestEqualValuesOfOthersHaveOtherVersions(t *testing.T) {
	b := node(t, nil)
	for _, key := range []string{"a", "b"} {
		b.memory.Put(key, "hunter2")
	}
	b.class("web", spec.Object{Path: "a", Key: "a"}, spec.Object{Path: "b", Key: "a"}, spec.Object{Path: "t", Template: "{{ .a }}"})
	b.class("other", spec.Object{Path: "a", Key: "b"}, spec.Object{Path: "t", Template: "{{ .a }}"})
	b.class("own", spec.Object{Path: "a", Store: "mine", Key: "a"})
	b.classes["own"].Stores = map[string]map[string]any{"mine": {"type": "memory", "address": "x"}}
	b.class("elsewhere", spec.Object{Path: "a", Store: "mine", Key: "a"})
	b.classes["elsewhere"].Stores = map[string]map[string]any{"mine": {"type": "memory", "address": "y"}}
	seen := map[string]string{}
	for _, account := range []string{"prod/web", "prod/api", "dev/web", "prodw/eb"} {
		for class := range b.classes {
			_, versions := b.mustMount(t, pod(account, "x"), class)
			for id, version := range versions {
				what := account + " " + class + " " + id
				if same, ok := seen[version]; ok {
					t.Errorf("%s and %s show the same version", what, same)
				}
				seen[version] = what
			}
		}
	}
}

func TestMountsFailWhileTheKeyOfVersionsIsNotKnown(t *testing.T) {
	b := start(t, func(c *config.Config) { c.Cache.VersionKeySecret = "versions" })
	b.memory.Put("a", "v")
	b.class("web", spec.Object{Path: "a", Key: "a"})
	b.key = func(string) (secret.Bytes, error) {
		return secret.Bytes{}, fmt.Errorf("%w: no answer", fault.ErrUnavailable)
	}
	_, _, err := b.mount(web, "web")
	wantError(t, err, fault.ErrUnavailable, "the key of versions (cache.versionKeySecret) is not known", "no answer")
	b.wantReads(t, 0)
	asked := 0
	b.key = func(name string) (secret.Bytes, error) {
		asked++
		return secret.NewString("0123456789abcdef0123456789abcdef" + name), nil
	}
	_, one := b.mustMount(t, web, "web")
	_, again := b.mustMount(t, web, "web")
	if !maps.Equal(one, again) || asked != 1 {
		t.Errorf("versions %v and %v, asked %d times", one, again, asked)
	}
	changed := b.config
	changed.Cache.VersionKeySecret = "others"
	must(t, b.Configure(changed))
	if _, other := b.mustMount(t, web, "web"); maps.Equal(one, other) {
		t.Error("another key makes the same versions")
	}
}

func TestAModeIsNoPartOfAVersion(t *testing.T) {
	b := node(t, nil)
	b.memory.Put("a", "v")
	mode := os.FileMode(0o400)
	b.class("one", spec.Object{Path: "a", Key: "a"})
	b.class("two", spec.Object{Path: "a", Key: "a", Mode: &mode})
	_, one := b.mustMount(t, web, "one")
	_, two := b.mustMount(t, web, "two")
	if !maps.Equal(one, two) {
		t.Errorf("versions %v and %v", one, two)
	}
}

// A version moves exactly when the bytes of its object's files do, for any class and
// any change of what the stores answer.
func TestAVersionMovesExactlyWhenItsBytesDo(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 1))
				b := node(t, nil)
				objects := randomClass(random)
				b.class("web", objects...)
				bytes, versions := map[string]string{}, map[string]string{}
				moved, stayed := 0, 0
				for range 40 {
					randomChange(random, b.memory)
					time.Sleep(4 * time.Minute)
					files, shown := b.mustMount(t, web, "web")
					for _, o := range objects {
						holds := holdsOf(o, files)
						before, known := bytes[o.ID()]
						if known && (holds == before) != (shown[o.ID()] == versions[o.ID()]) {
							t.Errorf("%+v: from %q to %q, version from %s to %s", o, before, holds, versions[o.ID()], shown[o.ID()])
						}
						if known && holds == before {
							stayed++
						} else {
							moved++
						}
						bytes[o.ID()], versions[o.ID()] = holds, shown[o.ID()]
					}
				}
				if moved < 2*len(objects) || stayed == 0 {
					t.Errorf("bytes moved %d times and stayed %d times, which tests nothing", moved, stayed)
				}
			})
		})
	}
}

// randomClass is a class of objects in all shapes over three secrets.
func randomClass(random *rand.Rand) []spec.Object {
	key := func() string { return fmt.Sprint("key", random.IntN(3)) }
	var objects []spec.Object
	for i := range 2 + random.IntN(8) {
		o := spec.Object{Path: fmt.Sprint("f", i), Key: key(), Optional: true}
		switch random.IntN(5) {
		case 0:
			o.Property = string("abc"[random.IntN(3)])
		case 1:
			o.Property, o.Encoding = "a", "hex"
		case 2:
			o.Expand = true
		case 3:
			o.Property, o.Expand = "d", true
		}
		objects = append(objects, o)
	}
	// A template needs a value that is always there.
	objects = append(objects, spec.Object{Path: "base", Key: "key0", Property: "b"})
	return append(objects, spec.Object{Path: "made", Template: `{{ if contains "1" .base }}{{ .base }}{{ else }}no{{ end }}`})
}

// randomChange puts other fields, other numbers of versions, other spaces, an equal
// value or, but for key0, no value under some keys.
func randomChange(random *rand.Rand, memory *Memory) {
	for i := range 3 {
		key := fmt.Sprint("key", i)
		fields := map[string]any{"b": fmt.Sprint(random.IntN(3)), "ttl": random.IntN(1000), "d": map[string]string{"x": fmt.Sprint(random.IntN(2))}}
		for _, name := range []string{"a", "c"} {
			if random.IntN(3) > 0 {
				fields[name] = fmt.Sprintf("%02x", random.IntN(2))
			}
		}
		if random.IntN(2) == 0 {
			delete(fields, "ttl")
		}
		text, err := json.Marshal(fields)
		if random.IntN(3) == 0 {
			text, err = json.MarshalIndent(fields, "", " ")
		}
		switch random.IntN(5) {
		case 0:
			if i > 0 {
				memory.Delete(key)
				continue
			}
		case 1:
			if memory.Has(key) {
				continue
			}
		}
		if err != nil {
			panic(err)
		}
		memory.Put(key, string(text))
	}
}

// holdsOf is all that an object's files hold.
func holdsOf(o spec.Object, files map[string]string) string {
	mine := map[string]string{}
	for path, contents := range files {
		if path == o.Path || o.Expand && len(path) > len(o.Path) && path[:len(o.Path)+1] == o.Path+"/" {
			mine[path] = contents
		}
	}
	return fmt.Sprintf("%q", mine)
}

// What acts on versions tells by what stands before the hyphen whether two can be
// compared; see server/sync/restart.
func TestVersionsUnderOneKeyBeginAlikeAndUnderAnotherDoNot(t *testing.T) {
	fingerprints := func(b *bench) map[string]bool {
		b.memory.Put("db", `{"user":"app","password":"s3cret"}`)
		b.class("web", shapes()...)
		_, versions := b.mustMount(t, pod("prod/web", "web-0"), "web")
		found := map[string]bool{}
		for id, version := range versions {
			if fingerprint, digest, ok := strings.Cut(version, "-"); ok && len(fingerprint) == 8 && len(digest) == 32 {
				found[fingerprint] = true
			} else if version != "absent" {
				t.Errorf("%s has the version %q", id, version)
			}
		}
		return found
	}
	one, again, other := fingerprints(node(t, nil)), fingerprints(node(t, nil)), fingerprints(start(t, nil))
	if len(one) != 1 || !maps.Equal(one, again) || len(other) != 1 || maps.Equal(one, other) {
		t.Errorf("fingerprints %v and %v under one key, %v under another", one, again, other)
	}
}

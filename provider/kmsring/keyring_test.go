package kmsring

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/lanyardhq/lanyard/internal/reload"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/kmsring/ringtest"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const head = "kind: lanyard.kms-ring.v1\nsettle: 5m\nkeys:\n"

// entry is one key of a ring file.
func entry(name, state, more string) string {
	return "- {name: " + name + ", state: " + state + ", service: {type: memory, key: " + name + "}" + more + "}\n"
}

func mustParse(t *testing.T, service *ringtest.Service, text string) *Ring {
	t.Helper()
	ring, err := Parse([]byte(text), []key.Type{service})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestARingSaysWhichKeyDoesWhat(t *testing.T) {
	ring := mustParse(t, ringtest.New(), `
kind: lanyard.kms-ring.v1
settle: 90s
outage: 0s
keys:
- name: new
  state: write
  cluster: prod-eu
  epoch: 2
  service: {type: memory, key: a}
- {name: old, state: read, service: {type: memory, key: b}}
- {name: oldest, state: retired, service: {type: memory, key: c}}
`)
	defer ring.Close()
	if ring.Settle != 90*time.Second || ring.Outage != 0 {
		t.Errorf("times are %v and %v", ring.Settle, ring.Outage)
	}
	if got, want := ring.String(), "new (write), old (read), oldest (retired)"; got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
	write := ring.Write(time.Now())
	if write.Name != "new" || write.Epoch != 2 || write.Service() != "memory:a" || write.Bound()["cluster"] != "prod-eu" {
		t.Errorf("the write key is %+v", write)
	}
	if bound := ring.ByName("old").Bound(); bound != nil {
		t.Errorf("bound to %v without a cluster", bound)
	}
}

func TestEveryProblemIsToldAtOnceWithItsLine(t *testing.T) {
	_, err := Parse([]byte(`kind: lanyard.key-ring.v1
keys:
- {name: a, state: write, service: {type: memory, key: a}}
- {name: a, state: written, service: {type: memory, key: b}}
- {name: "c/d", state: write, cluster: "x y", service: {type: memory, key: c}}
`), []key.Type{ringtest.New()})
	for _, want := range []string{
		"line 1: kind: must be lanyard.kms-ring.v1",
		"line 4: keys[1].name: is the name of keys[0] too",
		"line 4: keys[1].state: must be write, read or retired",
		"line 5: keys[2].name: must be 1 to 63",
		"line 5: keys[2].cluster: must be at most 253",
		"line 2: keys: has 2 keys with state write, there must be exactly one",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
	_, err = Parse([]byte(head+entry("a", "write", "")+
		"- {name: b, state: read, service: {type: memroy, key: b}}\n"+
		"- {name: c, state: read, service: {type: memory, kee: hunter2}}\n"+
		"- {name: d, state: read}\n"+
		"- {name: e, state: read, service: {key: b}}\n"+
		"- {name: f, state: read, service: {type: memory, key: a}}\n"+
		"- {name: g, state: read, epoch: 1, service: {type: memory, key: a}}\n",
	), []key.Type{ringtest.New()})
	for _, want := range []string{
		"line 5: keys[1].service.type: unknown key service; did you mean memory?",
		"line 6: keys[2].service.kee: unknown field; did you mean key?",
		"line 7: keys[3].service: is missing",
		"line 8: keys[4].service.type: must be one of [memory]",
		"line 9: keys[5]: is the same key as keys[0]",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
	if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "keys[6]") {
		t.Errorf("a value is told, or a key set apart by its epoch is refused:\n%v", err)
	}
}

func TestARefusedRingLeavesNoKeyOpen(t *testing.T) {
	service := ringtest.New()
	if _, err := Parse([]byte(head+entry("a", "write", "")+entry("b", "read", ", epoch: 1")+"- {name: c, state: read, service: {}}\n"), []key.Type{service}); err == nil || service.Opened() != 0 {
		t.Errorf("%d keys are open after %v", service.Opened(), err)
	}
}

func TestAKeyIDNamesTheKeyItsVersionEpochAndClusterAndNothingElse(t *testing.T) {
	id := func(text, name, version string) string {
		ring := mustParse(t, ringtest.New(), text)
		defer ring.Close()
		return ring.ByName(name).KeyID(version)
	}
	base := id(head+entry("a", "write", ""), "a", "3")
	if len(base) != 43 || strings.Contains(base, "3:") {
		t.Errorf("it is %q", base)
	}
	renamed := id(head+"- {name: z, state: write, service: {type: memory, key: a, note: x}}\n", "z", "3")
	asRead := id(head+entry("a", "read", "")+entry("w", "write", ""), "a", "3")
	if renamed != base || asRead != base {
		t.Error("a name, a state or how the service is reached changes it")
	}
	for what, other := range map[string]string{
		"version": id(head+entry("a", "write", ""), "a", "4"),
		"epoch":   id(head+entry("a", "write", ", epoch: 1"), "a", "3"),
		"cluster": id(head+entry("a", "write", ", cluster: c"), "a", "3"),
		"key":     id(head+entry("b", "write", ""), "b", "3"),
	} {
		if other == base {
			t.Errorf("another %s has the same key ID", what)
		}
	}
}

func TestFindTakesTheOneKeyThatTheKeyIDNames(t *testing.T) {
	ring := mustParse(t, ringtest.New(), head+entry("new", "write", "")+entry("old", "read", "")+entry("gone", "retired", ""))
	defer ring.Close()
	for _, name := range []string{"new", "old"} {
		if found, err := ring.Find(ring.ByName(name).KeyID("1"), "1"); err != nil || found.Name != name {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
	if _, err := ring.Find(ring.ByName("gone").KeyID("1"), "1"); !errors.Is(err, ErrRetiredKey) || !strings.Contains(err.Error(), "key gone of the key ring was retired") {
		t.Errorf("retired: %v", err)
	}
	_, err := ring.Find(ring.ByName("new").KeyID("1"), "2")
	if !errors.Is(err, ErrUnknownKey) || !strings.Contains(err.Error(), "none of the 3 keys in the key ring (new (write), old (read), gone (retired)); put the key") {
		t.Errorf("unknown: %v", err)
	}
}

func TestCiphertextOfAnotherClusterIsRefused(t *testing.T) {
	service := ringtest.New()
	ring := mustParse(t, service, head+entry("a", "write", ", cluster: one")+"- {name: other, state: read, cluster: two, service: {type: memory, key: a}}\n")
	defer ring.Close()
	sealed, err := ring.ByName("a").Encrypt(t.Context(), secret.NewString("seed"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.ByName("other").Decrypt(t.Context(), sealed); !errors.Is(err, fault.ErrInvalid) {
		t.Errorf("another cluster decrypts: %v", err)
	}
	if opened, err := ring.ByName("a").Decrypt(t.Context(), sealed); err != nil || opened.RevealString() != "seed" {
		t.Errorf("its own cluster does not: %v", err)
	}
}

// changing is a ring file that a watcher follows.
type changing struct {
	*testing.T
	service  *ringtest.Service
	path     string
	mu       sync.Mutex // for what a test changes or reads between two tries
	ring     *Ring
	refuse   error // what the server says of every ring
	registry *prometheus.Registry
}

func change(t *testing.T, text string) *changing {
	c := &changing{T: t, service: ringtest.New(), path: filepath.Join(t.TempDir(), "ring.yaml"), registry: prometheus.NewRegistry()}
	c.write(text)
	file, err := Load(c.path, []key.Type{c.service})
	if err != nil {
		t.Fatal(err)
	}
	c.ring = file.Ring
	w := NewWatcher(file, func(next *Ring) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.refuse != nil {
			return c.refuse
		}
		c.ring = next
		return nil
	}, c.registry)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		w.Ring().Close()
		if open := c.service.Opened(); open != 0 {
			t.Errorf("%d keys are left open", open)
		}
	})
	return c
}

func (c *changing) write(text string) {
	c.Helper()
	if err := os.WriteFile(c.path, []byte(text), 0o600); err != nil {
		c.Fatal(err)
	}
}

// refuses says what the server says of every ring from now on.
func (c *changing) refuses(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = err
}

// to writes the file and waits until it was looked at.
func (c *changing) to(text string) {
	c.write(text)
	time.Sleep(2 * reload.Interval)
	synctest.Wait()
}

func (c *changing) want(ring, write string, good float64) {
	c.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if got := c.ring.String(); got != ring {
		c.Errorf("the ring is %s, want %s", got, ring)
	}
	if got := c.ring.Write(time.Now()).Name; got != write {
		c.Errorf("%s writes, want %s", got, write)
	}
	if got := testutil.ToFloat64(gather{c.registry}); got != good {
		c.Errorf("the last reload: %v, want %v", got, good)
	}
}

// gather shows the one gauge that says whether the last reload was good.
type gather struct{ registry *prometheus.Registry }

func (g gather) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(g, ch) }

func (g gather) Collect(ch chan<- prometheus.Metric) {
	families, _ := g.registry.Gather()
	for _, family := range families {
		if family.GetName() == "lanyard_kms_ring_last_reload_successful" {
			ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("good", "", nil, nil), prometheus.GaugeValue, family.GetMetric()[0].GetGauge().GetValue())
		}
	}
}

func TestAKeyThatWasThereToReadWritesAtOnceAfterItHasSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := change(t, head+entry("a", "write", ""))
		c.to(head + entry("a", "write", "") + entry("b", "read", ""))
		c.want("a (write), b (read)", "a", 1)
		time.Sleep(5 * time.Minute)
		c.to(head + entry("a", "read", "") + entry("b", "write", ""))
		c.want("a (read), b (write)", "b", 1)
	})
}

func TestAKeyThatNobodyCanReadWithDoesNotWriteYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := change(t, head+entry("a", "write", ""))
		c.to(head + entry("a", "read", "") + entry("b", "write", ""))
		c.want("a (read), b (write)", "a", 1)
		if found, err := c.ring.Find(c.ring.ByName("b").KeyID("1"), "1"); err != nil || found.Name != "b" {
			t.Errorf("it does not read either: %v", err)
		}
		if next, at := c.ring.Pending(time.Now()); next == nil || next.Name != "b" || time.Until(at) > 5*time.Minute {
			t.Errorf("%v waits until %v", next, at)
		}
		time.Sleep(4 * time.Minute)
		c.to(head + entry("a", "read", "") + entry("b", "write", "") + "# looked at again\n")
		c.want("a (read), b (write)", "a", 1)
		time.Sleep(time.Minute)
		c.want("a (read), b (write)", "b", 1)
		if next, _ := c.ring.Pending(time.Now()); next != nil {
			t.Errorf("%s still waits", next.Name)
		}
	})
}

func TestWithoutSettlingAKeyWritesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := change(t, head+entry("a", "write", ""))
		c.to(strings.Replace(head, "5m", "0s", 1) + entry("a", "read", "") + entry("b", "write", ""))
		c.want("a (read), b (write)", "b", 1)
	})
}

func TestNoChangeTakesAwayWhatIsNeededToRead(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"the write key is gone":         {head + entry("b", "write", ""), "key a is the current write key"},
		"the write key is retired":      {head + entry("a", "retired", "") + entry("b", "write", ""), "key a is the current write key"},
		"a read key is gone":            {head + entry("a", "write", ""), "key b (read) is missing"},
		"a read key's epoch changes":    {head + entry("a", "write", "") + entry("b", "read", ", epoch: 9"), "key b (read) is missing"},
		"the write key's cluster grows": {head + entry("a", "write", ", cluster: c") + entry("b", "read", ""), "key a is the current write key"},
		"the write key's binding":       {head + strings.Replace(entry("a", "write", ""), "key: a", "key: a, binding: other", 1) + entry("b", "read", ""), `key a changes from "" to "other" in how it encrypts`},
		"a read key's binding":          {head + entry("a", "write", "") + strings.Replace(entry("b", "read", ""), "key: b", "key: b, binding: other", 1), `key b changes from "" to "other" in how it encrypts`},
		"nonsense":                      {"keys: [", "is not valid YAML"},
		"nothing":                       {"", "kind: must be"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				before := head + entry("a", "write", "") + entry("b", "read", "")
				c := change(t, before)
				c.to(test.text)
				c.want("a (write), b (read)", "a", 0)
				if _, err := parse([]byte(test.text), []key.Type{c.service}, c.ring, time.Now()); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v does not say %q", err, test.want)
				}
				c.to(before)
				c.want("a (write), b (read)", "a", 1)
			})
		})
	}
}

func TestAKeyLeavesByWayOfRetirement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := change(t, head+entry("a", "write", "")+entry("b", "read", ""))
		c.to(head + entry("a", "write", "") + entry("b", "retired", ""))
		c.want("a (write), b (retired)", "a", 1)
		c.to(head + entry("a", "write", "") + entry("b", "read", ""))
		c.want("a (write), b (read)", "a", 1)
		c.to(head + entry("a", "write", "") + entry("b", "retired", ""))
		c.to(head + entry("a", "write", ""))
		c.want("a (write)", "a", 1)
	})
}

// What a key is stays the same while it is retired, and with an epoch of its own the
// changed key is another one.
func TestAChangedBindingIsAKeyOfItsOwn(t *testing.T) {
	changed := func(name, state, more string) string {
		return strings.Replace(entry(name, state, more), "service: {", "service: {binding: other, ", 1)
	}
	synctest.Test(t, func(t *testing.T) {
		c := change(t, head+entry("a", "write", "")+entry("b", "retired", ""))
		c.to(head + entry("a", "write", "") + changed("b", "read", ""))
		c.want("a (write), b (retired)", "a", 0)
		again := strings.Replace(changed("a", "read", ", epoch: 2"), "name: a", "name: a2", 1)
		c.to(head + entry("a", "write", "") + again + entry("b", "retired", ""))
		c.want("a (write), a2 (read), b (retired)", "a", 1)
	})
}

func TestUnchangedKeysStayOpenAndCallsInFlightEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := change(t, head+entry("a", "write", "")+entry("b", "read", ""))
		kept, gone := c.ring.ByName("a").opened, c.ring.ByName("b")
		release := gone.Hold()
		c.to(head + entry("a", "write", "") + entry("b", "retired", "") + entry("c", "read", ""))
		if c.ring.ByName("a").opened != kept {
			t.Error("a key whose settings are the same was opened again")
		}
		if _, err := gone.Encrypt(t.Context(), secret.NewString("seed")); err != nil {
			t.Errorf("a key was closed under a call: %v", err)
		}
		release()
		if _, err := gone.Encrypt(t.Context(), secret.NewString("seed")); err == nil {
			t.Error("a key that nobody has is still open")
		}
	})
}

func TestKeyServicesAreCalledThroughTheRingsProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const through = "proxy: {url: 'http://proxy.example.com:3128', noProxy: .svc}\n"
		ringHead, keys, _ := strings.Cut(head, "keys:")
		c := change(t, head+entry("a", "write", ""))
		direct := c.ring.ByName("a").opened
		c.to(ringHead + through + "keys:" + keys + entry("a", "write", ""))
		if got := c.service.Proxy(); got.URL != "http://proxy.example.com:3128" || got.NoProxy != ".svc" {
			t.Errorf("the key is called through %+v", got)
		}
		if c.ring.ByName("a").opened == direct {
			t.Error("the key keeps its connections from before there was a proxy")
		}
	})
	_, err := Parse([]byte("proxy: {url: 'http://user:s3cr3t@proxy.example.com'}\n"+head+entry("a", "write", "")), []key.Type{ringtest.New()})
	if err == nil || !strings.Contains(err.Error(), "line 1: proxy.url: must not hold a user name or password") || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("a password in the URL: %v", err)
	}
}

// What a retired key needed may be gone with its service.
func TestARetiredKeyIsNotOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := change(t, head+entry("a", "write", "")+entry("b", "retired", ""))
		opens := func(want int) {
			t.Helper()
			if open := c.service.Opened(); open != want {
				t.Errorf("%d keys are open, want %d", open, want)
			}
		}
		opens(1)
		id := c.ring.ByName("b").KeyID("1")
		if _, err := c.ring.Find(id, "1"); !errors.Is(err, ErrRetiredKey) {
			t.Errorf("it is not known any more: %v", err)
		}
		if _, err := c.ring.ByName("b").Decrypt(t.Context(), key.Ciphertext{Data: []byte("x")}); !errors.Is(err, fault.ErrInvalid) {
			t.Errorf("it decrypts: %v", err)
		}
		c.to(head + entry("a", "write", "") + entry("b", "read", ""))
		opens(2)
		if found, err := c.ring.Find(id, "1"); err != nil {
			t.Error(err)
		} else if _, err := found.Encrypt(t.Context(), secret.NewString("seed")); err != nil {
			t.Errorf("it does not come back: %v", err)
		}
		c.to(head + entry("a", "write", "") + entry("b", "retired", ""))
		opens(1)
	})
}

// A refusal by the server ends by itself when the new write key works.
func TestARefusedRingIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := change(t, head+entry("a", "write", ""))
		c.refuses(errors.New("not now"))
		c.to(head + entry("a", "write", "") + entry("b", "read", ""))
		c.want("a (write)", "a", 0)
		time.Sleep(2 * reload.Retry)
		c.want("a (write)", "a", 0)
		c.refuses(nil)
		time.Sleep(reload.Retry + reload.Interval)
		synctest.Wait()
		c.want("a (write), b (read)", "a", 1)
	})
}

func TestARingThatTheServerRefusesDoesNotHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := change(t, head+entry("a", "write", ""))
		c.refuses(errors.New("not now"))
		c.to(head + entry("a", "write", "") + entry("b", "read", ""))
		c.want("a (write)", "a", 0)
		if open := c.service.Opened(); open != 1 {
			t.Errorf("%d keys are open, want 1", open)
		}
	})
}

func TestFilesThatCannotBeRead(t *testing.T) {
	large := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(large, make([]byte, maxBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/nonexistent/ring.yaml": "/nonexistent/ring.yaml: cannot be read: no such file or directory",
		large:                    "cannot be read: is larger than 1048576 bytes",
		t.TempDir():              "cannot be read: is not a regular file",
	} {
		if _, err := Load(path, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	open := filepath.Join(t.TempDir(), "open.yaml")
	if err := os.WriteFile(open, []byte(head+entry("a", "write", "")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o664); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(open, []key.Type{ringtest.New()}); err == nil || !strings.Contains(err.Error(), "group and others must not be able to write") {
		t.Errorf("a ring that a group can change: %v", err)
	}
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte(head+"- {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(bad, nil); err == nil || !strings.Contains(err.Error(), bad+":4: keys[0].state: must be") {
		t.Errorf("%v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(head + entry("a", "write", "") + entry("b", "read", ", epoch: 1, cluster: c"))
	f.Add(head + entry("a", "retired", ""))
	f.Add("kind: [\n")
	f.Add("kind: lanyard.kms-ring.v1\nkeys: [{service: {type: memory, key: &a x}}, {service: *a}]")
	f.Fuzz(func(t *testing.T, text string) {
		service := ringtest.New()
		ring, err := Parse([]byte(text), []key.Type{service})
		if err != nil {
			if service.Opened() != 0 {
				t.Error("a refused ring leaves keys open")
			}
			return
		}
		now := time.Now()
		write := ring.Write(now)
		if write == nil || write.State != StateWrite || len(ring.Entries()) > maxKeys {
			t.Errorf("a ring without a write key, or with too many: %v", ring)
		}
		if found, err := ring.Find(write.KeyID("1"), "1"); err != nil || found != write {
			t.Errorf("its write key is not found: %v", err)
		}
		again, err := parse([]byte(text), []key.Type{service}, ring, now)
		if err != nil {
			t.Fatalf("it does not follow itself: %v", err)
		}
		ring.Close()
		again.Close()
		if service.Opened() != 0 {
			t.Error("keys are left open")
		}
	})
}

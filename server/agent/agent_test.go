package agent

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is what an agent reads from.
type source struct {
	mu    sync.Mutex
	files []engine.File
	err   error
	due   time.Duration
	stale int
	reads int
}

func (s *source) set(change func(*source)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *source) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

func (s *source) read(_ context.Context, o *engine.Outlook) (*engine.Volume, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.err != nil {
		return nil, s.err
	}
	*o = engine.Outlook{Due: time.Now().Add(s.due), Stale: s.stale}
	return &engine.Volume{Files: s.files}, nil
}

func files(pairs ...string) (all []engine.File) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, engine.File{Path: pairs[i], Mode: 0o644, Contents: []byte(pairs[i+1])})
	}
	return all
}

// running is an agent in a bubble with its log.
type running struct {
	*Agent
	source *source
	log    *bytes.Buffer
	dir    string
	stop   func() error
}

func run(t *testing.T, dir string, s *source, notifications ...Notification) *running {
	t.Helper()
	r := &running{source: s, log: &bytes.Buffer{}, dir: dir}
	settings := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(settings)
	if err := errors.Join(settings.Set("logtostderr", "false"), settings.Set("alsologtostderr", "false"), settings.Set("stderrthreshold", "FATAL"), settings.Set("one_output", "true")); err != nil {
		t.Fatal(err)
	}
	klog.SetOutput(r.log)
	target, err := OpenTarget(dir, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	r.Agent = New(Options{Read: s.read, Target: target, Notifications: notifications, Registry: prometheus.NewRegistry()})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return r
}

// after lets time pass.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *running) holds(t *testing.T, path, want string) {
	t.Helper()
	if data, err := os.ReadFile(filepath.Join(r.dir, path)); err != nil || string(data) != want {
		t.Errorf("%s holds %q, %v; want %q", path, data, err, want)
	}
}

func (r *running) said(t *testing.T, text string, times int) {
	t.Helper()
	klog.Flush()
	if got := strings.Count(r.log.String(), text); got != times {
		t.Errorf("the log says %d times %q, want %d:\n%s", got, text, times, r.log)
	}
}

// told is a notification that counts.
type told struct {
	mu    sync.Mutex
	at    []time.Time
	fails int
}

func (n *told) notification(kind string) Notification {
	return Notification{Kind: kind, Send: func(context.Context) error {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.at = append(n.at, time.Now())
		if n.fails > 0 {
			n.fails--
			return errors.New("nobody is there")
		}
		return nil
	}}
}

func (n *told) times() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.at)
}

func TestFilesAreReadWhenTheyAreDueAndChangesAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := &source{files: files("a", "one", "b/c", "two"), due: 10 * time.Second}, &told{}
		r := run(t, t.TempDir()+"/new", s, n.notification("command"))
		r.holds(t, "a", "one")
		r.holds(t, "b/c", "two")
		if err := r.Ready(t.Context()); err != nil || r.Trouble() != "" {
			t.Errorf("%v, %s", err, r.Trouble())
		}
		after(9 * time.Second)
		if s.count() != 1 {
			t.Errorf("%d reads before the files are due", s.count())
		}
		s.set(func(s *source) { s.files = files("a", "new", "d", "four") })
		after(time.Second)
		r.holds(t, "a", "new")
		if _, err := os.Lstat(filepath.Join(r.dir, "b")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a file that was removed is there: %v", err)
		}
		after(time.Hour)
		if n.times() != 1 {
			t.Errorf("%d notifications of one change", n.times())
		}
		r.said(t, `"Files have changed" count=3 files="changed a, removed b/c, added d"`, 1)
		if got := testutil.ToFloat64(r.metrics.notifications.WithLabelValues("command", "ok")); got != 1 {
			t.Errorf("%v notifications are counted", got)
		}
		if strings.Contains(r.log.String(), "four") {
			t.Error("the log has a value")
		}
	})
}

func TestANotificationOfOneFileIsForItAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, of, all := &source{files: files("a", "1", "b", "1"), due: 10 * time.Second}, &told{}, &told{}
		one := of.notification("command")
		one.File = "a"
		r := run(t, t.TempDir(), s, one, all.notification("url"))
		after(settle)
		if of.times() != 1 || all.times() != 0 {
			t.Errorf("of the first files: %d and %d", of.times(), all.times())
		}
		for i, c := range []struct {
			files   []engine.File
			of, all int
		}{{files("a", "1", "b", "2"), 1, 1}, {files("a", "2", "b", "2"), 2, 2}} {
			s.set(func(s *source) { s.files = c.files })
			after(12 * time.Second)
			if of.times() != c.of || all.times() != c.all {
				t.Errorf("change %d: %d and %d", i, of.times(), all.times())
			}
		}
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		before := of.times()
		a := New(Options{Read: s.read, EnvFile: t.TempDir() + "/env", Notifications: []Notification{one, all.notification("url")}, Registry: prometheus.NewRegistry()})
		if err := a.Once(t.Context()); err != nil || of.times() != before+1 || all.times() != 2 {
			t.Errorf("once: %v, %d and %d", err, of.times()-before, all.times())
		}
		of.fails = 1
		if err := a.Once(t.Context()); err == nil || !strings.Contains(err.Error(), "a: nobody is there") {
			t.Errorf("once: %v", err)
		}
	})
}

func TestAFailureLeavesTheFilesAndIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := &source{files: files("a", "one"), due: 10 * time.Second}, &told{}
		r := run(t, t.TempDir(), s, n.notification("url"))
		s.set(func(s *source) { s.err = errors.New("object 1 (a): the store is away") })
		after(time.Minute)
		r.holds(t, "a", "one")
		r.said(t, "stay as they are", 1)
		if err := r.Ready(t.Context()); err != nil || !strings.Contains(r.Trouble(), "the store is away") {
			t.Errorf("%v, %q", err, r.Trouble())
		}
		before := s.count()
		after(time.Hour)
		if reads := s.count() - before; reads < 200 || reads > 400 {
			t.Errorf("%d tries in an hour", reads)
		}
		s.set(func(s *source) { s.err, s.files = nil, files("a", "two") })
		after(maxRetry)
		r.holds(t, "a", "two")
		after(settle)
		r.said(t, "kept fresh again", 1)
		if r.Trouble() != "" || n.times() != 1 {
			t.Errorf("%q, %d notifications", r.Trouble(), n.times())
		}
		s.set(func(s *source) { s.stale = 3 })
		after(10 * time.Second)
		if !strings.Contains(r.Trouble(), "3 values are past their refresh") || testutil.ToFloat64(r.metrics.fresh) != 0 {
			t.Errorf("%q, fresh is %v", r.Trouble(), testutil.ToFloat64(r.metrics.fresh))
		}
	})
}

func TestItIsNotReadyBeforeTheFirstFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := &source{err: errors.New("the class cannot be used"), due: time.Minute}, &told{}
		r := run(t, t.TempDir(), s, n.notification("signal"))
		if err := r.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "the class cannot be used") {
			t.Errorf("ready: %v", err)
		}
		if Written(r.dir) == nil {
			t.Error("there are files")
		}
		s.set(func(s *source) { s.err = nil })
		after(2 * time.Second)
		if err := errors.Join(r.Ready(t.Context()), Written(r.dir)); err != nil {
			t.Error(err)
		}
		after(time.Hour)
		if n.times() != 0 {
			t.Error("the application was told of its first files")
		}
	})
}

// What an earlier process wrote stays and is compared with, whatever it left half done.
func TestItGoesOnWhereAKilledOneStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, n := &source{files: files("a", "one"), due: time.Minute}, &told{}
		first := run(t, dir, s, n.notification("signal"))
		if err := first.stop(); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Mkdir(dir+"/..2026_01_01_00_00_00.1", 0o755), os.WriteFile(dir+"/..2026_01_01_00_00_00.1/a", []byte("half"), 0o600), os.Symlink("..2026_01_01_00_00_00.1", dir+"/..data_tmp")); err != nil {
			t.Fatal(err)
		}
		s.set(func(s *source) { s.err = errors.New("away") })
		r := run(t, dir, s, n.notification("signal"))
		r.holds(t, "a", "one")
		if err := r.Ready(t.Context()); err != nil {
			t.Errorf("the files of before do not count: %v", err)
		}
		s.set(func(s *source) { s.err, s.files = nil, files("a", "two") })
		after(20 * time.Second)
		r.holds(t, "a", "two")
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 3 {
			t.Errorf("the target has %v, %v", entries, err)
		}
		if n.times() != 1 {
			t.Errorf("%d notifications of what changed while it was gone", n.times())
		}
	})
}

func TestATargetOfOthersIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		has  []string
		want bool
	}{
		"empty":          {nil, true},
		"a file":         {[]string{"mine"}, false},
		"written before": {[]string{"..data", "a"}, true},
		"never finished": {[]string{"..2026_01_01_00_00_00.1", "..data_tmp"}, true},
		"a hidden file":  {[]string{".profile"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range c.has {
				if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := OpenTarget(dir, 0o700); (err == nil) != c.want {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestModesAreThoseOfTheClassWhenOnlyTheyChange(t *testing.T) {
	target, err := OpenTarget(t.TempDir(), 0o700)
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []fs.FileMode{0o644, 0o400} {
		if err := target.Write([]engine.File{{Path: "a/b", Mode: mode, Contents: []byte("v")}}); err != nil {
			t.Fatal(err)
		}
		got, err := target.Files()
		if err != nil || len(got) != 1 || got[0].Path != "a/b" || got[0].Mode != mode || string(got[0].Contents) != "v" {
			t.Errorf("%+v, %v; want mode %o", got, err, mode)
		}
	}
}

func TestAWriteThatFailsLeavesNothingHalfDone(t *testing.T) {
	target, err := OpenTarget(t.TempDir(), 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if err := target.Write(files("a", "one")); err != nil {
		t.Fatal(err)
	}
	// A name that no file system takes fails while the new state is written.
	if err := target.Write(files("a", "two", "b/"+strings.Repeat("x", 300), "")); err == nil {
		t.Fatal("it is written")
	}
	if err := target.Write(append(files("a", "two"), engine.File{Path: "a/b", Mode: 0o644})); err == nil {
		t.Fatal("a file is a directory")
	}
	entries, err := os.ReadDir(target.Dir())
	if err != nil || len(entries) != 3 {
		t.Errorf("the target has %v, %v", entries, err)
	}
	if got, err := os.ReadFile(filepath.Join(target.Dir(), "a")); err != nil || string(got) != "one" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestNotificationsAreRetriedCollectedAndGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := &source{files: files("a", "0"), due: time.Second}, &told{fails: 2}
		r := run(t, t.TempDir(), s, n.notification("signal"))
		// Three changes within the time that they are collected.
		change := func(value string) {
			s.set(func(s *source) { s.files = files("a", value) })
			after(time.Second)
		}
		change("1")
		after(20 * time.Second)
		if n.times() != 3 {
			t.Errorf("%d tries, want two that fail and one", n.times())
		}
		count := func(result string) float64 {
			return testutil.ToFloat64(r.metrics.notifications.WithLabelValues("signal", result))
		}
		if count("ok") != 1 || count("retried") != 2 || count("failed") != 0 {
			t.Errorf("counted %v ok, %v retried, %v failed", count("ok"), count("retried"), count("failed"))
		}
		n.mu.Lock()
		n.at, n.fails = nil, 1000
		n.mu.Unlock()
		change("2")
		after(time.Hour)
		if n.times() != tries || count("failed") != 1 {
			t.Errorf("%d tries, %v given up", n.times(), count("failed"))
		}
		r.said(t, "could not be notified", 2)
		r.said(t, "was not notified", 1)
		n.mu.Lock()
		n.at, n.fails = nil, 3
		n.mu.Unlock()
		change("3")
		change("4") // while the first is tried again
		after(time.Hour)
		if n.times() != 4 {
			t.Errorf("%d tries; the one that succeeds tells of both changes", n.times())
		}
	})
}

func TestEnvironmentFilesHoldWhatTheKubeletReads(t *testing.T) {
	got, err := EnvFile(files("db/password", `a"b\$c#d `, "pem", "one\n\ntwo\n", "empty", ""))
	if want := "DB_PASSWORD='a\"b\\$c#d '\nPEM='one\n\ntwo\n'\nEMPTY=''\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	_, err = EnvFile(files("quote", "planted'", "cr", "planted\r\n", "zero", "planted\x00", "latin", "planted\xff", "1st", "planted",
		"long", strings.Repeat("planted", maxValue), "a-b", "planted", "a.b", "planted"))
	if err == nil {
		t.Fatal("it is made")
	}
	for _, want := range []string{
		"quote has a single quote", "cr has a carriage return", "zero has a zero byte", "latin has a value that is not UTF-8",
		"1st makes no name", "long has a value of more than 131072 bytes", "a.b has the variable A_B, as a-b has",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not tell %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "planted") {
		t.Error("the error has a value")
	}
}

func TestAnEnvironmentFileIsReplacedOrStays(t *testing.T) {
	env := filepath.Join(t.TempDir(), "env")
	s := &source{files: files("a", "one")}
	a := New(Options{Read: s.read, EnvFile: env, Registry: prometheus.NewRegistry()})
	for value, want := range map[string]string{"one": "A='one'\n"} {
		s.files = files("a", value)
		if err := a.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(env); err != nil || string(got) != want {
			t.Errorf("%q, %v", got, err)
		}
	}
	s.files = files("a", "it's")
	if err := a.Once(t.Context()); err == nil {
		t.Error("a value that it cannot hold is written")
	}
	s.files = files("a", "two")
	if err := a.Once(t.Context()); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(env)
	if got, _ := os.ReadFile(env); err != nil || string(got) != "A='two'\n" || info.Mode().Perm() != 0o600 {
		t.Errorf("%q, %v", got, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(env)); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

// Where somebody else put something in the way of the environment file, nothing is written.
func TestAnEnvironmentFileThatSomebodyElseMadeIsRefused(t *testing.T) {
	dir := t.TempDir()
	env, victim := filepath.Join(dir, "env"), filepath.Join(dir, "victim")
	if err := errors.Join(os.WriteFile(victim, []byte("theirs"), 0o600), os.Symlink("victim", env)); err != nil {
		t.Fatal(err)
	}
	target, err := OpenTarget(filepath.Join(dir, "target"), 0o700)
	if err != nil {
		t.Fatal(err)
	}
	s := &source{files: files("a", "planted")}
	a := New(Options{Read: s.read, Target: target, EnvFile: env, Registry: prometheus.NewRegistry()})
	if err := a.Once(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "--env-file: "+env+" is a link") {
		t.Errorf("error %v", err)
	}
	if got, err := os.ReadFile(victim); err != nil || string(got) != "theirs" {
		t.Errorf("%q, %v", got, err)
	}
	if written, err := target.Files(); err != nil || written != nil {
		t.Errorf("the target has %v, %v", written, err)
	}
}

func TestWords(t *testing.T) {
	for text, want := range map[string][]string{
		`nginx -s reload`:              {"nginx", "-s", "reload"},
		"  a\t b\n":                    {"a", "b"},
		`sh -c 'kill -HUP "$(cat p)"'`: {"sh", "-c", `kill -HUP "$(cat p)"`},
		`a "b c" '' d\ e "f\"g"`:       {"a", "b c", "", "d e", `f"g`},
		`a'b'"c"`:                      {"abc"},
		``:                             nil, `  `: nil, `''`: nil, `a 'b`: nil, `a "b`: nil, `a \`: nil,
	} {
		got, err := words(text)
		if (err == nil) != (want != nil) || err == nil && !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestChangesAreToldByPath(t *testing.T) {
	before := files("a", "1", "b", "1", "d", "1")
	after := append(files("a", "1", "b", "2"), engine.File{Path: "c", Mode: 0o600})
	if got, want := Changes(before, after), []Change{{"b", "changed"}, {"c", "added"}, {"d", "removed"}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

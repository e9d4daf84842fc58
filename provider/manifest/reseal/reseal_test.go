package reseal_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/internal/atomicfile"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/manifest/reseal"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// bench is an old and a new key ring and a folder.
type bench struct {
	t             testing.TB
	before, after *seal.KeyRing
	dir           string
}

func newBench(t testing.TB) *bench {
	t.Helper()
	before, err := seal.NewKeyRing("dev", noon)
	if err != nil {
		t.Fatal(err)
	}
	after, err := seal.NewKeyRing("dev", noon)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, before: before, after: after, dir: t.TempDir()}
}

func (b *bench) options() reseal.Options {
	public := b.after.Public()
	return reseal.Options{
		Open: func(ctx context.Context, sealed *seal.Sealed) (secret.Bytes, error) {
			return b.open(ctx, b.before, sealed)
		},
		Seal: func(_ context.Context, scope seal.Scope, value secret.Bytes) (string, error) {
			return seal.Seal(public, scope, value)
		},
		Current: func(_ context.Context, sealed *seal.Sealed) (bool, error) { return sealed.KeyID() == public.ID(), nil },
		Scope:   reseal.Narrowing{}.Apply,
		Workers: 4,
	}
}

// open opens a value as who it is for.
func (b *bench) open(ctx context.Context, ring *seal.KeyRing, sealed *seal.Sealed) (secret.Bytes, error) {
	scope := sealed.Scope()
	as := identity.Identity{Cluster: scope.Cluster.String(), Namespace: scope.Namespace.String(), ServiceAccount: scope.ServiceAccount.String()}
	return sealed.Open(ctx, seal.Keys{Ring: ring}, as, scope.Object.String(), noon)
}

func exact(object string) seal.Scope {
	return seal.Scope{Cluster: seal.Exact("dev"), Namespace: seal.Exact("prod"), ServiceAccount: seal.Exact("web"), Object: seal.Exact(object)}
}

// seal is a value under the old key.
func (b *bench) seal(scope seal.Scope, value string) string {
	b.t.Helper()
	text, err := seal.Seal(b.before.Public(), scope, secret.NewString(value))
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

func (b *bench) write(name, content string) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
		b.t.Fatal(err)
	}
	return path
}

func (b *bench) read(path string) string {
	b.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(data)
}

func (b *bench) run(o reseal.Options, names ...string) reseal.Report {
	b.t.Helper()
	files, err := reseal.Find(nil, names)
	if err != nil {
		b.t.Fatal(err)
	}
	report := reseal.Run(b.t.Context(), o, files)
	if left, err := filepath.Glob(filepath.Join(b.dir, ".lanyard-*")); err != nil || len(left) > 0 {
		b.t.Errorf("left behind: %v, %v", left, err)
	}
	return report
}

// told is a report's values as "line class/object state".
func told(file reseal.File) []string {
	var all []string
	for _, v := range file.Values {
		all = append(all, fmt.Sprintf("%d %s/%s %s", v.Line, v.Class, v.Object, v.State))
	}
	return all
}

const class = `# the web shop
kind: SecretProviderClass
metadata: {name: web, namespace: prod}   # one of two
spec:
  provider: lanyard
  parameters:
    objects: |
      # passwords; before: OLD
      - path: a     # by hand
        sealed: A   # keep this comment
      - {path: b, sealed: "B"}
      - path: x/c
        name: c

        sealed: 'C'
---
other: [D, E]
`

// Whatever surrounds the values stays, byte for byte.
func TestResealsInPlace(t *testing.T) {
	b := newBench(t)
	texts := map[string]string{}
	var replace []string
	for _, name := range []string{"A", "B", "C", "D", "E"} {
		texts[name] = b.seal(exact(strings.ToLower(name)), "value "+name)
		replace = append(replace, " "+name+" ", " "+texts[name]+" ", `"`+name+`"`, `"`+texts[name]+`"`, `'`+name+`'`, `'`+texts[name]+`'`, `[`+name+`,`, `[`+texts[name]+`,`, ` `+name+`]`, ` `+texts[name]+`]`)
	}
	old := b.seal(exact("a"), "in a comment")
	content := strings.NewReplacer(replace...).Replace(strings.Replace(class, "OLD", old, 1))
	path := b.write("web.yaml", content)
	report := b.run(b.options(), path)
	if !report.Complete() || report.Resealed != 5 || !report.Files[0].Written {
		t.Fatalf("%+v", report)
	}
	want := "[10 web/a resealed 11 web/b resealed 15 web/c resealed 17 / resealed 17 / resealed]"
	if got := fmt.Sprint(told(report.Files[0])); got != want {
		t.Errorf("told %s, want %s", got, want)
	}
	edited := b.read(path)
	back := edited
	for word := range strings.FieldsFuncSeq(edited, func(r rune) bool { return strings.ContainsRune(" \n\"'[],{}", r) }) {
		sealed, err := seal.Parse(word)
		if err != nil || word == old {
			continue
		}
		value, err := b.open(t.Context(), b.after, sealed)
		if err != nil {
			t.Fatal(err)
		}
		back = strings.Replace(back, word, texts[strings.TrimPrefix(value.RevealString(), "value ")], 1)
	}
	if back != content {
		t.Errorf("more than the values changed:\n%s", edited)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}

	// The second run finds nothing to do, and does not touch the file.
	report = b.run(b.options(), path)
	if !report.Complete() || report.Current != 5 || report.Files[0].Written || b.read(path) != edited {
		t.Errorf("again: %+v", report)
	}
}

func TestNarrowsAndNeverWidens(t *testing.T) {
	b := newBench(t)
	everyone := seal.Scope{Cluster: seal.Any(), Namespace: seal.Any(), ServiceAccount: seal.Any(), Object: seal.Any()}
	later, sooner := noon.AddDate(1, 0, 0), noon.AddDate(0, 1, 0)
	until := func(scope seal.Scope, at time.Time) seal.Scope { scope.NotAfter = at; return scope }
	all := reseal.Narrowing{Cluster: "dev", Namespace: "prod", ServiceAccount: "web", ExactObjects: true, NotAfter: sooner}
	for name, c := range map[string]struct {
		before seal.Scope
		narrow reseal.Narrowing
		after  seal.Scope
		reason string
	}{
		"nothing asked":         {everyone, reseal.Narrowing{}, everyone, ""},
		"every part":            {everyone, all, until(exact("a"), sooner), ""},
		"what is exact already": {until(exact("a"), sooner), all, until(exact("a"), sooner), ""},
		"a later end":           {until(exact("a"), later), all, until(exact("a"), sooner), ""},
		"a sooner end":          {until(exact("a"), noon.AddDate(0, 0, 1)), all, until(exact("a"), noon.AddDate(0, 0, 1)), ""},
		"another object's name": {exact("other"), all, until(exact("other"), sooner), ""},
		"another namespace":     {exact("a"), reseal.Narrowing{Namespace: "test"}, seal.Scope{}, `namespace "prod", and to seal it for "test"`},
		"two that differ":       {exact("a"), reseal.Narrowing{Cluster: "live", ServiceAccount: "api"}, seal.Scope{}, `"api"`},
		"a wrong name":          {everyone, reseal.Narrowing{Namespace: "No_Name"}, seal.Scope{}, "namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			path := b.write("one.yaml", "kind: SecretProviderClass\nspec:\n  provider: lanyard\n  parameters:\n    objects: |\n      - path: a\n        sealed: "+b.seal(c.before, "v")+"\n")
			before := b.read(path)
			o := b.options()
			o.Scope = c.narrow.Apply
			report := b.run(o, path)
			if c.reason != "" {
				if report.Complete() || report.Failed != 1 || !strings.Contains(report.Files[0].Values[0].Reason, c.reason) || b.read(path) != before {
					t.Errorf("%+v", report)
				}
				return
			}
			_, text, _ := strings.Cut(b.read(path), "sealed: ")
			sealed, err := seal.Parse(strings.TrimSpace(text))
			if err != nil || sealed.Scope() != c.after || sealed.KeyID() != b.after.Public().ID() {
				t.Errorf("sealed for %+v, want %+v; %v", sealed.Scope(), c.after, err)
			}
		})
	}
	t.Run("any name outside of a class", func(t *testing.T) {
		path := b.write("values.yaml", "value: "+b.seal(everyone, "v")+"\n")
		o := b.options()
		o.Scope = reseal.Narrowing{ExactObjects: true}.Apply
		if report := b.run(o, path); report.Failed != 1 || !strings.Contains(report.Files[0].Values[0].Reason, "no class") {
			t.Errorf("%+v", report)
		}
	})
}

// What cannot be opened stays, is told with its reason, and holds nothing else up.
func TestTellsWhatFailed(t *testing.T) {
	b := newBench(t)
	good := b.seal(exact("a"), "hunter2")
	strange, err := seal.Seal(b.after.Public(), exact("b"), secret.NewString("hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	other := newBench(t).seal(exact("c"), "hunter2")
	path := b.write("web.yaml", "a: "+good+"\nb: "+strange+"\nc: "+other+"\nd: "+good[:100]+"\ne: "+good[:40]+"\n   "+good[40:]+"\nf: lanyard.v9.x\n# "+good+"\n")
	report := b.run(b.options(), path)
	want := "[1 / resealed 2 / current 3 / failed 4 / failed 5 / failed 7 / failed]"
	if got := fmt.Sprint(told(report.Files[0])); got != want || report.Resealed != 1 || report.Current != 1 || report.Failed != 4 || report.Complete() {
		t.Errorf("told %s, want %s; %+v", got, want, report)
	}
	for i, tells := range map[int]string{2: "unknown key", 3: "malformed", 4: "malformed", 5: "unknown version"} {
		reason := report.Files[0].Values[i].Reason
		if !strings.Contains(reason, tells) && !strings.Contains(reason, strings.Split(tells, " ")[0]) || strings.Contains(reason, "hunter2") {
			t.Errorf("value %d: %q does not tell %q", i, reason, tells)
		}
	}
	lines := strings.Split(b.read(path), "\n")
	if strings.Contains(lines[0], good) || lines[1] != "b: "+strange || lines[2] != "c: "+other || lines[7] != "# "+good {
		t.Errorf("wrote\n%s", b.read(path))
	}
}

func TestDryRunOpensAndWritesNothing(t *testing.T) {
	b := newBench(t)
	path := b.write("web.yaml", "a: "+b.seal(exact("a"), "v")+"\nb: "+newBench(t).seal(exact("b"), "v")+"\n")
	before := b.read(path)
	o := b.options()
	o.DryRun = true
	o.Seal = func(context.Context, seal.Scope, secret.Bytes) (string, error) { t.Error("sealed"); return "", nil }
	report := b.run(o, path)
	if report.Resealed != 1 || report.Failed != 1 || !report.DryRun || report.Files[0].Written || b.read(path) != before {
		t.Errorf("%+v", report)
	}
}

// An edit that somebody makes while the values are being sealed is kept.
func TestKeepsAConcurrentEdit(t *testing.T) {
	b := newBench(t)
	path := b.write("web.yaml", "a: "+b.seal(exact("a"), "v")+"\n")
	o := b.options()
	sealing := o.Seal
	o.Seal = func(ctx context.Context, scope seal.Scope, value secret.Bytes) (string, error) {
		b.write("web.yaml", "b: mine\n")
		return sealing(ctx, scope, value)
	}
	report := b.run(o, path)
	if report.Complete() || report.Failed != 1 || report.Resealed != 0 || !strings.Contains(report.Files[0].Problem, "changed by somebody else") || b.read(path) != "b: mine\n" {
		t.Errorf("%+v, the file has %q", report, b.read(path))
	}
	o.Seal = func(context.Context, seal.Scope, secret.Bytes) (string, error) {
		return "", errors.Join(os.Remove(path), errors.New("gone"))
	}
	b.write("web.yaml", "a: "+b.seal(exact("a"), "v")+"\n")
	b.run(o, path)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a removed file came back: %v", err)
	}
}

// Interrupted at any value, a run leaves each file as it was or done.
func TestInterruptionLeavesWholeFiles(t *testing.T) {
	b := newBench(t)
	const files, each = 6, 5
	before := map[string]string{}
	for at := 0; at <= files*each; at += 4 {
		var names []string
		for i := range files {
			content := ""
			for j := range each {
				content += fmt.Sprintf("v%d: %s\n", j, b.seal(exact("a"), "v"))
			}
			name := b.write(fmt.Sprintf("%d/f.yaml", i), content)
			names = append(names, name)
			before[name] = content
		}
		ctx, cancel := context.WithCancel(t.Context())
		o := b.options()
		sealing := o.Seal
		var mu sync.Mutex
		sealed := 0
		o.Seal = func(ctx context.Context, scope seal.Scope, value secret.Bytes) (string, error) {
			mu.Lock()
			if sealed++; sealed > at {
				cancel()
			}
			mu.Unlock()
			return sealing(ctx, scope, value)
		}
		found, err := reseal.Find(nil, names)
		if err != nil {
			t.Fatal(err)
		}
		report := reseal.Run(ctx, o, found)
		cancel()
		if report.Interrupted != (at < files*each) || report.Complete() == report.Interrupted {
			t.Errorf("interrupted at %d: %+v", at, report)
		}
		written := 0
		for _, file := range report.Files {
			now := b.read(file.Path)
			if file.Written {
				written++
			}
			if file.Written == (now == before[file.Path]) || strings.Count(now, "\n") != each {
				t.Errorf("interrupted at %d: %s is not whole", at, file.Path)
			}
		}
		if report.Resealed != written*each {
			t.Errorf("interrupted at %d: %d files written, %d values told", at, written, report.Resealed)
		}
		// The next run does the rest.
		o.Seal = sealing
		if report := b.run(o, names...); !report.Complete() || report.Current != written*each || report.Resealed != (files-written)*each {
			t.Errorf("after an interruption at %d: %+v", at, report)
		}
	}
}

func TestAFileThatAnotherProcessChangesIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		content := "x: " + b.seal(exact("a"), "v") + "\n"
		path := b.write("a.yaml", content)
		found, err := reseal.Find(nil, []string{path})
		if err != nil {
			t.Fatal(err)
		}
		unlock, err := atomicfile.Lock(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if report := reseal.Run(ctx, b.options(), found); report.Complete() || !strings.Contains(report.Files[0].Problem, "is being changed by another process") || b.read(path) != content {
			t.Errorf("while it is locked: %+v", report)
		}
		unlock()
		if report := b.run(b.options(), path); !report.Complete() || report.Resealed != 1 {
			t.Errorf("after that: %+v", report)
		}
	})
}

func TestFindsFiles(t *testing.T) {
	b := newBench(t)
	text := b.seal(exact("a"), "v")
	for _, name := range []string{"a.yaml", "sub/b.yml", "sub/c.json", "d.txt", ".hidden.yaml", ".git/e.yaml"} {
		b.write(name, "x: "+text+"\n")
	}
	b.write("none.yaml", "x: y\n")
	if err := os.Symlink("a.yaml", filepath.Join(b.dir, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	found, err := reseal.Find(nil, []string{b.dir, filepath.Join(b.dir, "a.yaml"), filepath.Join(b.dir, "link.yaml"), filepath.Join(b.dir, "d.txt")})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range found {
		name, err := filepath.Rel(b.dir, f.Path)
		if err != nil || f.Texts != 1 || f.Problem != "" {
			t.Errorf("%+v, %v", f, err)
		}
		names = append(names, name)
	}
	if got := strings.Join(names, " "); got != "a.yaml sub/b.yml sub/c.json d.txt" {
		t.Errorf("found %s", got)
	}
	if _, err := reseal.Find(nil, []string{filepath.Join(b.dir, "nowhere")}); err == nil {
		t.Error("a name that leads nowhere was taken")
	}
	// A link that is named is followed, and stays a link.
	link := filepath.Join(b.dir, "link.yaml")
	if report := b.run(b.options(), link); report.Resealed != 1 {
		t.Errorf("%+v", report)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link became %v, %v", info.Mode(), err)
	}
}

// A writer replaces a file by its name, so that the other hard link keeps what it has.
func TestResealsBothHardLinks(t *testing.T) {
	b := newBench(t)
	first := b.write("a.yaml", "x: "+b.seal(exact("a"), "v")+"\n")
	second := filepath.Join(b.dir, "b.yaml")
	if err := os.Link(first, second); err != nil {
		t.Fatal(err)
	}
	if report := b.run(b.options(), b.dir); report.Resealed != 2 || !report.Complete() {
		t.Errorf("%+v", report)
	}
	for _, path := range []string{first, second} {
		if report := b.run(b.options(), path); report.Current != 1 {
			t.Errorf("%s: %+v", path, report)
		}
	}
}

func TestResealsAStream(t *testing.T) {
	b := newBench(t)
	stream := "# kept\r\nx: " + b.seal(exact("a"), "v") + " # kept\r\ny: 1"
	for _, text := range []string{stream, "x: y\n", ""} {
		files, err := reseal.Find(strings.NewReader("\xef\xbb\xbf"+text), []string{"-"})
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		o := b.options()
		o.Stdout = &out
		report := reseal.Run(t.Context(), o, files)
		again, err := reseal.Find(strings.NewReader(out.String()), []string{"-"})
		if err != nil {
			t.Fatal(err)
		}
		o.DryRun = true
		current := reseal.Run(t.Context(), o, again)
		if want := strings.Count(text, "lanyard.v"); report.Resealed != want || current.Current != want || !report.Complete() {
			t.Errorf("%q: %+v, then %+v", text, report, current)
		}
		fixed := regexp.MustCompile(`lanyard\.v[^ ]+`)
		if got := fixed.ReplaceAllString(out.String(), "S"); got != "\xef\xbb\xbf"+fixed.ReplaceAllString(text, "S") {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestProgressReachesTheTotal(t *testing.T) {
	b := newBench(t)
	for i := range 3 {
		b.write(fmt.Sprintf("%d.yaml", i), "a: "+b.seal(exact("a"), "v")+"\nb: "+b.seal(exact("b"), "v")+"\n")
	}
	o := b.options()
	last := ""
	o.Progress = func(done, total int) { last = fmt.Sprintf("%d of %d", done, total) }
	b.run(o, b.dir)
	if last != "6 of 6" {
		t.Errorf("the last was %q", last)
	}
}

// Whatever the file, what is not a sealed value under the old key stays.
func FuzzFile(f *testing.F) {
	b := newBench(f)
	text := b.seal(exact("a"), "v")
	f.Add("a: TEXT # TEXT\n- \"TEXT\"\n")
	f.Add("{{ if }}\n'# TEXT\n\\TEXT\\n lanyard.v1.x")
	f.Fuzz(func(t *testing.T, pattern string) {
		b := &bench{t: t, before: b.before, after: b.after, dir: t.TempDir()}
		content := strings.ReplaceAll(pattern, "TEXT", text)
		path := b.write("f.yaml", content)
		report := b.run(b.options(), path)
		edited := b.read(path)
		if report.Files[0].Written != (report.Resealed > 0) || !report.Files[0].Written && edited != content {
			t.Fatalf("%+v", report)
		}
		if kept := strings.Count(content, text) - strings.Count(edited, text); kept != report.Resealed {
			t.Fatalf("%d texts went, %d were resealed", kept, report.Resealed)
		}
	})
}

package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// epoch is the time of the first record; each takes a microsecond.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func clock() func() time.Time {
	var mu sync.Mutex
	now := epoch
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Microsecond)
		return now
	}
}

// trail is a Log and where it writes.
type trail struct {
	*Log
	t        *testing.T
	settings config.Audit
	stdout   *bytes.Buffer
	registry *prometheus.Registry
}

// start starts a Log in a directory of its own, with a file and a chain.
func start(t *testing.T, change func(*config.Audit)) *trail {
	t.Helper()
	tr := &trail{t: t, settings: config.DefaultAudit()}
	dir := t.TempDir()
	tr.settings.File.Path = filepath.Join(dir, "audit.log")
	tr.settings.ChainKeyFile = filepath.Join(dir, "key")
	if err := os.WriteFile(tr.settings.ChainKeyFile, bytes.Repeat([]byte{7}, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&tr.settings)
	}
	tr.begin()
	return tr
}

func (tr *trail) begin() {
	tr.t.Helper()
	tr.stdout, tr.registry = &bytes.Buffer{}, prometheus.NewRegistry()
	log, err := New(Options{Settings: tr.settings, Node: "node-1", Stdout: tr.stdout, Metrics: tr.registry, Now: clock()})
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.Log = log
	tr.t.Cleanup(log.Close)
}

// notes adds records one after another, so that each is a write of its own where records
// are required.
func (tr *trail) notes(from, to int) {
	tr.t.Helper()
	for i := from; i <= to; i++ {
		if err := tr.Record(tr.t.Context(), &Record{Event: Read, Result: OK, Namespace: "shop", Key: fmt.Sprint("key-", i)}); err != nil {
			tr.t.Fatal(err)
		}
	}
}

func (tr *trail) files() []string {
	tr.t.Helper()
	found, err := filepath.Glob(tr.settings.File.Path + "*")
	if err != nil {
		tr.t.Fatal(err)
	}
	return slices.DeleteFunc(found, func(path string) bool { return strings.HasSuffix(path, ".lock") })
}

func (tr *trail) verify(last uint64) Report {
	tr.t.Helper()
	report, err := Verify(tr.settings.ChainKeyFile, tr.files(), Known{Seq: last})
	if err != nil {
		tr.t.Fatal(err)
	}
	return report
}

// records are those of a file.
func records(t *testing.T, path string) (all []Record) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(content) {
		var r Record
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&r); err != nil {
			t.Fatalf("%s: %v: %q", path, err, line)
		}
		all = append(all, r)
	}
	return all
}

func (tr *trail) metric(sink, result string) float64 {
	return testutil.ToFloat64(tr.metrics.records.WithLabelValues(sink, result))
}

// Every field is written as encoding/json reads it, in the struct's order.
func TestEveryFieldIsWritten(t *testing.T) {
	var r Record
	fill(reflect.ValueOf(&r).Elem())
	r.Time, r.Objects = epoch, ObjectsOf([]Object{{Object: "file", From: FromCache}})
	r.Seq, r.Prev, r.Hash = 0, "", ""
	got := append(append(append(r.head(nil), `,"objects":`...), r.Objects...), '}')
	want, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	want = bytes.Replace(want, []byte(`"2026-03-01T12:00:00Z"`), []byte(`"2026-03-01T12:00:00.000000Z"`), 1)
	if !bytes.Equal(got, want) {
		t.Errorf("a record is\n%s, want\n%s", got, want)
	}
	var o Object
	fill(reflect.ValueOf(&o).Elem())
	if want, err = json.Marshal([]Object{o, {Object: "b", From: "c"}}); err != nil {
		t.Fatal(err)
	}
	if got := ObjectsOf([]Object{o, {Object: "b", From: "c"}}); !bytes.Equal(got, want) {
		t.Errorf("objects are\n%s, want\n%s", got, want)
	}
}

// fill gives each text and number of a struct the name of its field, or 7.
func fill(v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString("the " + v.Type().Field(i).Name)
		case reflect.Uint64:
			f.SetUint(7)
		}
	}
}

// The page explains every field of a record.
func TestThePageHasEveryField(t *testing.T) {
	page, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []reflect.Type{reflect.TypeFor[Record](), reflect.TypeFor[Object]()} {
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			if !regexp.MustCompile("(?m)^\\| [^|]*`" + name + "`[^|]* \\|").Match(page) {
				t.Errorf("docs/audit.md has no row for the field %s", name)
			}
		}
	}
	for _, event := range []Event{Login, Probe, Read, Renew, Delivery, SecretWrite, SecretRemove, Encrypt, Decrypt, Seal, Unseal, Reseal, Lost} {
		if !bytes.Contains(page, []byte("`"+string(event)+"`")) {
			t.Errorf("docs/audit.md does not explain the event %s", event)
		}
	}
}

func TestNamesAreEscaped(t *testing.T) {
	for _, test := range []struct{ name, want string }{
		{"plain/name-1", "plain/name-1"},
		{`a"b\c`, `a\"b\\c`},
		{"line\nbreak\ttab\x00", `line\u000abreak\u0009tab\u0000`},
		{"\x1b[31mred\x7f", `\u001b[31mred\u007f`},
		{"grün 鍵 🔑", "grün 鍵 🔑"},
		{"right\u202eto left\u2028", `right\u202eto left\u2028`},
		{"\U000e0001tag", `\udb40\udc01tag`},
		{"bad\xff\xfeutf", `bad\ufffd\ufffdutf`},
		{`","hash":"0`, `\",\"hash\":\"0`},
	} {
		got := string(escape(nil, test.name))
		if got != test.want {
			t.Errorf("%q is written as %s, want %s", test.name, got, test.want)
		}
		var back string
		if err := json.Unmarshal([]byte(`"`+got+`"`), &back); err != nil || back != strings.ToValidUTF8(strings.ReplaceAll(test.name, "\xff\xfe", "\ufffd\ufffd"), "") {
			t.Errorf("%q is read back as %q (%v)", test.name, back, err)
		}
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("a\"\\\n\u202e\xff🔑")
	f.Fuzz(func(t *testing.T, name string) {
		got := escape([]byte{'"'}, name)
		if !json.Valid(append(got, '"')) || bytes.ContainsAny(got, "\n\r\x1b") {
			t.Errorf("%q is written as %q", name, got)
		}
	})
}

func TestAChainGoesOnOverRotationAndRestart(t *testing.T) {
	tr := start(t, func(a *config.Audit) { a.Required, a.File.MaxBytes, a.File.MaxFiles = true, 1000, 50 })
	tr.notes(1, 20)
	tr.Close()
	if n := len(tr.files()); n < 5 {
		t.Fatalf("%d files, want the 20 records in several", n)
	}
	tr.begin()
	tr.notes(21, 40)
	tr.Close()
	report := tr.verify(40)
	if report.Problem != nil || report.Records != 40 || report.First != 1 || report.Last != 40 {
		t.Errorf("verify says %+v", report)
	}
	if got := testutil.ToFloat64(tr.metrics.sequence); got != 40 {
		t.Errorf("lanyard_audit_sequence is %v, want 40", got)
	}
	for _, path := range tr.files() {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 || info.Size() > 1000 {
			t.Errorf("%s has the mode %v and %d bytes", path, info.Mode(), info.Size())
		}
	}
}

func TestTheOldestFilesAreRemoved(t *testing.T) {
	tr := start(t, func(a *config.Audit) { a.Required, a.File.MaxBytes, a.File.MaxFiles = true, 600, 3 })
	tr.notes(1, 30)
	tr.Close()
	if n := len(tr.files()); n != 3 {
		t.Errorf("%d files, want 3", n)
	}
	if report := tr.verify(30); report.Problem != nil || report.First < 20 || report.Last != 30 {
		t.Errorf("verify says %+v", report)
	}
}

// What an attacker without the key may do to the file of ten records.
func TestVerifyFindsTampering(t *testing.T) {
	other := start(t, func(a *config.Audit) { a.Required = true })
	other.notes(101, 120)
	other.Close()
	others := lines(t, other.settings.File.Path)
	for _, test := range []struct {
		name   string
		change func(l []string) []string
		last   uint64
		want   string
		line   int
	}{
		{"untouched", func(l []string) []string { return l }, 10, "", 0},
		{"first ones rotated away", func(l []string) []string { return l[3:] }, 10, "", 0},
		{"one removed", func(l []string) []string { return slices.Delete(l, 4, 5) }, 0, "record 5 is missing", 5},
		{"several removed", func(l []string) []string { return slices.Delete(l, 2, 8) }, 0, "record 3 is missing", 3},
		{"a name changed", func(l []string) []string { l[6] = strings.Replace(l[6], "shop", "shed", 1); return l }, 0, "record 7 was changed", 7},
		{"a time changed", func(l []string) []string { l[0] = strings.Replace(l[0], "12:00", "12:01", 1); return l }, 0, "record 1 was changed", 1},
		{"a number changed", func(l []string) []string { l[6] = strings.Replace(l[6], `"seq":7`, `"seq":8`, 1); return l }, 0, "record 8 was changed", 7},
		{"a hash changed", func(l []string) []string { l[6] = flip(l[6]); return l }, 0, "record 7 was changed", 7},
		{"a field after the hash", func(l []string) []string {
			l[6] = strings.Replace(l[6], "}\n", `,"result":"denied"}`+"\n", 1)
			return l
		}, 0, "record 7 was changed", 7},
		{"a second hash", func(l []string) []string { l[6] = strings.Replace(l[6], `,"hash"`, `,"hash":"0","hash"`, 1); return l }, 0, "record 7 was changed", 7},
		{"no hash", func(l []string) []string { l[6], _, _ = strings.Cut(l[6], `,"prev"`); l[6] += "}\n"; return l }, 0, "record 7 was changed", 7},
		{"swapped", func(l []string) []string { l[3], l[4] = l[4], l[3]; return l }, 0, "record 4 is missing", 4},
		{"repeated", func(l []string) []string { return slices.Insert(l, 5, l[4]) }, 0, "record 6 is missing", 6},
		{"an empty line", func(l []string) []string { return slices.Insert(l, 5, "\n") }, 0, "record 6 was changed", 6},
		{"a line of the attacker's", func(l []string) []string { return append(l, `{"event":"read","seq":11,"hash":"00"}`+"\n") }, 0, "record 11 was changed", 11},
		{"cut within a record", func(l []string) []string { l[9] = l[9][:40]; return l }, 0, "record 10 is cut off", 10},
		{"cut between records", func(l []string) []string { return l[:8] }, 10, "record 9 is missing", 0},
		{"another file after it", func(l []string) []string { return append(l, others...) }, 0, "record 11 is missing: record 1 follows record 10", 11},
		{"the rest of another file", func(l []string) []string { return append(l, others[10:]...) }, 0, "record 11 does not follow", 11},
		{"another file before it", func(l []string) []string { return append(slices.Clone(others), l...) }, 0, "record 21 is missing", 21},
		{"a forged loss", func(l []string) []string {
			l[4] = `{"event":"lost","result":"file","first":5,"last":5,"seq":6,"hash":"00"}` + "\n"
			return slices.Delete(l, 5, 6)
		}, 0, "record 6 was changed", 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr := start(t, func(a *config.Audit) { a.Required = true })
			tr.notes(1, 10)
			tr.Close()
			changed := strings.Join(test.change(lines(t, tr.settings.File.Path)), "")
			if err := os.WriteFile(tr.settings.File.Path, []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			report := tr.verify(test.last)
			switch {
			case test.want == "" && report.Problem != nil:
				t.Errorf("verify says %+v", report.Problem)
			case test.want != "" && (report.Problem == nil || !strings.Contains(report.Problem.Text, test.want) || report.Problem.Line != test.line):
				t.Errorf("verify says %+v, want %q at line %d", report.Problem, test.want, test.line)
			}
		})
	}
}

func TestVerifyWithAnotherKey(t *testing.T) {
	tr := start(t, func(a *config.Audit) { a.Required = true })
	tr.notes(1, 3)
	tr.Close()
	if err := os.WriteFile(tr.settings.ChainKeyFile, bytes.Repeat([]byte{8}, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	if report := tr.verify(0); report.Problem == nil || !strings.Contains(report.Problem.Text, "another key") {
		t.Errorf("verify says %+v", report.Problem)
	}
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(strings.Lines(string(content)))
}

// flip changes the last digit of a line's hash.
func flip(line string) string {
	digit := map[bool]string{true: "1", false: "0"}[line[len(line)-4] == '0']
	return line[:len(line)-4] + digit + line[len(line)-3:]
}

var errFull = errors.New("no space left on device")

// full makes the file's writes fail, after half of what is written.
func (tr *trail) full(full bool) {
	tr.current.file.write = func(out *os.File, lines []byte) (int, error) {
		if !full {
			return out.Write(lines)
		}
		n, err := out.Write(lines[:len(lines)/2])
		return n, errors.Join(err, errFull)
	}
}

func TestWithoutARecordNothingIsGivenOut(t *testing.T) {
	tr := start(t, func(a *config.Audit) { a.Required = true })
	tr.notes(1, 3)
	tr.full(true)
	for range 2 {
		err := tr.Record(t.Context(), &Record{Event: Delivery, Result: OK})
		if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "no space left on device") {
			t.Fatalf("the error is %v", err)
		}
	}
	tr.full(false)
	tr.notes(4, 5)
	tr.Close()
	report := tr.verify(8)
	if report.Problem != nil || report.Lost != 3 { // two records, and what told of the first
		t.Errorf("verify says %+v, %+v", report, report.Problem)
	}
	var keys []string
	for _, r := range records(t, tr.settings.File.Path) {
		keys = append(keys, string(r.Event)+" "+r.Key)
	}
	if want := []string{"read key-1", "read key-2", "read key-3", "lost ", "read key-4", "read key-5"}; !slices.Equal(keys, want) {
		t.Errorf("the file has %q, want %q", keys, want)
	}
	if tr.metric(sinkFile, "lost") != 3 || tr.metric(sinkFile, "written") != 6 {
		t.Errorf("lost %v, written %v", tr.metric(sinkFile, "lost"), tr.metric(sinkFile, "written"))
	}
}

// More records than one write takes are whole and in order, and those of a write that fails are told of where they are
// missing.
func TestManyRecordsTakeSeveralWrites(t *testing.T) {
	tr := start(t, nil)
	out, writes := tr.current.file.write, 0
	tr.current.file.write = func(f *os.File, lines []byte) (int, error) {
		if writes++; writes == 2 {
			return 0, errFull
		}
		if len(lines) > 2*writeBytes {
			t.Errorf("%d bytes are written at once", len(lines))
		}
		return out(f, lines)
	}
	objects := ObjectsOf([]Object{{Object: strings.Repeat("o", 4<<10), From: FromCache}})
	const all = 500
	tr.current.mu.Lock() // so that they are one batch
	for i := range all {
		start := len(tr.current.next.heads)
		tr.current.next.heads = (&Record{Time: epoch, Event: Delivery, Result: OK, Key: fmt.Sprint(i)}).head(tr.current.next.heads)
		tr.current.next.records = append(tr.current.next.records, pending{start, len(tr.current.next.heads), objects})
	}
	tr.current.mu.Unlock()
	tr.Close()
	report := tr.verify(0)
	if report.Problem != nil || report.Lost == 0 || writes < all*4/128 {
		t.Errorf("verify says %+v, %+v after %d writes", report, report.Problem, writes)
	}
	next := 0
	for _, r := range records(t, tr.settings.File.Path) {
		if r.Event == Lost {
			next += int(r.Count)
			continue
		}
		if r.Key != fmt.Sprint(next) || !bytes.Equal(r.Objects, objects) {
			t.Fatalf("record %d is of %s", next, r.Key)
		}
		next++
	}
	if next != all {
		t.Errorf("%d of %d records are there or told of", next, all)
	}
}

// Those who wait for a batch learn of one write, so that no record in the file is of what was refused.
func TestWhatIsWaitedForIsOneWrite(t *testing.T) {
	tr := start(t, func(a *config.Audit) { a.Required = true })
	out, writes := tr.current.file.write, 0
	tr.current.file.write = func(f *os.File, lines []byte) (int, error) {
		writes++
		return out(f, lines)
	}
	objects := ObjectsOf([]Object{{Object: strings.Repeat("o", 3*writeBytes), From: FromCache}})
	waiting := &group{done: make(chan struct{})}
	tr.current.mu.Lock() // so that they are one batch
	tr.current.next = batch{records: []pending{{objects: objects}, {objects: objects}}, waiting: waiting}
	tr.current.next.heads = (&Record{Time: epoch, Event: Delivery, Result: OK}).head(nil)
	for i := range tr.current.next.records {
		tr.current.next.records[i].end = len(tr.current.next.heads)
	}
	tr.current.mu.Unlock()
	tr.Close()
	<-waiting.done
	if waiting.err != nil || writes != 1 {
		t.Errorf("%d writes: %v", writes, waiting.err)
	}
	if report := tr.verify(2); report.Problem != nil {
		t.Errorf("verify says %+v", report.Problem)
	}
}

func TestLostRecordsAreCounted(t *testing.T) {
	tr := start(t, func(a *config.Audit) { a.ChainKeyFile = "" })
	tr.full(true)
	tr.notes(1, 3) // no error
	tr.Close()
	if got := tr.metric(sinkFile, "lost"); got < 3 {
		t.Errorf("%v records are lost, want at least 3", got)
	}
	if content, err := os.ReadFile(tr.settings.File.Path); err != nil || len(content) > 0 {
		t.Errorf("the file has %q (%v), want no half lines", content, err)
	}
}

// blocked is a standard output that nobody reads, until it is freed.
type blocked struct{ free chan struct{} }

func (b blocked) Write(p []byte) (int, error) { <-b.free; return len(p), nil }

func TestABlockedOutputHoldsUpOnlyWhatIsRequired(t *testing.T) {
	for _, required := range []bool{false, true} {
		t.Run(fmt.Sprint("required ", required), func(t *testing.T) {
			out := blocked{make(chan struct{})}
			settings := config.DefaultAudit()
			settings.Stdout, settings.Required = true, required
			log, err := New(Options{Settings: settings, Stdout: out, Now: clock()})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			if required {
				cancel()
			}
			defer cancel()
			err = log.Record(ctx, &Record{Event: Delivery, Result: OK})
			if required != errors.Is(err, fault.ErrUnavailable) {
				t.Errorf("the error is %v", err)
			}
			// The queue has a bound.
			for range 2 * maxPending / (64 << 10) {
				log.Note(&Record{Event: Read, Result: OK, Key: strings.Repeat("k", 64<<10)})
			}
			log.current.mu.Lock()
			pending, lost := log.current.next.bytes, log.current.next.lost
			log.current.mu.Unlock()
			if pending > maxPending+(128<<10) || lost == 0 {
				t.Errorf("%d bytes are pending and %d records lost", pending, lost)
			}
			close(out.free)
			log.Close()
			if err := log.Record(t.Context(), &Record{Event: Delivery}); required != (err != nil) {
				t.Errorf("after Close the error is %v", err)
			}
		})
	}
}

// A process that was killed in the middle of a line.
func TestATornLineIsCutOff(t *testing.T) {
	for _, torn := range []string{`{"time":"2026`, strings.Repeat("x", 100<<10)} {
		tr := start(t, func(a *config.Audit) { a.Required = true })
		tr.notes(1, 3)
		tr.Close()
		before, err := os.ReadFile(tr.settings.File.Path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(tr.settings.File.Path, append(before, torn...), 0o600); err != nil {
			t.Fatal(err)
		}
		tr.begin()
		tr.notes(4, 5)
		tr.Close()
		if report := tr.verify(5); report.Problem != nil || report.Records != 5 {
			t.Errorf("verify says %+v, %+v", report, report.Problem)
		}
	}
}

func TestReopenAfterAMove(t *testing.T) {
	tr := start(t, func(a *config.Audit) { a.Required, a.File.MaxFiles = true, 1 })
	tr.notes(1, 3)
	if err := os.Rename(tr.settings.File.Path, tr.settings.File.Path+"-moved"); err != nil {
		t.Fatal(err)
	}
	tr.notes(4, 4)
	tr.Reopen()
	tr.notes(5, 6)
	tr.Close()
	if n := len(records(t, tr.settings.File.Path)); n != 2 {
		t.Errorf("the new file has %d records, want 2", n)
	}
	if report := tr.verify(6); report.Problem != nil || report.Records != 6 {
		t.Errorf("verify says %+v, %+v", report, report.Problem)
	}
}

func TestWhatCannotBeOpened(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *testing.T, a *config.Audit)
		want   string
	}{
		{"no directory", func(_ *testing.T, a *config.Audit) { a.File.Path += "/below/audit.log" }, "no such file"},
		{"a symbolic link", func(t *testing.T, a *config.Audit) {
			if err := os.Symlink("/dev/null", a.File.Path); err != nil {
				t.Fatal(err)
			}
		}, "symbolic links"},
		{"a directory", func(t *testing.T, a *config.Audit) {
			if err := os.Mkdir(a.File.Path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "directory"},
		{"a key that others read", func(t *testing.T, a *config.Audit) {
			if err := os.Chmod(a.ChainKeyFile, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "permissions 0644 are too open"},
		{"a short key", func(t *testing.T, a *config.Audit) {
			if err := os.WriteFile(a.ChainKeyFile, []byte("short"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "at least 32"},
		{"something else in the file", func(t *testing.T, a *config.Audit) {
			if err := os.WriteFile(a.File.Path, []byte("not a record\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is no record"},
		{"no authority", func(_ *testing.T, a *config.Audit) {
			a.Webhook.URL, a.Webhook.CACertFile = "https://audit.example.com/", "/nowhere/ca.crt"
		}, "/nowhere/ca.crt"},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr := start(t, func(a *config.Audit) { a.File.Path += "-first" })
			tr.Close()
			next := tr.settings
			next.File.Path = filepath.Join(filepath.Dir(next.File.Path), "audit.log")
			test.change(t, &next)
			log, err := New(Options{Settings: next, Now: clock()})
			if err == nil {
				log.Close()
				t.Fatal("it is opened")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestSettingsThatCannotBeUsedChangeNothing(t *testing.T) {
	tr := start(t, func(a *config.Audit) { a.Required = true })
	tr.notes(1, 2)
	wrong := tr.settings
	wrong.File.Path = "/nowhere/audit.log"
	if err := tr.Configure(wrong, config.Proxy{}); err == nil {
		t.Error("a file that cannot be opened is taken")
	}
	tr.notes(3, 4)
	moved := tr.settings
	moved.Stdout = true
	if err := tr.Configure(moved, config.Proxy{}); err != nil {
		t.Fatal(err)
	}
	tr.notes(5, 5)
	if err := tr.Configure(config.DefaultAudit(), config.Proxy{}); err != nil {
		t.Fatal(err)
	}
	if tr.On() {
		t.Error("the trail is on without a sink")
	}
	tr.notes(6, 6) // nowhere
	if n := strings.Count(tr.stdout.String(), "\n"); n != 1 {
		t.Errorf("standard output has %d records, want 1", n)
	}
	if report := tr.verify(5); report.Problem != nil || report.Records != 5 {
		t.Errorf("verify says %+v, %+v", report, report.Problem)
	}
}

func TestANilLogWritesNothing(t *testing.T) {
	var log *Log
	log.Note(&Record{})
	log.Reopen()
	if err := log.Record(t.Context(), &Record{}); err != nil || log.On() {
		t.Errorf("Record: %v, On: %v", err, log.On())
	}
	log.Close()
}

// Many write while files are rotated, reopened and configured anew: no record is lost or
// written twice, and the chain is whole.
func TestRotationUnderLoad(t *testing.T) {
	tr := start(t, func(a *config.Audit) { a.Required, a.File.MaxBytes, a.File.MaxFiles = true, 8000, 1000 })
	const workers, each = 16, 60
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := range each {
				if w == 0 && i%10 == 0 {
					tr.Reopen()
				}
				if w == 1 && i%20 == 0 {
					next := tr.settings
					next.Stdout = i%40 == 0
					if err := tr.Configure(next, config.Proxy{}); err != nil {
						t.Error(err)
					}
				}
				if err := tr.Record(t.Context(), &Record{Event: Read, Result: OK, Key: fmt.Sprintf("%d-%d", w, i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	tr.Close()
	seen := map[string]bool{}
	for _, path := range tr.files() {
		for _, r := range records(t, path) {
			if seen[r.Key] {
				t.Errorf("%s was written twice", r.Key)
			}
			seen[r.Key] = true
		}
	}
	if report := tr.verify(workers * each); len(seen) != workers*each || report.Problem != nil {
		t.Errorf("%d records, and verify says %+v", len(seen), report.Problem)
	}
}

// service is a webhook that answers with one status after another, the last for ever.
type service struct {
	*httptest.Server
	mu       sync.Mutex
	statuses []int
	answer   string
	bodies   []string
	headers  []http.Header
}

func newService(t *testing.T, statuses ...int) *service {
	s := &service{statuses: statuses}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		status := s.statuses[0]
		if len(s.statuses) > 1 {
			s.statuses = s.statuses[1:]
		}
		if status == http.StatusOK {
			s.bodies = append(s.bodies, string(body))
			s.headers = append(s.headers, r.Header)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, s.answer)
	}))
	t.Cleanup(s.Close)
	return s
}

// to sends to the service alone, without pauses.
func (s *service) to(t *testing.T, change func(*config.Audit)) *trail {
	t.Helper()
	tr := start(t, func(a *config.Audit) {
		a.File.Path, a.ChainKeyFile, a.Webhook.URL = "", "", s.URL
		if change != nil {
			change(a)
		}
	})
	tr.current.webhook.Pause = func(context.Context, time.Duration) {}
	return tr
}

func TestAWebhookGetsEveryRecordAfterAnOutage(t *testing.T) {
	s := newService(t, 503, 429, 500, 200)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tr := s.to(t, func(a *config.Audit) { a.Webhook.TokenFile = token })
	tr.notes(1, 30)
	for s.received() < 30 { // without a time of its own: the test's is the bound
		time.Sleep(time.Millisecond)
	}
	tr.Close()
	if h := s.headers[0]; h.Get("Authorization") != "Bearer sesame" || h.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("the header is %v", h)
	}
	if tr.metric(sinkWebhook, "written") != 30 || tr.metric(sinkWebhook, "lost") != 0 {
		t.Errorf("written %v, lost %v", tr.metric(sinkWebhook, "written"), tr.metric(sinkWebhook, "lost"))
	}
}

func (s *service) received() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(strings.Join(s.bodies, ""), `"event":"read"`) + strings.Count(strings.Join(s.bodies, ""), `\"event\":\"read\"`)
}

func TestAWebhookThatRefusesOrIsDownLosesRecords(t *testing.T) {
	down := newService(t, 200)
	down.Close()
	for name, s := range map[string]*service{"refuses": newService(t, 403), "redirects": newService(t, 302), "down": down, "unavailable": newService(t, 503)} {
		t.Run(name, func(t *testing.T) {
			tr := s.to(t, nil)
			tr.notes(1, 5) // no error, and no wait
			tr.Close()
			if got := tr.metric(sinkWebhook, "lost"); got != 5 {
				t.Errorf("%v records are lost, want 5", got)
			}
		})
	}
}

func TestLogsOfOpenTelemetry(t *testing.T) {
	s := newService(t, 200)
	s.answer = `{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}`
	tr := s.to(t, func(a *config.Audit) { a.Webhook.Format = config.AuditOTLP })
	tr.Note(&Record{Event: Read, Result: "denied", Namespace: "shop", Pod: "web-0", Store: "vault", Key: "db"})
	tr.Close()
	if len(s.bodies) != 1 || s.headers[0].Get("Content-Type") != "application/json" {
		t.Fatalf("%d calls", len(s.bodies))
	}
	var got struct {
		ResourceLogs []struct {
			ScopeLogs []struct {
				LogRecords []struct {
					TimeUnixNano   string
					SeverityNumber int
					EventName      string
					Body           struct{ StringValue string }
					Attributes     []struct {
						Key   string
						Value struct{ StringValue string }
					}
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(s.bodies[0]), &got); err != nil {
		t.Fatal(err)
	}
	r := got.ResourceLogs[0].ScopeLogs[0].LogRecords[0]
	if r.TimeUnixNano != fmt.Sprint(epoch.Add(time.Microsecond).UnixNano()) || r.SeverityNumber != otlpWarn || r.EventName != "lanyard.audit.read" ||
		!strings.HasPrefix(r.Body.StringValue, `{"time":"2026-03-01T12:00:00.000001Z","event":"read","result":"denied","node":"node-1"`) || fmt.Sprint(r.Attributes) !=
		"[{k8s.node.name {node-1}} {k8s.namespace.name {shop}} {k8s.pod.name {web-0}} {lanyard.store {vault}} {lanyard.key {db}} {lanyard.result {denied}}]" {
		t.Errorf("the record is %+v", r)
	}
	if tr.metric(sinkWebhook, "lost") != 1 || tr.metric(sinkWebhook, "written") != 0 {
		t.Error("a record that the service rejected does not count as lost")
	}
}

// BenchmarkRecord is a delivery of 20 objects that waits until it is in the file.
func BenchmarkRecord(b *testing.B) {
	all := make([]Object, 20)
	for i := range all {
		all[i] = Object{Object: fmt.Sprint("db/password-", i), Store: "vault", Key: "secret/data/prod/db", StoreVersion: "7", From: FromCache}
	}
	objects := ObjectsOf(all)
	for _, kind := range []string{"plain", "chain"} {
		b.Run(kind, func(b *testing.B) {
			dir := b.TempDir()
			settings := config.DefaultAudit()
			settings.File.Path, settings.Required = filepath.Join(dir, "audit.log"), true
			if kind == "chain" {
				settings.ChainKeyFile = filepath.Join(dir, "key")
				if err := os.WriteFile(settings.ChainKeyFile, bytes.Repeat([]byte{7}, 32), 0o600); err != nil {
					b.Fatal(err)
				}
			}
			log, err := New(Options{Settings: settings})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := log.Record(b.Context(), &Record{Event: Delivery, Result: OK, Namespace: "prod", ServiceAccount: "web", Pod: "web-0", PodUID: "2b0c3b1e", Class: "web", Dialect: "lanyard", Objects: objects}); err != nil {
						b.Fatal(err)
					}
				}
			})
			log.Close()
		})
	}
}

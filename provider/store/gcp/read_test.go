package gcp_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"

	"github.com/lanyardhq/lanyard/provider/backend/gcp/gcptest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/gcp"
)

const db = project + "/secrets/db"

func TestVersions(t *testing.T) {
	c := newCloud(t)
	s := c.open(t, gcp.Options{}, unchanged)
	c.Put(db, []byte("one"))
	c.Put(db, []byte("two"))
	c.SetAlias(db, "stable", 1)
	number := "projects/" + gcptest.Number("shop") + "/secrets/db/versions/"
	for version, want := range map[string]struct {
		value, version string
		order          int64
	}{
		"":       {"two", number + "2", 2},
		"latest": {"two", number + "2", 2},
		"1":      {"one", number + "1", 0},
		"stable": {"one", number + "1", 0},
	} {
		t.Run(version, func(t *testing.T) {
			got := wantValue(t, s, c.web, store.Reference{Key: db, Version: version}, want.value)
			if got.Version != want.version || got.Order != want.order {
				t.Errorf("version %q, order %d; want the name that it stands for, %q, and %d", got.Version, got.Order, want.version, want.order)
			}
		})
	}
	c.SetAlias(db, "stable", 2)
	if got := wantValue(t, s, c.web, store.Reference{Key: db, Version: "stable"}, "two"); got.Version != number+"2" {
		t.Errorf("version %q after the alias moved", got.Version)
	}
}

func TestKeysMayLeaveOutWhatTheStoreSays(t *testing.T) {
	c := newCloud(t)
	regional := project + "/locations/europe-west3/secrets/db"
	c.Put(db, []byte("global"))
	c.Put(regional, []byte("regional"))
	for name, test := range map[string]struct {
		location, key, want string
	}{
		"global":                   {"", "db", "global"},
		"regional":                 {"europe-west3", "db", "regional"},
		"full name, global":        {"europe-west3", db, "global"},
		"full name, regional":      {"", regional, "regional"},
		"by the project's number":  {"", "projects/" + gcptest.Number("shop") + "/secrets/db", "global"},
		"regional, by that number": {"", "projects/" + gcptest.Number("shop") + "/locations/europe-west3/secrets/db", "regional"},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.open(t, gcp.Options{}, func(fields, _ map[string]any) {
				fields["project"] = "shop"
				if test.location != "" {
					fields["location"] = test.location
				}
			})
			wantValue(t, s, c.web, store.Reference{Key: test.key}, test.want)
		})
	}
}

func TestValuesComeAsTheyAre(t *testing.T) {
	c := newCloud(t)
	s := c.open(t, gcp.Options{}, unchanged)
	// https://cloud.google.com/secret-manager/quotas: at most 64 KiB.
	largest := make([]byte, 64<<10)
	_, _ = rand.Read(largest)
	for name, value := range map[string][]byte{
		"text":         []byte("hunter2\n"),
		"binary":       {0, 0xff, 0xfe, '\n', 0x80},
		"largest":      largest,
		"nothing":      {},
		"JSON as text": []byte(`{"b": 1, "a": 1.10}`),
	} {
		t.Run(name, func(t *testing.T) {
			c.Put(db, value)
			got, err := read(t, s, c.web, store.Reference{Key: db})
			if err != nil || !bytes.Equal(got.Data.Reveal(), value) {
				t.Errorf("%d bytes, %v; want the %d that were put", got.Data.Len(), err, len(value))
			}
		})
	}
}

func TestYAMLIsReadAsJSON(t *testing.T) {
	c := newCloud(t)
	s := c.open(t, gcp.Options{}, unchanged)
	ref := store.Reference{Key: db, Options: map[string]any{"format": "yaml"}}
	for name, test := range map[string]struct{ yaml, want string }{
		"fields":      {"user: web\npassword: 'p: w'\n", `{"password":"p: w","user":"web"}`},
		"numbers":     {"a: 0123\nb: 1.10\nc: 0x1F\nd: -7\ne: 1_000\nf: 12345678901234567890", `{"a":"0123","b":1.10,"c":"0x1F","d":-7,"e":"1_000","f":12345678901234567890}`},
		"words":       {"a: true\nb: ~\nc: yes\nd: 2024-01-31\ne:", `{"a":true,"b":null,"c":"yes","d":"2024-01-31","e":null}`},
		"nested":      {"a: {b: [1, x]}", `{"a":{"b":[1,"x"]}}`},
		"aliases":     {"a: &x secret\nb: *x", `{"a":"secret","b":"secret"}`},
		"block":       {"key: |\n  -----BEGIN-----\n  <&>\n", `{"key":"-----BEGIN-----\n<&>\n"}`},
		"binary":      {"k: !!binary aGVsbG8=\nl: !!binary |\n  aGVs\n  bG8=\nm: !!binary ''", `{"k":"hello","l":"hello","m":""}`},
		"tags":        {"a: !!str 123\nb: !!int '7'\nc: !!bool 'true'\nd: !!null ''\ne: !!float 1\nf: !!str yes\ng: !!seq [1]\nh: !!map {a: 1}", `{"a":"123","b":7,"c":true,"d":null,"e":1,"f":"yes","g":[1],"h":{"a":1}}`},
		"old words":   {"a: on\nb: off\nc: No\nd: Y\ne: 017\nf: 0o17\ng: .inf\nh: .NaN\ni: +1\nj: 1e5", `{"a":"on","b":"off","c":"No","d":"Y","e":"017","f":"0o17","g":".inf","h":".NaN","i":"+1","j":1e5}`},
		"a time":      {"a: 2001-12-14t21:59:43.10-05:00\nb: !!timestamp 2001-12-14", `{"a":"2001-12-14t21:59:43.10-05:00","b":"2001-12-14"}`},
		"digits":      {"a: 9007199254740993\nb: 1.10\nc: 1e400", `{"a":9007199254740993,"b":1.10,"c":"1e400"}`},
		"other keys":  {"1: a\ntrue: b\n2024-01-31: c", `{"1":"a","2024-01-31":"c","true":"b"}`},
		"documents":   {"a: b\n---\nc: [", `{"a":"b"}`},
		"a merge":     {"a: &x {b: 1, c: 2}\nd: {b: 3, <<: *x}\ne:\n  <<: *x\n  c: 4", `{"a":{"b":1,"c":2},"d":{"b":3,"c":2},"e":{"b":1,"c":4}}`},
		"merges":      {"a: &x {b: 1, c: 2}\nd: &y {c: 3, e: 4}\n<<: [*x, *y]", `{"a":{"b":1,"c":2},"b":1,"c":2,"d":{"c":3,"e":4},"e":4}`},
		"no merge":    {"'<<': a", `{"<<":"a"}`},
		"JSON itself": {`{"a": "b"}`, `{"a":"b"}`},
	} {
		t.Run(name, func(t *testing.T) {
			c.Put(db, []byte(test.yaml))
			wantValue(t, s, c.web, ref, test.want)
		})
	}
	for name, text := range map[string]string{
		"nothing":            "",
		"not YAML":           "a: [planted",
		"twice":              "planted: 1\nplanted: 2",
		"a merge of text":    "<<: planted",
		"two merges":         "a: &x {b: planted}\n<<: *x\n<<: *x",
		"a merge of itself":  "a: &x {<<: *x, planted: b}",
		"a bomb":             "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]",
		"a bomb of text":     "a: &a " + strings.Repeat("x", 30_000) + "\nb: [" + strings.Repeat("*a,", 100) + "]",
		"no base64":          "planted: !!binary pla!nted",
		"binary no text":     "planted: !!binary /w==",
		"another bool":       "planted: !!bool yes",
		"an empty bool":      "planted: !!bool ''",
		"another int":        "planted: !!int planted",
		"an object as int":   "planted: !!int 'a: 1'",
		"another null":       "planted: !!null planted",
		"a tag of one's own": "planted: !planted x",
		"a set":              "planted: !!set {a, b}",
		"an ordered map":     "planted: !!omap [a: 1]",
		"twice as text":      "1: planted\n'1': planted",
		"null as key":        "~: planted",
		"binary as key":      "!!binary aGk=: planted",
		"a merge of texts":   "a: {<<: [planted]}",
		"itself":             "&a [*a]",
		"a list as key":      "? [a]\n: planted",
	} {
		t.Run(name, func(t *testing.T) {
			c.Put(db, []byte(text))
			_, err := read(t, s, c.web, ref)
			wantError(t, err, fault.ErrInvalid, "options.format: ")
			if err != nil && strings.Contains(err.Error(), "planted") {
				t.Errorf("error %q shows the value", err)
			}
		})
	}
}

// The cost is in calls of the identity services; every read is one of Secret
// Manager.
func TestPodsOfOneServiceAccountShareOneToken(t *testing.T) {
	c := newCloud(t)
	s := c.open(t, gcp.Options{}, func(_, auth map[string]any) { auth["serviceAccount"] = "web@shop.iam.gserviceaccount.com" })
	c.PutAccount("web@shop.iam.gserviceaccount.com", gcptest.Workload(pool, "prod", "web"))
	c.Grant(project, gcptest.Account("web@shop.iam.gserviceaccount.com"))
	c.Put(db, []byte("one"))
	var all sync.WaitGroup
	for range 110 {
		pod := c.pod(t, "web", pool)
		all.Go(func() {
			if _, err := s.Read(t.Context(), pod, store.Reference{Key: db}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if exchanges, acts := c.Calls("token"), c.Calls("generateAccessToken"); exchanges != 1 || acts != 1 {
		t.Errorf("%d exchanges and %d tokens of the service account for 110 pods, want 1 of each", exchanges, acts)
	}
	if reads := c.Calls("AccessSecretVersion"); reads != 110 {
		t.Errorf("%d calls for 110 reads", reads)
	}
}

// Classes with a default project of their own are stores of their own.
func TestStoresShareTheTokenOfOneServiceAccountAndNoOther(t *testing.T) {
	c := newCloud(t)
	c.Put(db, []byte("one"))
	googleType := gcp.NewType(gcp.Options{})
	open := func(change func(fields, auth map[string]any)) store.Store {
		opened, err := googleType.Open(c.settings(change))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(opened.Close)
		return opened
	}
	one := open(unchanged)
	other := open(func(fields, _ map[string]any) { fields["project"] = "shop" })
	wantValue(t, one, c.web, store.Reference{Key: db}, "one")
	wantValue(t, other, c.web, store.Reference{Key: "db"}, "one")
	if exchanges := c.Calls("token"); exchanges != 1 {
		t.Errorf("%d exchanges for one service account, want 1", exchanges)
	}
	_, err := read(t, other, c.pod(t, "api", pool), store.Reference{Key: "db"})
	wantError(t, err, fault.ErrDenied, "service account api")

	asAccount := open(func(_, auth map[string]any) { auth["serviceAccount"] = webAccount })
	_, err = read(t, asAccount, c.web, store.Reference{Key: db})
	wantError(t, err, fault.ErrDenied, "acting as service account "+webAccount)
}

func TestDestroyedDisabledAndMissingVersionsAreNotFound(t *testing.T) {
	c := newCloud(t)
	s := c.open(t, gcp.Options{}, unchanged)
	c.Put(db, []byte("one"))
	c.Put(db, []byte("two"))
	c.SetState(db, 1, secretmanagerpb.SecretVersion_DESTROYED)
	c.SetState(db, 2, secretmanagerpb.SecretVersion_DISABLED)
	for name, test := range map[string]struct {
		ref  store.Reference
		says []string
	}{
		"destroyed":          {store.Reference{Key: db, Version: "1"}, []string{db + "/versions/1: the version is destroyed for good", "name another version"}},
		"disabled":           {store.Reference{Key: db, Version: "2"}, []string{db + "/versions/2: the version is disabled; enable it"}},
		"latest is disabled": {store.Reference{Key: db}, []string{db + "/versions/latest: the latest version is disabled; enable it"}},
		"no such version":    {store.Reference{Key: db, Version: "3"}, []string{"there is no such secret or version", "not found"}},
		"no such alias":      {store.Reference{Key: db, Version: "stable"}, []string{"there is no such secret or version"}},
		"no such secret":     {store.Reference{Key: project + "/secrets/bd"}, []string{project + "/secrets/bd/versions/latest: there is no such secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := c.Calls("AccessSecretVersion")
			_, err := read(t, s, c.web, test.ref)
			wantError(t, err, fault.ErrNotFound, test.says...)
			if calls := c.Calls("AccessSecretVersion") - before; calls != 1 {
				t.Errorf("%d calls for an answer that will not change", calls)
			}
		})
	}
	c.SetState(db, 2, secretmanagerpb.SecretVersion_ENABLED)
	wantValue(t, s, c.web, store.Reference{Key: db}, "two")
}

func TestADeniedSecretTellsWhomToGrantWhat(t *testing.T) {
	c := newCloud(t)
	s := c.open(t, gcp.Options{}, unchanged)
	c.Put("projects/bank/secrets/db", []byte("one"))
	_, err := read(t, s, c.web, store.Reference{Key: "projects/bank/secrets/db"})
	wantError(t, err, fault.ErrDenied,
		"projects/bank/secrets/db/versions/latest: permission denied for the workload identity of service account web in namespace prod",
		"roles/secretmanager.secretAccessor", "'secretmanager.versions.access' denied")
	if errors.Is(err, fault.ErrNotFound) {
		t.Error("an optional object would be left out without a word")
	}
}

package seal_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

const prefix = "lanyard.v1."

var (
	noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	web  = identity.Identity{Cluster: "dev", Namespace: "prod", ServiceAccount: "web"}
)

const object = "db/password"

// webScope is what only web may open, as the object.
func webScope() seal.Scope {
	return seal.Scope{
		Cluster:        seal.Exact("dev"),
		Namespace:      seal.Exact("prod"),
		ServiceAccount: seal.Exact("web"),
		Object:         seal.Exact(object),
	}
}

func newRing(t testing.TB) *seal.KeyRing {
	t.Helper()
	ring, err := seal.NewKeyRing("dev", noon)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func mustSeal(t testing.TB, ring *seal.KeyRing, scope seal.Scope, value string) string {
	t.Helper()
	text, err := seal.Seal(ring.Public(), scope, secret.NewString(value))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func mustParse(t testing.TB, text string) *seal.Sealed {
	t.Helper()
	sealed, err := seal.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// open parses and opens as web, and fails the test if an error brings a value.
func open(t testing.TB, ring *seal.KeyRing, text string) (string, error) {
	t.Helper()
	sealed, err := seal.Parse(text)
	if err != nil {
		return "", err
	}
	value, err := sealed.Open(t.Context(), seal.Keys{Ring: ring}, web, object, noon)
	if err != nil && value.Len() != 0 {
		t.Fatal("an error came with a value")
	}
	return value.RevealString(), err
}

func TestOpensWhatWasSealed(t *testing.T) {
	ring := newRing(t)
	for name, value := range map[string]string{
		"one byte":          "x",
		"text":              "correct horse",
		"newline kept":      "with newline\n",
		"any bytes":         "\x00\xff\n\r",
		"the longest value": strings.Repeat("v", seal.MaxValue),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := open(t, ring, mustSeal(t, ring, webScope(), value))
			if err != nil {
				t.Fatal(err)
			}
			if got != value {
				t.Error("the value came back changed")
			}
		})
	}
}

func TestSealsAnewEachTime(t *testing.T) {
	ring := newRing(t)
	first, second := mustSeal(t, ring, webScope(), "v"), mustSeal(t, ring, webScope(), "v")
	if first == second {
		t.Error("two calls returned one text")
	}
}

func TestTellsWithoutAKey(t *testing.T) {
	ring := newRing(t)
	scope := webScope()
	scope.ServiceAccount = seal.Any()
	scope.NotAfter = noon.Add(time.Hour)
	sealed := mustParse(t, mustSeal(t, ring, scope, "value"))
	if sealed.Suite() != seal.SuiteHPKE || sealed.KeyID() != ring.Public().ID() || sealed.Scope() != scope || sealed.Size() != 5 {
		t.Errorf("suite %v, key %v, scope %v, size %d", sealed.Suite(), sealed.KeyID(), sealed.Scope(), sealed.Size())
	}
}

func TestScopeMatching(t *testing.T) {
	anywhere := seal.Scope{Cluster: seal.Any(), Namespace: seal.Any(), ServiceAccount: seal.Any(), Object: seal.Any()}
	expiring := webScope()
	expiring.NotAfter = noon

	for name, c := range map[string]struct {
		scope  seal.Scope
		as     identity.Identity
		object string
		now    time.Time
		want   []error
		text   []string // what the error must tell
	}{
		"exact":                    {scope: webScope(), as: web, object: object},
		"any of all":               {scope: anywhere, as: identity.Identity{}, object: "x"},
		"at its last second":       {scope: expiring, as: web, object: object, now: noon},
		"after its last second":    {scope: expiring, as: web, object: object, now: noon.Add(time.Nanosecond), want: []error{seal.ErrExpired}, text: []string{"2026-05-01T12:00:00Z"}},
		"another cluster":          {scope: webScope(), as: identity.Identity{Cluster: "live", Namespace: "prod", ServiceAccount: "web"}, object: object, want: []error{seal.ErrOtherCluster}, text: []string{`"dev"`, `"live"`}},
		"no cluster configured":    {scope: webScope(), as: identity.Identity{Namespace: "prod", ServiceAccount: "web"}, object: object, want: []error{seal.ErrOtherCluster}, text: []string{`"dev"`, "names no cluster"}},
		"another namespace":        {scope: webScope(), as: identity.Identity{Cluster: "dev", Namespace: "test", ServiceAccount: "web"}, object: object, want: []error{seal.ErrOtherNamespace}, text: []string{`"prod"`, `"test"`}},
		"another service account":  {scope: webScope(), as: identity.Identity{Cluster: "dev", Namespace: "prod", ServiceAccount: "api"}, object: object, want: []error{seal.ErrOtherServiceAccount}, text: []string{`"web"`, `"api"`}},
		"another object":           {scope: webScope(), as: web, object: "db/user", want: []error{seal.ErrOtherObject}, text: []string{`"db/password"`, `"db/user"`}},
		"an object without a name": {scope: webScope(), as: web, object: "", want: []error{seal.ErrOtherObject}},
		"letters of another case":  {scope: webScope(), as: web, object: "DB/password", want: []error{seal.ErrOtherObject}},
		"several at once": {scope: expiring, as: identity.Identity{Cluster: "live", Namespace: "test", ServiceAccount: "api"}, object: "o", now: noon.Add(time.Hour),
			want: []error{seal.ErrOtherCluster, seal.ErrOtherNamespace, seal.ErrOtherServiceAccount, seal.ErrOtherObject, seal.ErrExpired}, text: []string{"seal the value again"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.scope.Match(c.as, c.object, c.now)
			wantErrors(t, err, c.want...)
			for _, part := range c.text {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not tell %s", err, part)
				}
			}
			ring := newRing(t)
			value, err := mustParse(t, mustSeal(t, ring, c.scope, "v")).Open(t.Context(), seal.Keys{Ring: ring}, c.as, c.object, c.now)
			wantErrors(t, err, c.want...)
			if (err == nil) != (value.Len() > 0) {
				t.Errorf("Open returned %d bytes and the error %v", value.Len(), err)
			}
		})
	}
}

func TestRefusesScopesThatNobodyCanMeet(t *testing.T) {
	with := func(change func(*seal.Scope)) seal.Scope {
		scope := webScope()
		change(&scope)
		return scope
	}
	for name, c := range map[string]struct {
		scope seal.Scope
		field string
	}{
		"cluster left out":               {with(func(s *seal.Scope) { s.Cluster = seal.Name{} }), "cluster"},
		"cluster too long":               {with(func(s *seal.Scope) { s.Cluster = seal.Exact(strings.Repeat("c", 254)) }), "cluster"},
		"cluster with a newline":         {with(func(s *seal.Scope) { s.Cluster = seal.Exact("a\nb") }), "cluster"},
		"namespace left out":             {with(func(s *seal.Scope) { s.Namespace = seal.Name{} }), "namespace"},
		"namespace in capitals":          {with(func(s *seal.Scope) { s.Namespace = seal.Exact("Prod") }), "namespace"},
		"namespace with a dot":           {with(func(s *seal.Scope) { s.Namespace = seal.Exact("a.b") }), "namespace"},
		"namespace too long":             {with(func(s *seal.Scope) { s.Namespace = seal.Exact(strings.Repeat("n", 64)) }), "namespace"},
		"service account left out":       {with(func(s *seal.Scope) { s.ServiceAccount = seal.Name{} }), "service account"},
		"service account ends in a dash": {with(func(s *seal.Scope) { s.ServiceAccount = seal.Exact("web-") }), "service account"},
		"service account with two dots":  {with(func(s *seal.Scope) { s.ServiceAccount = seal.Exact("a..b") }), "service account"},
		"service account too long":       {with(func(s *seal.Scope) { s.ServiceAccount = seal.Exact(strings.Repeat("s", 254)) }), "service account"},
		"object left out":                {with(func(s *seal.Scope) { s.Object = seal.Name{} }), "object name"},
		"object too long":                {with(func(s *seal.Scope) { s.Object = seal.Exact(strings.Repeat("o", 4097)) }), "object name"},
		"object not UTF-8":               {with(func(s *seal.Scope) { s.Object = seal.Exact("\xff") }), "object name"},
		"not-after before 1970":          {with(func(s *seal.Scope) { s.NotAfter = time.Unix(-1, 0) }), "not-after"},
		"not-after in the year 10000":    {with(func(s *seal.Scope) { s.NotAfter = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }), "not-after"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := seal.Seal(newRing(t).Public(), c.scope, secret.NewString("v"))
			if err == nil || text != "" {
				t.Fatalf("Seal = %d characters, %v", len(text), err)
			}
			if !strings.Contains(err.Error(), c.field) {
				t.Errorf("error %q does not name %s", err, c.field)
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		err := seal.Scope{}.Validate()
		for _, field := range []string{"cluster", "namespace", "service account", "object name"} {
			if err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("error %v does not name %s", err, field)
			}
		}
	})
	t.Run("the longest names are possible", func(t *testing.T) {
		err := seal.Scope{
			Cluster: seal.Exact(strings.Repeat("c", 253)), Namespace: seal.Exact(strings.Repeat("n", 63)),
			ServiceAccount: seal.Exact(strings.Repeat("s", 253)), Object: seal.Exact(strings.Repeat("o", 4096)),
			NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		}.Validate()
		if err != nil {
			t.Error(err)
		}
	})
}

func TestRefusesValuesThatAreEmptyOrTooLong(t *testing.T) {
	ring := newRing(t)
	for name, value := range map[string]string{"empty": "", "too long": strings.Repeat("v", seal.MaxValue+1)} {
		t.Run(name, func(t *testing.T) {
			if text, err := seal.Seal(ring.Public(), webScope(), secret.NewString(value)); err == nil || text != "" {
				t.Errorf("Seal = %d characters, %v", len(text), err)
			}
		})
	}
}

// Whatever single bit of a sealed value changes, it does not open.
func TestEveryFlippedBitIsAnError(t *testing.T) {
	ring := newRing(t)
	scope := webScope()
	scope.NotAfter = noon.Add(time.Hour)
	text := mustSeal(t, ring, scope, "value")
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, prefix))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[error]int{}
	for bit := range len(raw) * 8 {
		flipped := bytes.Clone(raw)
		flipped[bit/8] ^= 1 << (bit % 8)
		value, err := open(t, ring, prefix+base64.RawURLEncoding.EncodeToString(flipped))
		if err == nil || value != "" {
			t.Fatalf("bit %d of byte %d: %v", bit%8, bit/8, err)
		}
		known := false
		for _, kind := range allErrors {
			if errors.Is(err, kind) {
				known = true
				kinds[kind]++
			}
		}
		if !known {
			t.Errorf("bit %d of byte %d: error %v is none of the package's", bit%8, bit/8, err)
		}
	}
	// All 8 bits of the encapsulated key, ciphertext and tag, at least.
	if least := 8 * (1120 + len("value") + 16); kinds[seal.ErrAuthentication] < least {
		t.Errorf("%d flipped bits failed to authenticate, want at least %d", kinds[seal.ErrAuthentication], least)
	}
}

func TestEveryTruncationIsAnError(t *testing.T) {
	ring := newRing(t)
	text := mustSeal(t, ring, webScope(), "value")
	for n := range text {
		if _, err := open(t, ring, text[:n]); !errors.Is(err, seal.ErrMalformed) && !errors.Is(err, seal.ErrAuthentication) {
			t.Fatalf("the first %d characters: %v", n, err)
		}
	}
}

// The scope is looked at before the key: a workload that may not have a value
// learns the same whether or not the ring has the key.
func TestScopeComesBeforeKey(t *testing.T) {
	sealed := mustParse(t, mustSeal(t, newRing(t), webScope(), "v"))
	_, err := sealed.Open(t.Context(), seal.Keys{Ring: newRing(t)}, identity.Identity{Cluster: "dev", Namespace: "test", ServiceAccount: "web"}, object, noon)
	wantErrors(t, err, seal.ErrOtherNamespace)
}

func TestPrintingShowsNoCiphertextAndNoKey(t *testing.T) {
	ring := newRing(t)
	text := mustSeal(t, ring, webScope(), "planted-value")
	sealed := mustParse(t, text)
	file, err := ring.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	_, private, _ := strings.Cut(file.RevealString(), "lanyard.private.v1.")
	private = strings.TrimSpace(private)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		printed := fmt.Sprintf(format+" "+format+" "+format, sealed, ring, file)
		if strings.Contains(printed, private) || strings.Contains(printed, text[len(text)-40:]) || len(printed) > 300 {
			t.Errorf("%s shows too much: %.300s", format, printed)
		}
	}
}

// wantErrors checks that err wraps exactly the wanted errors of the package.
func wantErrors(t testing.TB, err error, want ...error) {
	t.Helper()
	if (err == nil) != (len(want) == 0) {
		t.Fatalf("error %v, want %v", err, want)
	}
	for _, kind := range allErrors {
		wanted := false
		for _, w := range want {
			wanted = wanted || errors.Is(w, kind)
		}
		if errors.Is(err, kind) != wanted {
			t.Errorf("error %q: is %q %v, want %v", err, kind, errors.Is(err, kind), wanted)
		}
	}
}

package seal_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/local"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// localKey opens a key of a key file with these keys, one for each line.
func localKey(t testing.TB, keys ...string) key.Key {
	t.Helper()
	var lines strings.Builder
	for _, plain := range keys {
		lines.WriteString(plain + "\n")
	}
	path := filepath.Join(t.TempDir(), "keys")
	writeFile(t, path, lines.String())
	opened, err := local.NewType().Open(key.Settings{Fields: map[string]any{"file": path}, ByOperator: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened
}

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// newLine is a new key for a key file.
func newLine(t testing.TB) string {
	t.Helper()
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(t.Name(), 32)[:31] + "1"))
}

// keyService is a key.Key that knows pods: it notes who asks and for which
// context, refuses on demand, and lets a local key do the work.
type keyService struct {
	key.Key
	refuse error                     // the answer to every call, if not nil
	alter  func(plain []byte) []byte // what becomes of the answers to Decrypt

	mu       sync.Mutex
	encrypts int
	decrypts []identity.Identity
	bound    []key.Context
}

func (s *keyService) Encrypt(ctx context.Context, as identity.Identity, plaintext secret.Bytes, bound key.Context) (key.Ciphertext, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.encrypts++
	s.bound = append(s.bound, bound)
	if s.refuse != nil {
		return key.Ciphertext{}, s.refuse
	}
	return s.Key.Encrypt(ctx, as, plaintext, bound)
}

func (s *keyService) Decrypt(ctx context.Context, as identity.Identity, ciphertext key.Ciphertext, bound key.Context) (secret.Bytes, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.decrypts, s.bound = append(s.decrypts, as), append(s.bound, bound)
	if s.refuse != nil {
		return secret.Bytes{}, s.refuse
	}
	plain, err := s.Key.Decrypt(ctx, identity.Identity{}, ciphertext, bound)
	if err == nil && s.alter != nil {
		plain = secret.New(s.alter(bytes.Clone(plain.Reveal())))
	}
	return plain, err
}

// newService is a key service with one new key, named prod.
func newService(t testing.TB) (*keyService, *seal.ServiceKey) {
	t.Helper()
	service := &keyService{Key: localKey(t, newLine(t))}
	return service, named(t, "prod", service, false)
}

func named(t testing.TB, name string, opened key.Key, asNode bool) *seal.ServiceKey {
	t.Helper()
	made, err := seal.NewServiceKey(name, opened, asNode)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func mustSealWith(t testing.TB, with *seal.ServiceKey, scope seal.Scope, value string) string {
	t.Helper()
	text, err := seal.SealWith(t.Context(), with, scope, secret.NewString(value))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// openWith parses and opens, and fails the test if an error brings a value.
func openWith(t testing.TB, keys seal.Keys, text string, as identity.Identity, object string) (string, error) {
	t.Helper()
	sealed, err := seal.Parse(text)
	if err != nil {
		return "", err
	}
	value, err := sealed.Open(t.Context(), keys, as, object, noon)
	if err != nil && value.Len() != 0 {
		t.Fatal("an error came with a value")
	}
	return value.RevealString(), err
}

func TestOpensWhatWasSealedWithAKeyService(t *testing.T) {
	_, with := newService(t)
	for name, value := range map[string]string{
		"one byte": "x", "text": "correct horse", "any bytes": "\x00\xff\n\r", "the longest value": strings.Repeat("v", seal.MaxValue),
	} {
		t.Run(name, func(t *testing.T) {
			text := mustSealWith(t, with, webScope(), value)
			got, err := openWith(t, seal.Keys{Services: []*seal.ServiceKey{with}}, text, web, object)
			if err != nil {
				t.Fatal(err)
			}
			if got != value {
				t.Error("the value came back changed")
			}
			if again := mustSealWith(t, with, webScope(), value); again == text {
				t.Error("two calls returned one text")
			}
		})
	}
}

func TestTellsTheKeyOfTheKeyServiceWithoutIt(t *testing.T) {
	service, with := newService(t)
	current, err := service.Current(t.Context(), identity.Identity{})
	if err != nil {
		t.Fatal(err)
	}
	sealed := mustParse(t, mustSealWith(t, with, webScope(), "value"))
	name, version, ok := sealed.ServiceKey()
	if !ok || name != "prod" || version != current || sealed.Suite() != seal.SuiteKeyService || sealed.Size() != 5 || sealed.Scope() != webScope() {
		t.Errorf("key %s, version %s, %v, suite %v, size %d, scope %v", name, version, ok, sealed.Suite(), sealed.Size(), sealed.Scope())
	}
	if _, _, ok := mustParse(t, mustSeal(t, newRing(t), webScope(), "v")).ServiceKey(); ok {
		t.Error("a value of suite 1 has a key of a key service")
	}
}

// The key service is asked once for each value, as the workload, and bound to
// the whole scope; as the node only where the key says so.
func TestAsksTheKeyServiceAsTheWorkload(t *testing.T) {
	scope := webScope()
	scope.NotAfter = noon
	full := key.Context{"use": "sealed-value", "cluster": "dev", "namespace": "prod", "service-account": "web", "target-object": object, "until": "2026-05-01T12:00:00Z"}
	for name, c := range map[string]struct {
		asNode bool
		scope  seal.Scope
		asked  identity.Identity
		bound  key.Context
	}{
		"as the workload":           {scope: scope, asked: web, bound: full},
		"as the node":               {scope: scope, asNode: true, bound: full},
		"what is any is left out":   {scope: seal.Scope{Cluster: seal.Any(), Namespace: seal.Exact("prod"), ServiceAccount: seal.Any(), Object: seal.Any()}, asked: web, bound: key.Context{"use": "sealed-value", "namespace": "prod"}},
		"nothing is left but a use": {scope: seal.Scope{Cluster: seal.Any(), Namespace: seal.Any(), ServiceAccount: seal.Any(), Object: seal.Any()}, asked: web, bound: key.Context{"use": "sealed-value"}},
	} {
		t.Run(name, func(t *testing.T) {
			service := &keyService{Key: localKey(t, newLine(t))}
			with := named(t, "prod", service, c.asNode)
			if _, err := openWith(t, seal.Keys{Services: []*seal.ServiceKey{with}}, mustSealWith(t, with, c.scope, "v"), web, object); err != nil {
				t.Fatal(err)
			}
			if service.encrypts != 1 || len(service.decrypts) != 1 {
				t.Fatalf("%d encryptions, %d decryptions", service.encrypts, len(service.decrypts))
			}
			if got := service.decrypts[0]; got.Namespace != c.asked.Namespace || got.ServiceAccount != c.asked.ServiceAccount {
				t.Errorf("asked as %v", got)
			}
			for _, bound := range service.bound {
				if !maps.Equal(bound, c.bound) {
					t.Errorf("bound to %v, want %v", bound, c.bound)
				}
			}
		})
	}
}

// A workload that may not have a value does not reach the key service with it.
func TestAsksNoKeyServiceForAnotherWorkload(t *testing.T) {
	service, with := newService(t)
	text := mustSealWith(t, with, webScope(), "v")
	other := identity.Identity{Cluster: "dev", Namespace: "test", ServiceAccount: "web"}
	_, err := openWith(t, seal.Keys{Services: []*seal.ServiceKey{with}}, text, other, object)
	wantErrors(t, err, seal.ErrOtherNamespace)
	if len(service.decrypts) > 0 {
		t.Error("the key service was asked")
	}
}

// Whoever ignores the scope in the header, or changes it, is refused by the key
// service: the data key itself is bound to the scope.
func TestTheKeyServiceRefusesAnotherScope(t *testing.T) {
	service, with := newService(t)
	expiring := webScope()
	expiring.NotAfter = noon.Add(-time.Hour)
	for name, c := range map[string]struct {
		scope    seal.Scope
		old, new string // in the header
		as       identity.Identity
		object   string
	}{
		"cluster":             {webScope(), "\x01\x00\x03dev", "\x01\x00\x03liv", identity.Identity{Cluster: "liv", Namespace: "prod", ServiceAccount: "web"}, object},
		"namespace":           {webScope(), "\x01\x00\x04prod", "\x01\x00\x04test", identity.Identity{Cluster: "dev", Namespace: "test", ServiceAccount: "web"}, object},
		"any namespace":       {webScope(), "\x01\x00\x04prod", "\x00", identity.Identity{Cluster: "dev", Namespace: "test", ServiceAccount: "web"}, object},
		"any service account": {webScope(), "\x01\x00\x03web", "\x00", identity.Identity{Cluster: "dev", Namespace: "prod", ServiceAccount: "api"}, object},
		"object":              {webScope(), object, "db/passwerd", web, "db/passwerd"},
		"not-after":           {expiring, "\x01\x00\x00\x00\x00" + string(be32(noon.Add(-time.Hour))), "\x00", web, object},
	} {
		t.Run(name, func(t *testing.T) {
			raw := rawOf(t, mustSealWith(t, with, c.scope, "v"))
			if !bytes.Contains(raw, []byte(c.old)) {
				t.Fatalf("the header has no %q", c.old)
			}
			moved := prefix + base64url(bytes.Replace(raw, []byte(c.old), []byte(c.new), 1))
			before := len(service.decrypts)
			_, err := openWith(t, seal.Keys{Services: []*seal.ServiceKey{with}}, moved, c.as, c.object)
			wantErrors(t, err, seal.ErrKeyService)
			if !errors.Is(err, fault.ErrInvalid) || len(service.decrypts) != before+1 {
				t.Errorf("error %v after %d calls", err, len(service.decrypts)-before)
			}
		})
	}
}

func be32(at time.Time) []byte {
	seconds := at.Unix()
	return []byte{byte(seconds >> 24), byte(seconds >> 16), byte(seconds >> 8), byte(seconds)}
}

func rawOf(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, prefix))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Whatever single bit of a value changes, it does not open, and a change after
// the wrapped key is found out by the value's own cipher.
func TestEveryFlippedBitOfAKeyServicesValueIsAnError(t *testing.T) {
	_, with := newService(t)
	scope := webScope()
	scope.NotAfter = noon.Add(time.Hour)
	raw := rawOf(t, mustSealWith(t, with, scope, "value"))
	kinds := map[error]int{}
	for bit := range len(raw) * 8 {
		flipped := bytes.Clone(raw)
		flipped[bit/8] ^= 1 << (bit % 8)
		_, err := openWith(t, seal.Keys{Services: []*seal.ServiceKey{with}}, prefix+base64url(flipped), web, object)
		if err == nil {
			t.Fatalf("bit %d of byte %d opens", bit%8, bit/8)
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
	if want := 8 * (len("value") + 16); kinds[seal.ErrAuthentication] != want {
		t.Errorf("%d flipped bits failed to authenticate, want %d: those of ciphertext and tag", kinds[seal.ErrAuthentication], want)
	}
	// The wrapped key of a local key has 97 bytes.
	if least := 8 * 97; kinds[seal.ErrKeyService] < least {
		t.Errorf("the key service refused %d flipped bits, want at least %d", kinds[seal.ErrKeyService], least)
	}
}

func TestEveryTruncationOfAKeyServicesValueIsAnError(t *testing.T) {
	_, with := newService(t)
	text := mustSealWith(t, with, webScope(), "value")
	for n := range text {
		if _, err := openWith(t, seal.Keys{Services: []*seal.ServiceKey{with}}, text[:n], web, object); !errors.Is(err, seal.ErrMalformed) && !errors.Is(err, seal.ErrAuthentication) {
			t.Fatalf("the first %d characters: %v", n, err)
		}
	}
}

func TestRefusesAKeyServicesValueThatIsTooLong(t *testing.T) {
	_, with := newService(t)
	raw := rawOf(t, mustSealWith(t, with, webScope(), strings.Repeat("v", seal.MaxValue)))
	mustParse(t, prefix+base64url(raw))
	_, err := seal.Parse(prefix + base64url(append(raw, 0)))
	wantErrors(t, err, seal.ErrMalformed)
}

// The wrapped key is authenticated with the value: that of another value of the
// same scope does not stand in, though the key service unwraps it.
func TestAnotherValuesDataKeyOpensNothing(t *testing.T) {
	_, with := newService(t)
	one, two := rawOf(t, mustSealWith(t, with, webScope(), "value")), rawOf(t, mustSealWith(t, with, webScope(), "value"))
	ciphertext := len("value") + 16
	mixed := append(bytes.Clone(one[:len(one)-ciphertext]), two[len(two)-ciphertext:]...)
	_, err := openWith(t, seal.Keys{Services: []*seal.ServiceKey{with}}, prefix+base64url(mixed), web, object)
	wantErrors(t, err, seal.ErrAuthentication)
}

func TestAKeyServiceThatAnswersAnotherDataKeyOpensNothing(t *testing.T) {
	for name, alter := range map[string]func([]byte) []byte{
		"another key": func(plain []byte) []byte { plain[0] ^= 1; return plain },
		"16 bytes":    func(plain []byte) []byte { return plain[:16] },
		"33 bytes":    func(plain []byte) []byte { return append(plain, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			service, with := newService(t)
			text := mustSealWith(t, with, webScope(), "v")
			service.alter = alter
			_, err := openWith(t, seal.Keys{Services: []*seal.ServiceKey{with}}, text, web, object)
			wantErrors(t, err, seal.ErrAuthentication)
		})
	}
}

func TestOpensUnderTheNameThatWasSealedUnder(t *testing.T) {
	service, with := newService(t)
	text := mustSealWith(t, with, webScope(), "v")
	for name, keys := range map[string]seal.Keys{
		"no keys":           {},
		"a key ring alone":  {Ring: newRing(t)},
		"under other names": {Services: []*seal.ServiceKey{named(t, "test", service, false), named(t, "Prod", service, false)}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openWith(t, keys, text, web, object)
			wantErrors(t, err, seal.ErrUnknownKey)
			if !strings.Contains(err.Error(), "key prod") {
				t.Errorf("error %q does not name the key", err)
			}
		})
	}
	t.Run("a key ring is asked for and there is none", func(t *testing.T) {
		_, err := openWith(t, seal.Keys{Services: []*seal.ServiceKey{with}}, mustSeal(t, newRing(t), webScope(), "v"), web, object)
		wantErrors(t, err, seal.ErrUnknownKey)
	})
	if len(service.decrypts) > 0 {
		t.Error("the key service was asked")
	}
}

// A rotated key opens what its older versions wrapped; one whose version is
// gone says so, and not that the value is missing.
func TestFollowsTheVersionsOfAKeyService(t *testing.T) {
	older, newer := base64.StdEncoding.EncodeToString([]byte("an older key of the key service!")), base64.StdEncoding.EncodeToString([]byte("a newer key of the key service!!"))
	text := mustSealWith(t, named(t, "prod", localKey(t, older), false), webScope(), "v")
	rotated, trimmed := named(t, "prod", localKey(t, newer, older), true), named(t, "prod", localKey(t, newer), true)
	if _, err := openWith(t, seal.Keys{Services: []*seal.ServiceKey{rotated}}, text, web, object); err != nil {
		t.Error(err)
	}
	_, err := openWith(t, seal.Keys{Services: []*seal.ServiceKey{trimmed}}, text, web, object)
	wantErrors(t, err, seal.ErrKeyService)
	if errors.Is(err, fault.ErrNotFound) || !errors.Is(err, fault.ErrInvalid) {
		t.Errorf("error %v", err)
	}
}

func TestKeepsTheKindAndTheTextOfARefusal(t *testing.T) {
	cause := errors.New("planted-cause")
	for name, c := range map[string]struct{ said, kind error }{
		"invalid":           {fault.Fail(fault.ErrInvalid, cause), fault.ErrInvalid},
		"denied":            {fault.Fail(fault.ErrDenied, cause), fault.ErrDenied},
		"not authenticated": {fault.Fail(fault.ErrUnauthenticated, cause), fault.ErrUnauthenticated},
		"unavailable":       {fault.Fail(fault.ErrUnavailable, cause), fault.ErrUnavailable},
		"no such key":       {fault.Fail(fault.ErrNotFound, cause), fault.ErrInvalid},
		"of no known kind":  {cause, fault.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			service, with := newService(t)
			text := mustSealWith(t, with, webScope(), "v")
			service.refuse = c.said
			_, opening := openWith(t, seal.Keys{Services: []*seal.ServiceKey{with}}, text, web, object)
			none, sealing := seal.SealWith(t.Context(), with, webScope(), secret.NewString("v"))
			if none != "" {
				t.Error("an error came with a text")
			}
			for _, err := range []error{opening, sealing} {
				wantErrors(t, err, seal.ErrKeyService)
				if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), "key prod: ") || !strings.Contains(err.Error(), "planted-cause") {
					t.Errorf("error %v, want %v", err, c.kind)
				}
				for _, other := range []error{fault.ErrInvalid, fault.ErrDenied, fault.ErrUnauthenticated, fault.ErrUnavailable, fault.ErrNotFound} {
					if !errors.Is(other, c.kind) && errors.Is(err, other) {
						t.Errorf("error %v is %v too", err, other)
					}
				}
			}
		})
	}
}

func TestACanceledCallIsNoRefusal(t *testing.T) {
	_, with := newService(t)
	sealed := mustParse(t, mustSealWith(t, with, webScope(), "v"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := sealed.Open(ctx, seal.Keys{Services: []*seal.ServiceKey{with}}, web, object, noon)
	if !errors.Is(err, context.Canceled) || errors.Is(err, seal.ErrKeyService) {
		t.Errorf("error %v", err)
	}
}

func TestRefusesWhatAKeyServiceCannotSeal(t *testing.T) {
	long := webScope()
	long.Object = seal.Exact(strings.Repeat("o", seal.MaxObject))
	for name, c := range map[string]struct {
		scope seal.Scope
		value string
		tells string
	}{
		"empty value":       {webScope(), "", "empty"},
		"value too long":    {webScope(), strings.Repeat("v", seal.MaxValue+1), "at most"},
		"scope left out":    {seal.Scope{}, "v", "namespace"},
		"scope of 4 KiB":    {long, "v", "too long for a key service"},
		"name as no k8s is": {seal.Scope{Cluster: seal.Exact("dev"), Namespace: seal.Exact("Prod"), ServiceAccount: seal.Exact("web"), Object: seal.Exact("o")}, "v", "namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			service, with := newService(t)
			text, err := seal.SealWith(t.Context(), with, c.scope, secret.NewString(c.value))
			if err == nil || text != "" || !strings.Contains(err.Error(), c.tells) {
				t.Errorf("SealWith = %d characters, %v", len(text), err)
			}
			if service.encrypts > 0 {
				t.Error("the key service was asked")
			}
		})
	}
}

// oddKey makes ciphertexts that have no place in a sealed value.
type oddKey struct {
	key.Key
	made key.Ciphertext
}

func (k oddKey) Encrypt(context.Context, identity.Identity, secret.Bytes, key.Context) (key.Ciphertext, error) {
	return k.made, nil
}

func TestRefusesAnAnswerOfAKeyServiceThatNobodyCouldParse(t *testing.T) {
	for name, made := range map[string]key.Ciphertext{
		"no data":                  {Version: "1"},
		"no version":               {Data: []byte{1}},
		"data too long":            {Data: make([]byte, seal.MaxWrapped+1), Version: "1"},
		"version too long":         {Data: []byte{1}, Version: strings.Repeat("v", key.MaxVersion+1)},
		"version with a newline":   {Data: []byte{1}, Version: "1\n"},
		"version that is no UTF-8": {Data: []byte{1}, Version: "\xff"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := seal.SealWith(t.Context(), named(t, "prod", oddKey{made: made}, false), webScope(), secret.NewString("v"))
			wantErrors(t, err, seal.ErrKeyService)
			if text != "" || !errors.Is(err, fault.ErrUnavailable) {
				t.Errorf("%d characters, %v", len(text), err)
			}
		})
	}
}

func TestRefusesNamesOfKeysThatCannotBeWritten(t *testing.T) {
	for _, name := range []string{"", "a b", "a/b", "ä", strings.Repeat("k", seal.MaxServiceKey+1)} {
		if _, err := seal.NewServiceKey(name, oddKey{}, false); err == nil {
			t.Errorf("accepts the name %q", name)
		}
	}
}

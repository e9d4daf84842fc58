package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func newSealer(t testing.TB, name string) *seal.Sealer {
	t.Helper()
	sealer, err := seal.NewSealer(name)
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

// trusting are keys that open what the sealers signed for their namespaces.
func trusting(keys seal.Keys, unsigned []string, trusted ...seal.TrustedSealer) seal.Keys {
	keys.Signatures = &seal.Signatures{Trusted: trusted, Unsigned: unsigned}
	return keys
}

func mustSign(t testing.TB, ring *seal.KeyRing, scope seal.Scope, by *seal.Sealer) string {
	t.Helper()
	text, err := seal.Seal(ring.Public(), scope, secret.NewString("value"), seal.SignedBy(by))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestWhoseValuesAreOpened(t *testing.T) {
	ring := newRing(t)
	ci, team, stranger := newSealer(t, "ci"), newSealer(t, "team"), newSealer(t, "ci")
	trusted := []seal.TrustedSealer{{Key: ci.Public(), Namespaces: []string{"*"}}, {Key: team.Public(), Namespaces: []string{"team-*", "x"}}}
	prod := webScope()
	teams := webScope()
	teams.Namespace = seal.Exact("team-a")
	nowhere := webScope()
	nowhere.Namespace, nowhere.Cluster = seal.Any(), seal.Any()
	asTeam := identity.Identity{Cluster: "dev", Namespace: "team-a", ServiceAccount: "web"}
	unsigned := mustSeal(t, ring, prod, "value")

	for name, c := range map[string]struct {
		text     string
		as       identity.Identity
		unsigned []string
		only     []string
		want     []error
	}{
		"signed by who is trusted everywhere":      {text: mustSign(t, ring, prod, ci), as: web},
		"signed by who is trusted here":            {text: mustSign(t, ring, teams, team), as: asTeam},
		"signed by who is trusted elsewhere":       {text: mustSign(t, ring, prod, team), as: web, want: []error{seal.ErrUnknownSealer}},
		"signed by a stranger of the same name":    {text: mustSign(t, ring, prod, stranger), as: web, want: []error{seal.ErrUnknownSealer}},
		"unsigned":                                 {text: unsigned, as: web, want: []error{seal.ErrUnsigned}},
		"unsigned, where that may be":              {text: unsigned, as: web, unsigned: []string{"pro*"}},
		"unsigned, where that may be elsewhere":    {text: unsigned, as: web, unsigned: []string{"team-*"}, want: []error{seal.ErrUnsigned}},
		"a stranger's, where it may be unsigned":   {text: mustSign(t, ring, prod, stranger), as: web, unsigned: []string{"*"}, want: []error{seal.ErrUnknownSealer}},
		"the one that the object wants":            {text: mustSign(t, ring, teams, team), as: asTeam, only: []string{"x", "team"}},
		"another than the object wants":            {text: mustSign(t, ring, teams, ci), as: asTeam, only: []string{"team"}, want: []error{seal.ErrUnknownSealer}},
		"unsigned, where the object wants one":     {text: unsigned, as: web, unsigned: []string{"*"}, only: []string{"ci"}, want: []error{seal.ErrUnsigned}},
		"by an identity without a namespace":       {text: mustSign(t, ring, nowhere, team), as: identity.Identity{ServiceAccount: "web"}, want: []error{seal.ErrUnknownSealer}},
		"unsigned, for one without a namespace":    {text: mustSeal(t, ring, nowhere, "value"), as: identity.Identity{ServiceAccount: "web"}, unsigned: []string{"prod"}, want: []error{seal.ErrUnsigned}},
		"another namespace before the signature":   {text: unsigned, as: asTeam, want: []error{seal.ErrOtherNamespace}},
		"a signature before the key":               {text: mustSeal(t, newRing(t), prod, "value"), as: web, want: []error{seal.ErrUnsigned}},
		"a right signature before the unknown key": {text: mustSign(t, newRing(t), prod, ci), as: web, want: []error{seal.ErrUnknownKey}},
	} {
		t.Run(name, func(t *testing.T) {
			keys := trusting(seal.Keys{Ring: ring, Only: c.only}, c.unsigned, trusted...)
			got, err := openWith(t, keys, c.text, c.as, object)
			wantErrors(t, err, c.want...)
			if (err == nil) != (got == "value") {
				t.Errorf("opened %q", got)
			}
		})
	}
	t.Run("whoever's, where nobody is named", func(t *testing.T) {
		for _, text := range []string{unsigned, mustSign(t, ring, prod, stranger)} {
			if got, err := open(t, ring, text); err != nil || got != "value" {
				t.Errorf("%q, %v", got, err)
			}
		}
	})
	t.Run("nobody's, where the object wants a sealer and none is named", func(t *testing.T) {
		_, err := openWith(t, seal.Keys{Ring: ring, Only: []string{"ci"}}, mustSign(t, ring, prod, ci), web, object)
		wantErrors(t, err, seal.ErrUnknownSealer)
	})
}

func TestSignaturesOfBothSuites(t *testing.T) {
	by := newSealer(t, "ci")
	_, with := newService(t)
	text, err := seal.SealWith(t.Context(), with, webScope(), secret.NewString("value"), seal.SignedBy(by))
	if err != nil {
		t.Fatal(err)
	}
	keys := trusting(seal.Keys{Services: []*seal.ServiceKey{with}}, nil, seal.TrustedSealer{Key: by.Public(), Namespaces: []string{"prod"}})
	if got, err := openWith(t, keys, text, web, object); err != nil || got != "value" {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{text, mustSign(t, newRing(t), webScope(), by)} {
		sealed := mustParse(t, text)
		if id, signed := sealed.Sealer(); !signed || id != by.Public().ID() || sealed.Size() != 5 {
			t.Errorf("signed %v by %s, size %d", signed, id, sealed.Size())
		}
		if err := sealed.VerifiedBy(by.Public()); err != nil {
			t.Error(err)
		}
		wantErrors(t, sealed.VerifiedBy(newSealer(t, "ci").Public()), seal.ErrUnknownSealer)
	}
	wantErrors(t, mustParse(t, mustSeal(t, newRing(t), webScope(), "v")).VerifiedBy(by.Public()), seal.ErrUnsigned)
}

// Whatever bit of a signed value changes, no key is used and no key service is
// asked: the signature is looked at first.
func TestEveryFlippedBitOfASignedValueIsRefusedBeforeAnyKeyIsUsed(t *testing.T) {
	service, with := newService(t)
	by := newSealer(t, "ci")
	scope := seal.Scope{Cluster: seal.Any(), Namespace: seal.Any(), ServiceAccount: seal.Any(), Object: seal.Any()}
	text, err := seal.SealWith(t.Context(), with, scope, secret.NewString("value"), seal.SignedBy(by))
	if err != nil {
		t.Fatal(err)
	}
	keys := trusting(seal.Keys{Services: []*seal.ServiceKey{with}}, nil, seal.TrustedSealer{Key: by.Public(), Namespaces: []string{"*"}})
	raw := rawOf(t, text)
	refused := 0
	for bit := range len(raw) * 8 {
		flipped := bytes.Clone(raw)
		flipped[bit/8] ^= 1 << (bit % 8)
		_, err := openWith(t, keys, prefix+base64url(flipped), web, object)
		switch {
		case err == nil:
			t.Fatalf("bit %d of byte %d opens", bit%8, bit/8)
		case errors.Is(err, seal.ErrSignature):
			refused++
		case errors.Is(err, seal.ErrMalformed), errors.Is(err, seal.ErrUnknownVersion), errors.Is(err, seal.ErrUnknownSuite), errors.Is(err, seal.ErrUnknownSealer), errors.Is(err, seal.ErrUnsigned):
		default:
			t.Errorf("bit %d of byte %d: %v", bit%8, bit/8, err)
		}
	}
	if len(service.decrypts) > 0 {
		t.Errorf("the key service was asked %d times", len(service.decrypts))
	}
	if least := 8 * (64 + 5 + 16 + 97); refused < least {
		t.Errorf("the signature refused %d flipped bits, want at least %d", refused, least)
	}
}

func TestSealersAreWrittenAndReadAgain(t *testing.T) {
	dir := t.TempDir()
	by := newSealer(t, "ci")
	private, public := filepath.Join(dir, "sealer.yaml"), filepath.Join(dir, "public.yaml")
	writeFile(t, private, by.Marshal().RevealString())
	writeFile(t, public, string(by.Public().Marshal()))
	again, err := seal.ReadSealer(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := seal.ReadSealerKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if key.ID() != by.Public().ID() || key.Name() != "ci" || again.Public().ID() != key.ID() {
		t.Errorf("read %s %s and %s", key.Name(), key.ID(), again.Public().ID())
	}
	if err := mustParse(t, mustSign(t, newRing(t), webScope(), again)).VerifiedBy(key); err != nil {
		t.Error(err)
	}
	if named, err := seal.ParseSealerKey("ci", key.String()); err != nil || named.ID() != key.ID() {
		t.Errorf("ParseSealerKey: %v", err)
	}
	secretPart := strings.TrimSpace(strings.SplitAfter(by.Marshal().RevealString(), "lanyard.sealer-private.v1.")[1])
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if printed := fmt.Sprintf(format+format, by, by.Marshal()); strings.Contains(printed, secretPart) {
			t.Errorf("%s shows the private key", format)
		}
	}
}

func TestRefusesFilesThatAreNoSealers(t *testing.T) {
	by, other := newSealer(t, "ci"), newSealer(t, "ci")
	good, public := by.Marshal().RevealString(), string(by.Public().Marshal())
	private := strings.TrimSpace(strings.SplitAfter(good, "private: ")[1])
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		tells   string
		public  bool
	}{
		"readable by others":         {good, 0o644, "are too open", false},
		"the public part":            {public, 0o600, "this is the public key of a sealer", false},
		"the private part":           {good, 0o600, "this is the private key of a sealer; give the sealer's public part", true},
		"another's id":               {strings.Replace(good, by.Public().ID().String(), other.Public().ID().String(), 1), 0o600, "id: is not the id of this key", false},
		"another's public key":       {strings.Replace(public, by.Public().String(), other.Public().String(), 1), 0o600, "id: is not the id of this key", true},
		"an id in capitals":          {strings.Replace(public, by.Public().ID().String(), strings.ToUpper(by.Public().ID().String()), 1), 0o600, "id: ", true},
		"a private key for a public": {strings.Replace(public, by.Public().String(), private, 1), 0o600, "public: is a private key", true},
		"a name with a space":        {strings.Replace(good, "name: ci", "name: c i", 1), 0o600, "name: must be", false},
		"a key cut off":              {good[:len(good)-3], 0o600, "private: ", false},
		"an unknown field":           {good + "x: y\n", 0o600, "x: ", false},
		"no YAML":                    {":", 0o600, "", false},
		"a public key of suite 1":    {string(newRing(t).Public().Marshal()), 0o600, "kind: this is a public key", true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			writeFile(t, path, c.content)
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			var err error
			if c.public {
				_, err = seal.ReadSealerKey(path)
			} else {
				_, err = seal.ReadSealer(path)
			}
			if err == nil || !strings.Contains(err.Error(), c.tells) || !strings.Contains(err.Error(), path) {
				t.Fatalf("error %v, want %q", err, c.tells)
			}
			if strings.Contains(err.Error(), private[30:]) {
				t.Errorf("error quotes the private key: %v", err)
			}
		})
	}
}

func TestNamespacePatterns(t *testing.T) {
	for pattern, wrong := range map[string]bool{"*": false, "team-*": false, "a": false, "": true, "A": true, "a/b": true, "[a]": true, "a?": true, strings.Repeat("a", 64): true} {
		if got := seal.WrongNamespacePattern(pattern) != ""; got != wrong {
			t.Errorf("pattern %q: wrong %v", pattern, got)
		}
	}
}

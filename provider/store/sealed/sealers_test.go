package sealed_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

func newSealer(t *testing.T) *seal.Sealer {
	t.Helper()
	made, err := seal.NewSealer("ci")
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// trusting are settings with a key ring and sealers.
func trusting(ring string, unsigned []any, sealers ...any) store.Settings {
	s := settings(ring)
	s.Fields["sealers"] = sealers
	if unsigned != nil {
		s.Fields["unsigned"] = unsigned
	}
	return s
}

func sealerOf(name string, by *seal.Sealer, namespaces ...any) map[string]any {
	return map[string]any{"name": name, "public": by.Public().String(), "namespaces": namespaces}
}

func TestTheOperatorSaysWhoMaySealForANamespace(t *testing.T) {
	ring := newRing(t)
	path := ringFile(t, ring)
	ci, stranger := newSealer(t), newSealer(t)
	batch := identity.Identity{Cluster: "dev", Namespace: "batch", ServiceAccount: "web"}
	signed := func(as identity.Identity, by *seal.Sealer) string {
		text, err := seal.Seal(ring.Public(), scopeFor(as, "o"), secret.NewString("v"), seal.SignedBy(by))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	unsigned := func(as identity.Identity) string { return sealTo(t, ring, scopeFor(as, "o"), "v") }
	anyNamespace := scopeFor(web, "o")
	anyNamespace.Namespace = seal.Any()
	only := func(names ...any) map[string]any { return map[string]any{"sealers": names} }
	anywhere := trusting(path, []any{"batch"}, sealerOf("ci", ci, "pro*"), sealerOf("stranger", stranger, "other"))
	strictly := trusting(path, nil, sealerOf("ci", ci, "pro*"))

	for name, c := range map[string]struct {
		settings store.Settings
		text     string
		as       identity.Identity
		options  map[string]any
		check    error // of Check, which knows no namespace but the value's own
		want     error
		cause    error
	}{
		"signed": {settings: anywhere, text: signed(web, ci), as: web},
		"signed, with the sealer that a class wants": {settings: anywhere, text: signed(web, ci), as: web, options: only("ci")},
		"unsigned":                              {settings: anywhere, text: unsigned(web), as: web, check: fault.ErrInvalid, want: fault.ErrDenied, cause: seal.ErrUnsigned},
		"unsigned, for any namespace":           {settings: anywhere, text: sealTo(t, ring, anyNamespace, "v"), as: web, want: fault.ErrDenied, cause: seal.ErrUnsigned},
		"unsigned, and nowhere allowed":         {settings: strictly, text: unsigned(web), as: web, check: fault.ErrInvalid, want: fault.ErrDenied, cause: seal.ErrUnsigned},
		"unsigned, where it may be":             {settings: anywhere, text: unsigned(batch), as: batch},
		"unsigned, and a class wants one":       {settings: anywhere, text: unsigned(batch), as: batch, options: only("ci"), check: fault.ErrInvalid, want: fault.ErrDenied, cause: seal.ErrUnsigned},
		"by one who may elsewhere":              {settings: anywhere, text: signed(web, stranger), as: web, check: fault.ErrInvalid, want: fault.ErrDenied, cause: seal.ErrUnknownSealer},
		"by a stranger":                         {settings: strictly, text: signed(web, stranger), as: web, check: fault.ErrInvalid, want: fault.ErrDenied, cause: seal.ErrUnknownSealer},
		"by another than a class wants":         {settings: anywhere, text: signed(web, ci), as: web, options: only("stranger"), check: fault.ErrInvalid, want: fault.ErrDenied, cause: seal.ErrUnknownSealer},
		"a class wants one and nobody is named": {settings: settings(path), text: signed(web, ci), as: web, options: only("ci"), check: fault.ErrInvalid, want: fault.ErrDenied, cause: seal.ErrUnknownSealer},
		"nobody is named":                       {settings: settings(path), text: signed(web, stranger), as: web},
		"a flipped bit":                         {settings: anywhere, text: flipLastBit(t, signed(web, ci)), as: web, check: fault.ErrInvalid, want: fault.ErrInvalid, cause: seal.ErrSignature},
		"options that are none":                 {settings: anywhere, text: signed(web, ci), as: web, options: map[string]any{"sealer": "ci"}, check: fault.ErrInvalid, want: fault.ErrInvalid},
		"options that name nobody":              {settings: anywhere, text: signed(web, ci), as: web, options: only(), check: fault.ErrInvalid, want: fault.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			opened, err := newType().Open(c.settings)
			if err != nil {
				t.Fatal(err)
			}
			defer opened.Close()
			ref := store.Reference{Key: c.text, Object: "o", Options: c.options}
			if err := opened.Check(ref); !errors.Is(err, c.check) {
				t.Errorf("Check: %v, want %v", err, c.check)
			}
			value, err := opened.Read(t.Context(), c.as, ref)
			if !errors.Is(err, c.want) || !errors.Is(err, c.cause) && c.cause != nil {
				t.Errorf("Read: %v, want %v and %v", err, c.want, c.cause)
			}
			if (err == nil) != (value.Data.RevealString() == "v") {
				t.Errorf("Read returned %d bytes and %v", value.Data.Len(), err)
			}
		})
	}
}

func TestRefusesSealersThatCannotBeTrusted(t *testing.T) {
	path := ringFile(t, newRing(t))
	ci := newSealer(t)
	private := strings.TrimSpace(strings.SplitAfter(ci.Marshal().RevealString(), "private: ")[1])
	for name, c := range map[string]struct {
		settings store.Settings
		tells    string
	}{
		"a private key":      {trusting(path, nil, map[string]any{"name": "ci", "public": private, "namespaces": []any{"*"}}), "sealers[0]: is a private key"},
		"no key":             {trusting(path, nil, map[string]any{"name": "ci", "namespaces": []any{"*"}}), "sealers[0]: does not begin with lanyard.sealer-public.v1."},
		"no name":            {trusting(path, nil, sealerOf("", ci, "*")), "sealers[0]: the sealer's name must be"},
		"no namespaces":      {trusting(path, nil, sealerOf("ci", ci)), "sealers[0].namespaces: is missing"},
		"a wrong namespace":  {trusting(path, nil, sealerOf("ci", ci, "a/b")), "sealers[0].namespaces[0]: must be a namespace"},
		"two of a name":      {trusting(path, nil, sealerOf("ci", ci, "*"), sealerOf("ci", newSealer(t), "*")), "sealers[1].name: is another sealer's too"},
		"exceptions to none": {trusting(path, []any{"*"}), "unsigned: is the exception to sealers"},
		"a wrong exception":  {trusting(path, []any{"A"}, sealerOf("ci", ci, "*")), "unsigned[0]: must be a namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newType().Open(c.settings)
			if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), c.tells) {
				t.Errorf("Open: %v, want %q", err, c.tells)
			}
			if err != nil && strings.Contains(err.Error(), private) {
				t.Error("the error quotes the private key")
			}
		})
	}
}

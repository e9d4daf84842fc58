// Package keytest is the contract test of every key service. A new one starts from
// here: write a Fixture that can rotate the key, and make Run pass under -race.
package keytest

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// Fixture is a key under test and the means to change it at its service.
type Fixture struct {
	// Type is the type under test, and Settings is a working key.
	Type     key.Type
	Settings key.Settings
	// Other are the settings of another key of the same service, which the
	// Identity may use too.
	Other key.Settings
	// SameKey is another spelling of the same key; nil if there is none.
	SameKey *key.Settings

	// Identity may use the keys; the zero Identity is the node.
	Identity identity.Identity
	// OtherCallers, at least one, must not be able to use the keys. The keys of the
	// map describe them.
	OtherCallers map[string]identity.Identity

	// Rotate makes a new version the current one. Old versions still decrypt.
	Rotate func(t *testing.T)
	// Eventual is true if encryptions may use the previous version for a while after a
	// rotation, whatever Current says.
	Eventual bool
	// DetectsVersion is true if Decrypt detects a ciphertext with a wrong version.
	DetectsVersion bool
	// Fail makes the service unreachable until the test ends.
	Fail func(t *testing.T)
	// FailKinds are the kinds of error after Fail; nil means unavailable.
	FailKinds []error
	// Answers damages what the server answers; nil only for a key that has no Fail.
	Answers *Answers

	// InvalidSettings are settings that Open must refuse in one error that names the
	// fields: those of the map's key, separated by spaces.
	InvalidSettings map[string]key.Settings
	// Planted are the fixture's secrets, such as tokens and key material. None may
	// occur in an error or a name.
	Planted []string
}

// scope is the context of most ciphertexts here.
var scope = key.Context{"cluster": "test", "namespace": "prod", "object": "db/password"}

// subject is the open key of one point.
type subject struct {
	*Fixture
	key.Key
	again func(t *testing.T) *Fixture // another fixture like this one
}

// Run checks the contract of key.Type and key.Key. It calls fixture for each subtest.
func Run(t *testing.T, fixture func(t *testing.T) *Fixture) {
	for name, point := range map[string]func(*testing.T, *subject){
		"returns what was encrypted, of 1 to 4096 bytes":            roundTrips,
		"never makes the same ciphertext twice":                     fresh,
		"refuses a ciphertext with any bit changed":                 bitFlips,
		"refuses a ciphertext that was cut or added to":             cuts,
		"refuses every other context":                               otherContexts,
		"refuses what another key encrypted":                        otherKey,
		"refuses what no key encrypted":                             garbage,
		"tells the exact version":                                   versions,
		"tells the exact version while the key rotates":             rotationUnderLoad,
		"refuses a ciphertext under a version that cannot be its":   wrongVersion,
		"refuses plaintexts, ciphertexts and contexts out of bound": bounds,
		"refuses other callers, also after the right one came":      others,
		"gives up when the caller does":                             cancelled,
		"says so when the service cannot be reached":                unreachable,
		"takes no answer that is damaged or another's":              answers,
		"waits while it is throttled, and says so":                  throttled,
		"is safe for concurrent use":                                concurrent,
		"names itself the same each time and shows nothing secret":  names,
		"says whether it is for the node or for pods":               users,
		"opens for its name alone":                                  nameOnly,
		"refuses wrong settings, all at once, by the fields' names": settings,
		"can be closed and opened again":                            reopened,
		"wraps a key ring, which it opens again":                    keyRings,
	} {
		t.Run(name, func(t *testing.T) {
			f := fixture(t)
			point(t, &subject{Fixture: f, Key: open(t, f, f.Settings), again: fixture})
		})
	}
}

func open(t *testing.T, f *Fixture, settings key.Settings) key.Key {
	t.Helper()
	opened, err := f.Type.Open(settings)
	if err != nil {
		t.Fatalf("Open with working settings: %v", err)
	}
	t.Cleanup(opened.Close)
	return opened
}

// text is a plaintext that is easy to find in an error.
const text = "planted-plaintext-9c41"

func (s *subject) encrypt(t *testing.T, plaintext []byte, bound key.Context) key.Ciphertext {
	t.Helper()
	made, err := s.Encrypt(t.Context(), s.Identity, secret.New(bytes.Clone(plaintext)), bound)
	if err != nil {
		t.Fatalf("Encrypt: %v", err)
	}
	if len(made.Data) == 0 || len(made.Data) > key.MaxCiphertext || made.Version == "" || len(made.Version) > key.MaxVersion {
		t.Fatalf("Encrypt made %d bytes of version %q", len(made.Data), made.Version)
	}
	return made
}

func (s *subject) decrypt(t *testing.T, made key.Ciphertext, bound key.Context, want []byte) {
	t.Helper()
	plain, err := s.Decrypt(t.Context(), s.Identity, made, bound)
	if err != nil {
		t.Fatalf("Decrypt: %v", err)
	}
	if !bytes.Equal(plain.Reveal(), want) {
		t.Fatalf("Decrypt returned %d bytes that are not the %d that were encrypted", plain.Len(), len(want))
	}
}

// refuses checks that Decrypt fails with one of the kinds and returns nothing.
func (s *subject) refuses(t *testing.T, what string, made key.Ciphertext, bound key.Context, wanted ...error) {
	t.Helper()
	plain, err := s.Decrypt(t.Context(), s.Identity, made, bound)
	if plain.Len() != 0 {
		t.Errorf("%s: Decrypt returned %d bytes", what, plain.Len())
	}
	s.wantKind(t, what, err, wanted...)
}

// unauthentic are the kinds for a ciphertext of another key or context: which one
// depends on whether policy or cipher notices first.
var unauthentic = []error{fault.ErrInvalid, fault.ErrDenied}

// wantKind checks that err has exactly one kind, one of the wanted, and no secret.
func (s *subject) wantKind(t *testing.T, what string, err error, wanted ...error) {
	t.Helper()
	var is []error
	for _, kind := range fault.Kinds() {
		if errors.Is(err, kind.Err) {
			is = append(is, kind.Err)
		}
	}
	if len(is) != 1 || !slices.Contains(wanted, is[0]) {
		t.Errorf("%s: error %v is of the kinds %v, want one of %v", what, err, is, wanted)
	}
	if err != nil {
		s.wantNothingSecret(t, err.Error())
	}
}

func (s *subject) wantNothingSecret(t *testing.T, printed string) {
	t.Helper()
	for _, planted := range append([]string{text}, s.Planted...) {
		if planted != "" && strings.Contains(printed, planted) {
			t.Errorf("%q shows a secret", printed)
		}
	}
}

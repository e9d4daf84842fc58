package azure_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

func TestASecretIsGivenAsItIs(t *testing.T) {
	f := newFixture(t)
	s := f.open(nil)
	for name, value := range map[string]string{
		"text":            "hunter2",
		"empty":           "",
		"of-64-KiB":       strings.Repeat("0123456789abcdef", 4096), // Key Vault takes 25 kB, others of its protocol more
		"with-line-ends":  "a\r\nb\n",
		"not-of-one-byte": "grüße \u2028 \x00 </script>",
		"binary":          base64.StdEncoding.EncodeToString([]byte{0, 1, 0xff}),
	} {
		f.vault.Put(name, value)
		if got := f.text(s, store.Reference{Key: "secrets/" + name}); got != value {
			t.Errorf("%s: Read = %q, want %q", name, got, value)
		}
	}
}

func TestAVersionIsTheVaultsOwn(t *testing.T) {
	f := newFixture(t)
	s := f.open(nil)
	first := f.vault.Put("db", "one")
	second := f.vault.Put("db", "two")
	if got := f.read(s, store.Reference{Key: "secrets/db"}); got.Version != second || got.Data.RevealString() != "two" {
		t.Errorf("the current version is %s, want %s", got.Version, second)
	}
	if got := f.read(s, store.Reference{Key: "secrets/db", Version: first}); got.Version != first || got.Data.RevealString() != "one" {
		t.Errorf("the first version is %s, want %s", got.Version, first)
	}
}

func TestAKeyGivesItsPublicPart(t *testing.T) {
	f := newFixture(t)
	ofRSA, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]any{"rsa": ofRSA}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		if keys[strings.ToLower(curve.Params().Name)], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	s := f.open(nil)
	for name, key := range keys {
		id := f.vault.PutKey(name, key)
		got := f.read(s, store.Reference{Key: "keys/" + name})
		block, rest := pem.Decode(got.Data.Reveal())
		if block == nil || block.Type != "PUBLIC KEY" || len(rest) > 0 || got.Version != id {
			t.Fatalf("%s: %q of version %s", name, got.Data.Reveal(), got.Version)
		}
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		own, ok := key.(crypto.Signer)
		if !ok || !reflect.DeepEqual(own.Public(), public) {
			t.Errorf("%s: another key than the vault's", name)
		}
	}
}

func TestKeysThatHaveNoPublicPartInPEMAreRefused(t *testing.T) {
	f := newFixture(t)
	s := f.open(nil)
	for name, jwk := range map[string]azuretest.JWK{
		"symmetric":        {"kty": "oct-HSM"},
		"P-256K":           {"kty": "EC", "crv": "P-256K", "x": "AQ", "y": "AQ"},
		"not-on-the-curve": {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"},
		"malformed":        {"kty": "RSA", "n": "AQ", "e": "AQAB"},
		"without-a-curve":  {"kty": "EC"},
	} {
		f.vault.PutKey(name, jwk)
		_, err := s.Read(t.Context(), f.pod("prod/web"), store.Reference{Key: "keys/" + name})
		if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "keys/"+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheKeysOfAManagedHSM(t *testing.T) {
	f := newFixture(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	hsm := f.azure.VaultAt("web-hsm.managedhsm.azure.net")
	hsm.PutKey("sign", key)
	hsm.Grant(webClient, "keys/*")
	s := f.open(map[string]any{"vault": nil, "hsm": "web-hsm"})
	if got := f.text(s, store.Reference{Key: "keys/sign"}); !strings.HasPrefix(got, "-----BEGIN PUBLIC KEY-----\n") {
		t.Errorf("Read = %q", got)
	}
	hsm.Revoke(webClient)
	if _, err := s.Read(t.Context(), f.pod("prod/web"), store.Reference{Key: "keys/sign"}); !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "Managed HSM") {
		t.Errorf("without a right: %v", err)
	}
	if err := s.Check(store.Reference{Key: "secrets/db"}); !errors.Is(err, fault.ErrInvalid) {
		t.Errorf("an HSM has secrets: %v", err)
	}
}

// certificates are one and the same in the forms in which Key Vault holds them.
func certificates(t *testing.T, chain *azuretest.Chain) map[string]azuretest.Certificate {
	t.Helper()
	issuers := append(slices.Clone(chain.Intermediates), chain.Root)
	slices.Reverse(issuers)
	backwards := azuretest.CertificatePEM(issuers...)
	return map[string]azuretest.Certificate{
		"pfx":                   {ContentType: "application/x-pkcs12", Value: chain.PFX(t, "")},
		"pfx-in-disorder":       {ContentType: "application/x-pkcs12", Value: chain.PFX(t, "", issuers...)},
		"pem":                   {ContentType: "application/x-pem-file", Value: chain.KeyPEM(t) + azuretest.CertificatePEM(chain.All()...)},
		"pem-in-disorder":       {ContentType: "application/x-pem-file", Value: backwards + azuretest.CertificatePEM(chain.Leaf) + chain.KeyPEM(t)},
		"pem-with-other-things": {ContentType: "application/x-pem-file", Value: "a remark\n" + azuretest.CertificatePEM(chain.All()...) + "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + chain.KeyPEM(t)},
	}
}

func TestACertificateInParts(t *testing.T) {
	f := newFixture(t)
	s := f.open(nil)
	chain := azuretest.NewChain(t, 2, "web.example.com")
	leaf, all, key := azuretest.CertificatePEM(chain.Leaf), azuretest.CertificatePEM(chain.All()...), chain.KeyPEM(t)
	for name, certificate := range certificates(t, chain) {
		certificate.CER, certificate.Key = chain.Leaf.Raw, chain.Key
		id := f.vault.PutCertificate(name, certificate)
		for part, want := range map[string]string{"": leaf, "leaf": leaf, "chain": all, "key": key, "all": key + all} {
			options := map[string]any{"part": part}
			if part == "" {
				options = nil
			}
			got := f.read(s, store.Reference{Key: "certificates/" + name, Options: options})
			if got.Data.RevealString() != want || got.Version != id {
				t.Errorf("%s, part %q: Read = %s\nwant %s", name, part, got.Data.RevealString(), want)
			}
		}
		var pair map[string]string
		text := f.text(s, store.Reference{Key: "certificates/" + name, Options: map[string]any{"part": "pair"}})
		if err := json.Unmarshal([]byte(text), &pair); err != nil || !maps.Equal(pair, map[string]string{"tls.crt": all, "tls.key": key}) {
			t.Errorf("%s: the pair is %v", name, pair)
		}
		if _, err := tls.X509KeyPair([]byte(pair["tls.crt"]), []byte(pair["tls.key"])); err != nil {
			t.Errorf("%s: the pair does not serve: %v", name, err)
		}
	}
}

func TestTheSecretOfACertificate(t *testing.T) {
	f := newFixture(t)
	s := f.open(nil)
	chain := azuretest.NewChain(t, 1, "web.example.com")
	for name, certificate := range certificates(t, chain) {
		f.vault.PutCertificate(name, certificate)
		if got := f.text(s, store.Reference{Key: "secrets/" + name}); got != certificate.Value {
			t.Errorf("%s: without a format, Read is not what the vault holds", name)
		}
		want := certificate.Value
		if certificate.ContentType == "application/x-pkcs12" {
			want = chain.KeyPEM(t) + azuretest.CertificatePEM(chain.All()...)
		}
		if got := f.text(s, store.Reference{Key: "secrets/" + name, Options: map[string]any{"format": "pem"}}); got != want {
			t.Errorf("%s: with format pem, Read = %s\nwant %s", name, got, want)
		}
	}
	f.vault.PutSecret("own", azuretest.Secret{Value: "own PFX", ContentType: "application/x-pkcs12"})
	if got := f.text(s, store.Reference{Key: "secrets/own", Options: map[string]any{"format": "pem"}}); got != "own PFX" {
		t.Errorf("a secret that is not a certificate's is given as it is, not as %q", got)
	}
}

func TestACertificateAsPFX(t *testing.T) {
	f := newFixture(t)
	s := f.open(nil)
	held := certificates(t, azuretest.NewChain(t, 1, "web.example.com"))
	f.vault.PutCertificate("pfx", held["pfx"])
	f.vault.PutCertificate("pem", held["pem"])
	options := map[string]any{"part": "all", "format": "pfx"}
	if got := f.text(s, store.Reference{Key: "certificates/pfx", Options: options}); got != held["pfx"].Value {
		t.Error("Read is not what the vault holds")
	}
	_, err := s.Read(t.Context(), f.pod("prod/web"), store.Reference{Key: "certificates/pem", Options: options})
	if !errors.Is(err, fault.ErrInvalid) {
		t.Errorf("a certificate that is held as PEM: %v", err)
	}
}

func TestCertificatesThatCannotBeUsedAreRefused(t *testing.T) {
	f := newFixture(t)
	s := f.open(nil)
	chain, other := azuretest.NewChain(t, 0, "web.example.com"), azuretest.NewChain(t, 0, "web.example.com")
	const pfx, pem = "application/x-pkcs12", "application/x-pem-file"
	for name, test := range map[string]struct {
		certificate azuretest.Certificate
		want        string
	}{
		"a-PFX-with-a-password":   {azuretest.Certificate{ContentType: pfx, Value: chain.PFX(t, "hunter2")}, "protected by a password"},
		"a-PFX-that-is-none":      {azuretest.Certificate{ContentType: pfx, Value: "bm90aGluZw=="}, "cannot be read as one"},
		"a-PFX-not-in-base64":     {azuretest.Certificate{ContentType: pfx, Value: "no base64!"}, "not base64"},
		"no-certificate":          {azuretest.Certificate{ContentType: pem, Value: chain.KeyPEM(t)}, "malformed"},
		"a-malformed-certificate": {azuretest.Certificate{ContentType: pem, Value: "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"}, "malformed"},
		"a-malformed-key":         {azuretest.Certificate{ContentType: pem, Value: "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"}, "private key cannot be read"},
		"two-keys":                {azuretest.Certificate{ContentType: pem, Value: chain.KeyPEM(t) + other.KeyPEM(t)}, "two private keys"},
		"no-key":                  {azuretest.Certificate{ContentType: pem, Value: azuretest.CertificatePEM(chain.Leaf)}, "no private key"},
		"another-key":             {azuretest.Certificate{ContentType: pem, Value: other.KeyPEM(t) + azuretest.CertificatePEM(chain.Leaf)}, "belongs to it"},
		"another-content-type":    {azuretest.Certificate{ContentType: "text/plain", Value: "x"}, `"text/plain"`},
	} {
		f.vault.PutCertificate(name, test.certificate)
		value, err := s.Read(t.Context(), f.pod("prod/web"), store.Reference{Key: "certificates/" + name, Options: map[string]any{"part": "all"}})
		if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "secrets/"+name+": ") || !strings.Contains(err.Error(), test.want) || value.Data.Len() > 0 {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
	f.vault.PutCertificate("no-key", azuretest.Certificate{ContentType: pem, Value: azuretest.CertificatePEM(chain.Root, chain.Leaf)})
	f.vault.PutCertificate("malformed", azuretest.Certificate{CER: []byte{0x30, 0}})
	f.vault.PutCertificate("pending", azuretest.Certificate{})
	for name, kind := range map[string]error{"malformed": fault.ErrInvalid, "pending": fault.ErrNotFound} {
		if _, err := s.Read(t.Context(), f.pod("prod/web"), store.Reference{Key: "certificates/" + name}); !errors.Is(err, kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The chain of a certificate whose key cannot be exported can be had.
	if got := f.text(s, store.Reference{Key: "certificates/no-key", Options: map[string]any{"part": "chain"}}); strings.Count(got, "BEGIN CERTIFICATE") != 2 {
		t.Errorf("the chain without a key is %s", got)
	}
}

func TestTheLastVersions(t *testing.T) {
	f := newFixture(t)
	f.azure.SetPageSize(2)
	var ids []string
	for i := range 7 {
		ids = append(ids, f.vault.Put("db", fmt.Sprint("value ", i)))
	}
	f.vault.Disable("secrets/db", ids[5])
	s := f.open(nil)
	for name, test := range map[string]struct {
		ref  store.Reference
		want map[string]string
	}{
		"newest first":           {store.Reference{Options: map[string]any{"history": 3}}, map[string]string{"0": "value 6", "1": "value 4", "2": "value 3"}},
		"no more than there are": {store.Reference{Options: map[string]any{"history": 50}}, map[string]string{"0": "value 6", "1": "value 4", "2": "value 3", "3": "value 2", "4": "value 1", "5": "value 0"}},
		"from a given one":       {store.Reference{Version: ids[3], Options: map[string]any{"history": 2}}, map[string]string{"0": "value 3", "1": "value 2"}},
		"of one":                 {store.Reference{Options: map[string]any{"history": 1}}, map[string]string{"0": "value 6"}},
	} {
		test.ref.Key = "secrets/db"
		var got map[string]string
		if err := json.Unmarshal(f.read(s, test.ref).Data.Reveal(), &got); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	before := f.read(s, store.Reference{Key: "secrets/db", Options: map[string]any{"history": 2}}).Version
	f.vault.Put("db", "newer")
	if after := f.read(s, store.Reference{Key: "secrets/db", Options: map[string]any{"history": 2}}).Version; after == before {
		t.Error("a new version does not change the version")
	}
	for name, ref := range map[string]store.Reference{
		"missing":             {Key: "secrets/missing", Options: map[string]any{"history": 2}},
		"from a disabled one": {Key: "secrets/db", Version: ids[5], Options: map[string]any{"history": 2}},
	} {
		if _, err := s.Read(t.Context(), f.pod("prod/web"), ref); !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheNewestVersionUntilATime(t *testing.T) {
	f := newFixture(t)
	f.azure.SetPageSize(2)
	var ids []string
	for i := range 7 { // one a second, from 2026-01-01T00:00:01Z on
		ids = append(ids, f.vault.Put("db", fmt.Sprint("value ", i)))
	}
	f.vault.Disable("secrets/db", ids[4])
	s := f.open(nil)
	for name, test := range map[string]struct{ notAfter, want string }{
		"the very time":           {"2026-01-01T00:00:04Z", "value 3"},
		"one that is disabled":    {"2026-01-01T00:00:05Z", "value 3"},
		"a fraction of a second":  {"2026-01-01T00:00:03.999Z", "value 2"},
		"another zone":            {"2026-01-01T02:00:02+02:00", "value 1"},
		"a time that is to come":  {"2999-01-01T00:00:00Z", "value 6"},
		"the first that there is": {"2026-01-01T00:00:01Z", "value 0"},
	} {
		if got := f.text(s, store.Reference{Key: "secrets/db", Options: map[string]any{"notAfter": test.notAfter}}); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	got := f.text(s, store.Reference{Key: "secrets/db", Options: map[string]any{"notAfter": "2026-01-01T00:00:06Z", "history": 2}})
	if want := `{"0":"value 5","1":"value 3"}`; got != want {
		t.Errorf("a history is %s, want %s", got, want)
	}
	// What is newer changes nothing, until what was chosen is disabled.
	at := store.Reference{Key: "secrets/db", Options: map[string]any{"notAfter": "2026-01-01T00:00:07Z"}}
	before := f.read(s, at).Version
	f.vault.Put("db", "newer")
	if after := f.read(s, at).Version; before != ids[6] || after != before {
		t.Errorf("the version is %s, then %s, want %s", before, after, ids[6])
	}
	f.vault.Disable("secrets/db", ids[6])
	if got := f.text(s, at); got != "value 5" {
		t.Errorf("after the version was disabled: %q", got)
	}
	_, err := s.Read(t.Context(), f.pod("prod/web"), store.Reference{Key: "secrets/db", Options: map[string]any{"notAfter": "2026-01-01T00:00:00Z"}})
	if want := "secrets/db: Key Vault has no enabled version of it that was made until 2026-01-01T00:00:00Z; the oldest was made at 2026-01-01T00:00:01Z"; !errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), want) {
		t.Errorf("no version that is so old: %v", err)
	}
	for name, test := range map[string]struct {
		ref  store.Reference
		want string
	}{
		"a day":     {store.Reference{Key: "secrets/db", Options: map[string]any{"notAfter": "2026-01-01"}}, "options.notAfter: must be a time"},
		"no zone":   {store.Reference{Key: "secrets/db", Options: map[string]any{"notAfter": "2026-01-01T00:00:00"}}, "options.notAfter: must be a time"},
		"a number":  {store.Reference{Key: "secrets/db", Options: map[string]any{"notAfter": 20260101}}, "options.notAfter: must be a time"},
		"nothing":   {store.Reference{Key: "secrets/db", Options: map[string]any{"notAfter": ""}}, "options.notAfter: must be a time"},
		"a version": {store.Reference{Key: "secrets/db", Version: ids[0], Options: map[string]any{"notAfter": "2026-01-01T00:00:00Z"}}, "options.notAfter: chooses the version by its time"},
		"a pattern": {store.Reference{Key: "secrets/d*", Options: map[string]any{"notAfter": "2026-01-01T00:00:00Z"}}, "key: is a pattern of several secrets"},
	} {
		if err := s.Check(test.ref); !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
}

func TestTheNewestVersionUntilATimeOfKeysAndCertificates(t *testing.T) {
	f := newFixture(t)
	s := f.open(nil)
	var chains []string
	for range 2 {
		chain := azuretest.NewChain(t, 0, "web.example.com")
		f.vault.PutCertificate("web", azuretest.Certificate{CER: chain.Leaf.Raw, Key: chain.Key, ContentType: "application/x-pkcs12", Value: chain.PFX(t, "")})
		chains = append(chains, azuretest.CertificatePEM(chain.Leaf))
	}
	// The certificate, its secret and its key are three puts.
	then := map[string]any{"notAfter": "2026-01-01T00:00:03Z"}
	if got := f.text(s, store.Reference{Key: "certificates/web", Options: then}); got != chains[0] {
		t.Errorf("the certificate is\n%s", got)
	}
	if got := f.text(s, store.Reference{Key: "certificates/web", Options: map[string]any{"notAfter": then["notAfter"], "part": "all"}}); !strings.Contains(got, chains[0]) {
		t.Errorf("the chain is\n%s", got)
	}
	now, old := f.text(s, store.Reference{Key: "keys/web"}), f.text(s, store.Reference{Key: "keys/web", Options: then})
	if now == old || !strings.HasPrefix(old, "-----BEGIN PUBLIC KEY") {
		t.Errorf("the key is %s", old)
	}
}

func TestTheLastVersionsOfKeysAndCertificates(t *testing.T) {
	f := newFixture(t)
	s := f.open(nil)
	var leaves []string
	for range 3 {
		chain := azuretest.NewChain(t, 0, "web.example.com")
		f.vault.PutCertificate("web", azuretest.Certificate{CER: chain.Leaf.Raw, Key: chain.Key, ContentType: "application/x-pkcs12", Value: chain.PFX(t, "")})
		leaves = append(leaves, azuretest.CertificatePEM(chain.Leaf))
	}
	var got map[string]string
	if err := json.Unmarshal(f.read(s, store.Reference{Key: "certificates/web", Options: map[string]any{"history": 2}}).Data.Reveal(), &got); err != nil || got["0"] != leaves[2] || got["1"] != leaves[1] || len(got) != 2 {
		t.Errorf("certificates: %v", got)
	}
	clear(got)
	if err := json.Unmarshal(f.read(s, store.Reference{Key: "keys/web", Options: map[string]any{"history": 9}}).Data.Reveal(), &got); err != nil || len(got) != 3 || !strings.HasPrefix(got["2"], "-----BEGIN PUBLIC KEY") {
		t.Errorf("keys: %v", got)
	}
}

package azure

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// costly is a PFX changed by change.
func costly(t *testing.T, change func(*pfxFile)) string {
	t.Helper()
	chain := azuretest.NewChain(t, 1, "web.example.com")
	raw, err := base64.StdEncoding.DecodeString(chain.PFX(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	var file pfxFile
	if !decode(raw, &file) {
		t.Fatal("the PFX cannot be read")
	}
	change(&file)
	if raw, err = asn1.Marshal(file); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// rewrite changes the contents of a PFX.
func rewrite(t *testing.T, file *pfxFile, change func([]pfxContent) []pfxContent) {
	t.Helper()
	var safe asn1.RawValue
	var contents []pfxContent
	if !decode(file.AuthSafe.Content.Bytes, &safe) || !decode(safe.Bytes, &contents) {
		t.Fatal("the PFX cannot be read")
	}
	inner, err := asn1.Marshal(change(contents))
	if err != nil {
		t.Fatal(err)
	}
	if inner, err = asn1.Marshal(inner); err != nil {
		t.Fatal(err)
	}
	file.AuthSafe.Content = asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: inner}
	file.MAC = pfxMAC{}
}

func rounds(t *testing.T, n int64) asn1.RawValue {
	t.Helper()
	der, err := asn1.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	return asn1.RawValue{FullBytes: der}
}

// No file has the decoder work for longer than a moment, wherever it says so. The
// test ends in time only if nothing of it is decoded.
func TestACostlyPFXIsRefusedBeforeItIsDecoded(t *testing.T) {
	parameters := func(n int64) asn1.RawValue {
		der, err := asn1.Marshal(struct {
			Salt   []byte
			Rounds int64
		}{[]byte("salt"), n})
		if err != nil {
			t.Fatal(err)
		}
		return asn1.RawValue{FullBytes: der}
	}
	for name, value := range map[string]string{
		"MAC": costly(t, func(f *pfxFile) { f.MAC.Rounds = rounds(t, 1<<62) }),
		"MAC by PBKDF2": costly(t, func(f *pfxFile) {
			f.MAC.Digest.Algorithm.Parameters = parameters(1 << 40)
		}),
		"a little too many": costly(t, func(f *pfxFile) { f.MAC.Rounds = rounds(t, maxRounds+1) }),
		"certificates": costly(t, func(f *pfxFile) {
			rewrite(t, f, func(contents []pfxContent) []pfxContent {
				for i := range contents {
					var encrypted pfxEncrypted
					if contents[i].Type.Equal(oidEncryptedData) && decode(contents[i].Content.Bytes, &encrypted) {
						encrypted.Content.Algorithm.Parameters = parameters(1 << 50)
						der, err := asn1.Marshal(encrypted)
						if err != nil {
							t.Fatal(err)
						}
						contents[i].Content = asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: der}
					}
				}
				return contents
			})
		}),
		"key": costly(t, func(f *pfxFile) {
			rewrite(t, f, func(contents []pfxContent) []pfxContent {
				bags, err := asn1.Marshal([]struct {
					ID    asn1.ObjectIdentifier
					Value pfxShrouded `asn1:"tag:0,explicit"`
				}{{oidShroudedBag, pfxShrouded{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 3}, Parameters: parameters(1 << 60)}, []byte("data")}}})
				if err != nil {
					t.Fatal(err)
				}
				if bags, err = asn1.Marshal(bags); err != nil {
					t.Fatal(err)
				}
				return append(contents, pfxContent{oidData, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: bags}})
			})
		}),
	} {
		_, err := parseBundle(value, contentTypePFX)
		if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "more than 100000 rounds") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAKeyThatNobodySeesIsNotDecoded(t *testing.T) {
	value := costly(t, func(f *pfxFile) {
		rewrite(t, f, func(contents []pfxContent) []pfxContent {
			var kept []pfxContent
			for _, content := range contents {
				if content.Type.Equal(oidEncryptedData) {
					kept = append(kept, content)
				}
			}
			return kept
		})
	})
	if _, err := parseBundle(value, contentTypePFX); err == nil || !strings.Contains(err.Error(), "holds no private key") {
		t.Error(err)
	}
}

func TestTheOrderOfAPFXDoesNotMatter(t *testing.T) {
	for name, change := range map[string]func(*pfxFile){
		"as it is": func(*pfxFile) {},
		"turned": func(f *pfxFile) {
			rewrite(t, f, func(c []pfxContent) []pfxContent {
				for i, j := 0, len(c)-1; i < j; i, j = i+1, j-1 {
					c[i], c[j] = c[j], c[i]
				}
				return c
			})
		},
	} {
		if b, err := parseBundle(costly(t, change), contentTypePFX); err != nil || len(b.chain) != 3 || len(b.key) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestManyCertificatesAreRefusedAndAFewOfOneNameAreOrdered(t *testing.T) {
	if _, err := parseBundle(azuretest.SameNames(t, maxCertificates+1), contentTypePEM); !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "51 certificates") {
		t.Error(err)
	}
	if _, err := parseBundle(azuretest.SameNames(t, 300), contentTypePEM); !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "at most 65536 are read") {
		t.Error(err)
	}
	b, err := parseBundle(azuretest.SameNames(t, 5), contentTypePEM)
	if err != nil || len(b.chain) != 5 {
		t.Fatal(err)
	}
	for i, cert := range b.chain {
		if cert.SerialNumber.Int64() != int64(i+1) {
			t.Errorf("certificate %d is in place %d", cert.SerialNumber, i)
		}
	}
}

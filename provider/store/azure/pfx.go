package azure

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"strings"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/lanyardhq/lanyard/provider/fault"
)

// The object identifiers of what a PFX consists of (RFC 7292, appendix D).
var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEncryptedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}
	oidKeyBag        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}
	oidShroudedBag   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
)

// maxRounds bounds the rounds in which each key of a PFX is derived. Key Vault's own
// files have 2,000.
const maxRounds = 100_000

// The parts of a PFX that say what reading it costs (RFC 7292, section 4).
type (
	pfxFile struct {
		Version  int
		AuthSafe pfxContent
		MAC      pfxMAC `asn1:"optional"`
	}
	pfxContent struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"tag:0,explicit,optional"`
	}
	pfxMAC struct {
		Digest struct {
			Algorithm pkix.AlgorithmIdentifier
			Digest    []byte
		}
		Salt   []byte
		Rounds asn1.RawValue `asn1:"optional"`
	}
	pfxEncrypted struct {
		Version int
		Content struct {
			Type      asn1.ObjectIdentifier
			Algorithm pkix.AlgorithmIdentifier
			Content   asn1.RawValue `asn1:"optional"`
		}
	}
	pfxBag struct {
		ID         asn1.ObjectIdentifier
		Value      asn1.RawValue `asn1:"tag:0,explicit"`
		Attributes asn1.RawValue `asn1:"optional"`
	}
	pfxShrouded struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
)

// fromPFX reads PKCS #12 in base64, which Key Vault gives out without a password. What
// it costs is known before it is paid.
func fromPFX(value string) (any, []*x509.Certificate, error) {
	raw, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return nil, nil, fault.Failf(fault.ErrInvalid, "the value is said to be a PFX, and is not base64")
	}
	if raw, err = bounded(raw); err != nil {
		return nil, nil, err
	}
	key, leaf, others, err := pkcs12.DecodeChain(raw, "")
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return nil, nil, fault.Failf(fault.ErrInvalid, "the PFX is protected by a password, which Key Vault's own never are; import it as a certificate with its password, so that Key Vault takes it off")
	case err != nil && strings.Contains(err.Error(), "private key missing"):
		return nil, nil, keyless()
	case err != nil:
		// The library's words may quote what it found.
		return nil, nil, notPFX()
	}
	return key, append([]*x509.Certificate{leaf}, others...), nil
}

func keyless() error {
	return fault.Failf(fault.ErrInvalid, "the PFX holds no private key: the certificate's policy does not let it be exported; let it, or ask for options.part leaf")
}

func notPFX() error {
	return fault.Failf(fault.ErrInvalid, "the value is said to be a PFX and cannot be read as one; import the certificate again")
}

// bounded returns a PFX that can be decoded within maxRounds for each of its keys.
//
// What is encrypted may hide a further encrypted key, whose rounds nobody sees. The
// decoder refuses a second key before it is decrypted, so the one that can be seen has
// to come first. Where it does not, it is moved there, which the file's MAC does not
// survive.
func bounded(raw []byte) ([]byte, error) {
	var file pfxFile
	var safe asn1.RawValue
	var contents []pfxContent
	if !decode(raw, &file) || !file.AuthSafe.Type.Equal(oidData) || !decode(file.AuthSafe.Content.Bytes, &safe) || !decode(safe.Bytes, &contents) {
		return nil, notPFX()
	}
	if !few(file.MAC.Rounds.FullBytes) || !few(file.MAC.Digest.Algorithm.Parameters.FullBytes) {
		return nil, tooCostly()
	}
	keyAt, encryptedAt := -1, -1
	for i, content := range contents {
		switch {
		case content.Type.Equal(oidData):
			keys, err := visibleKeys(content)
			if err != nil {
				return nil, err
			}
			if keys && keyAt < 0 {
				keyAt = i
			}
		case content.Type.Equal(oidEncryptedData):
			var encrypted pfxEncrypted
			if !decode(content.Content.Bytes, &encrypted) {
				return nil, notPFX()
			}
			if !few(encrypted.Content.Algorithm.Parameters.FullBytes) {
				return nil, tooCostly()
			}
			if encryptedAt < 0 {
				encryptedAt = i
			}
		}
	}
	switch {
	case keyAt < 0:
		return nil, keyless()
	case encryptedAt < 0 || keyAt < encryptedAt:
		return raw, nil
	}
	contents[encryptedAt], contents[keyAt] = contents[keyAt], contents[encryptedAt]
	file.MAC = pfxMAC{}
	moved, err := asn1.Marshal(contents)
	if err == nil {
		moved, err = asn1.Marshal(moved) // as an octet string
	}
	if err == nil {
		file.AuthSafe.Content = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: moved}
		moved, err = asn1.Marshal(file)
	}
	if err != nil {
		return nil, notPFX()
	}
	return moved, nil
}

// visibleKeys says whether what is not encrypted as a whole has private keys.
func visibleKeys(content pfxContent) (keys bool, err error) {
	var data []byte
	var bags []pfxBag
	if !decode(content.Content.Bytes, &data) || !decode(data, &bags) {
		return false, notPFX()
	}
	for _, bag := range bags {
		switch {
		case bag.ID.Equal(oidKeyBag):
			keys = true
		case bag.ID.Equal(oidShroudedBag):
			var shrouded pfxShrouded
			if !decode(bag.Value.Bytes, &shrouded) {
				return false, notPFX()
			}
			if !few(shrouded.Algorithm.Parameters.FullBytes) {
				return false, tooCostly()
			}
			keys = true
		}
	}
	return keys, nil
}

func tooCostly() error {
	return fault.Failf(fault.ErrInvalid, "the PFX derives a key in more than %d rounds; import the certificate again, so that Key Vault writes it anew", maxRounds)
}

func decode(der []byte, into any) bool {
	rest, err := asn1.Unmarshal(der, into)
	return err == nil && len(rest) == 0
}

// few says whether every number in the parameters of an algorithm, one of which is
// that of its rounds, is at most maxRounds. No parameters have no number.
func few(der []byte) bool {
	for len(der) > 0 {
		var value asn1.RawValue
		rest, err := asn1.Unmarshal(der, &value)
		if err != nil {
			return false
		}
		der = rest
		switch {
		case value.IsCompound:
			if !few(value.Bytes) {
				return false
			}
		case value.Class == asn1.ClassUniversal && value.Tag == asn1.TagInteger:
			var rounds int32
			if !decode(value.FullBytes, &rounds) || rounds > maxRounds {
				return false
			}
		}
	}
	return true
}

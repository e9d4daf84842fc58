package azure

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// The content types of a certificate's secret.
// https://learn.microsoft.com/azure/key-vault/certificates/about-certificates#exportable-or-non-exportable-key
const (
	contentTypePFX = "application/x-pkcs12"
	contentTypePEM = "application/x-pem-file"
)

// bundle is a certificate with what belongs to it.
type bundle struct {
	key   []byte // PKCS #8; empty if the key cannot be exported
	chain []*x509.Certificate
}

// parseBundle takes the value of a certificate's secret apart. The chain is put
// in order, from the leaf to the root.
func parseBundle(value, contentType string) (*bundle, error) {
	var (
		key   any
		certs []*x509.Certificate
		err   error
	)
	if len(value) > maxBundleBytes {
		return nil, fault.Failf(fault.ErrInvalid, "the certificate with its chain has %d bytes, and at most %d are read; import it again with its own chain alone", len(value), maxBundleBytes)
	}
	switch contentType {
	case contentTypePFX:
		key, certs, err = fromPFX(value)
	case contentTypePEM:
		key, certs, err = fromPEM(value)
	default:
		return nil, fault.Failf(fault.ErrInvalid, "this is not the secret of a certificate: its content type is %q, and not %s or %s", message.Excerpt(contentType), contentTypePFX, contentTypePEM)
	}
	if err == nil {
		err = checkSizes(key, certs)
	}
	if err != nil {
		return nil, err
	}
	b := &bundle{chain: certs}
	if key == nil {
		b.chain = ordered(certs, certs[0])
		return b, nil
	}
	leaf := certificateOf(key, certs)
	if leaf == nil {
		return nil, fault.Failf(fault.ErrInvalid, "no certificate beside the private key belongs to it; import the certificate again with its own key")
	}
	b.chain = ordered(certs, leaf)
	if b.key, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return nil, fault.Failf(fault.ErrInvalid, "the private key is of a kind that PKCS #8 has no form for")
	}
	return b, nil
}

func fromPEM(value string) (key any, certs []*x509.Certificate, err error) {
	for block, rest := pem.Decode([]byte(value)); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, malformed()
			}
			certs = append(certs, cert)
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
			if key != nil {
				return nil, nil, fault.Failf(fault.ErrInvalid, "there are two private keys beside the certificate; import it again with one")
			}
			if key, err = parseKey(block.Bytes); err != nil {
				return nil, nil, fault.Failf(fault.ErrInvalid, "the private key cannot be read; import the certificate again")
			}
		}
	}
	if len(certs) == 0 {
		return nil, nil, malformed()
	}
	return key, certs, nil
}

func parseKey(der []byte) (any, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	return x509.ParseECPrivateKey(der)
}

func malformed() error {
	return fault.Failf(fault.ErrInvalid, "the certificate is malformed; import it again")
}

func checkCertificate(der []byte) error {
	if _, err := x509.ParseCertificate(der); err != nil {
		return malformed()
	}
	return nil
}

// The bounds of what a certificate's secret may hold: far more than any chain in use,
// and little enough that its signatures are checked in a moment.
const (
	maxBundleBytes      = 64 << 10 // Key Vault's own bound is 25 kB
	maxCertificates     = 50
	maxCertificateBytes = 16 << 10
	maxRSABits          = 16 << 10
)

// checkSizes refuses what is too costly to compute with. The key may be nil.
func checkSizes(key any, certs []*x509.Certificate) error {
	if len(certs) > maxCertificates {
		return fault.Failf(fault.ErrInvalid, "there are %d certificates, and at most %d are read; import the certificate again with its own chain alone", len(certs), maxCertificates)
	}
	publics := []any{}
	if signer, ok := key.(crypto.Signer); ok {
		publics = append(publics, signer.Public())
	}
	for _, cert := range certs {
		if len(cert.Raw) > maxCertificateBytes {
			return fault.Failf(fault.ErrInvalid, "a certificate has %d bytes, and at most %d are read", len(cert.Raw), maxCertificateBytes)
		}
		publics = append(publics, cert.PublicKey)
	}
	for _, public := range publics {
		if rsa, ok := public.(*rsa.PublicKey); ok && rsa.N.BitLen() > maxRSABits {
			return fault.Failf(fault.ErrInvalid, "an RSA key has %d bits, and at most %d are read", rsa.N.BitLen(), maxRSABits)
		}
	}
	return nil
}

// certificateOf finds the certificate of a private key; nil if there is none.
func certificateOf(key any, certs []*x509.Certificate) *x509.Certificate {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil
	}
	public, ok := signer.Public().(interface {
		Equal(other crypto.PublicKey) bool
	})
	if !ok {
		return nil
	}
	for _, cert := range certs {
		if public.Equal(cert.PublicKey) {
			return cert
		}
	}
	return nil
}

// ordered puts certificates in the order in which TLS sends them (RFC 8446,
// section 4.4.2): the leaf, and each one followed by its issuer. What belongs
// to no issuer of the chain comes last, in its own order.
func ordered(certs []*x509.Certificate, leaf *x509.Certificate) []*x509.Certificate {
	rest := make([]*x509.Certificate, 0, len(certs))
	for _, cert := range certs {
		if cert != leaf {
			rest = append(rest, cert)
		}
	}
	chain := []*x509.Certificate{leaf}
	for at := leaf; at != nil; {
		i := issuerOf(at, rest)
		if i < 0 {
			break
		}
		at = rest[i]
		chain, rest = append(chain, at), slices.Delete(rest, i, i+1)
	}
	return append(chain, rest...)
}

// maxCandidates bounds the certificates whose key is tried for one signature, so that
// many of one name cost no more than a few.
const maxCandidates = 4

// issuerOf finds the issuer of a certificate; below zero if it is not among them.
func issuerOf(child *x509.Certificate, certificates []*x509.Certificate) int {
	tried := 0
	for i, parent := range certificates {
		if !bytes.Equal(child.RawIssuer, parent.RawSubject) ||
			len(child.AuthorityKeyId) > 0 && len(parent.SubjectKeyId) > 0 && !bytes.Equal(child.AuthorityKeyId, parent.SubjectKeyId) {
			continue
		}
		if tried++; tried > maxCandidates {
			break
		}
		if signed(child, parent) {
			return i
		}
	}
	return -1
}

// signed is true if the key of parent signed child. A signature by a method that is
// too weak to be checked is taken for what it says.
func signed(child, parent *x509.Certificate) bool {
	var weak x509.InsecureAlgorithmError
	err := parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
	return err == nil || errors.As(err, &weak)
}

// part writes a part as PEM; partPair as a JSON object of two, named as in a
// Secret of type kubernetes.io/tls.
func (b *bundle) part(part string) (secret.Bytes, error) {
	var chain bytes.Buffer
	for _, cert := range b.chain {
		chain.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	}
	if part == partChain {
		return secret.New(chain.Bytes()), nil
	}
	if len(b.key) == 0 {
		return secret.Bytes{}, fault.Failf(fault.ErrInvalid, "there is no private key beside the certificate: its policy does not let it be exported; let it, or ask for options.part chain or leaf")
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b.key})
	switch part {
	case partKey:
		return secret.New(key), nil
	case partPair:
		data, err := json.Marshal(map[string]string{"tls.crt": chain.String(), "tls.key": string(key)})
		if err != nil {
			return secret.Bytes{}, malformed()
		}
		return secret.New(data), nil
	}
	return secret.New(append(key, chain.Bytes()...)), nil
}

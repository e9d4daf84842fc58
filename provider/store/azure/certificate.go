package azure

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"

	"software.sslmate.com/src/go-pkcs12"

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
	switch contentType {
	case contentTypePFX:
		key, certs, err = fromPFX(value)
	case contentTypePEM:
		key, certs, err = fromPEM(value)
	default:
		return nil, fault.Failf(fault.ErrInvalid, "this is not the secret of a certificate: its content type is %q, and not %s or %s", message.Excerpt(contentType), contentTypePFX, contentTypePEM)
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

// fromPFX reads PKCS #12 in base64, which Key Vault gives out without a
// password.
func fromPFX(value string) (any, []*x509.Certificate, error) {
	raw, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return nil, nil, fault.Failf(fault.ErrInvalid, "the value is said to be a PFX, and is not base64")
	}
	key, leaf, others, err := pkcs12.DecodeChain(raw, "")
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return nil, nil, fault.Failf(fault.ErrInvalid, "the PFX is protected by a password, which Key Vault's own never are; import it as a certificate with its password, so that Key Vault takes it off")
	case err != nil && strings.Contains(err.Error(), "private key missing"):
		return nil, nil, fault.Failf(fault.ErrInvalid, "the PFX holds no private key: the certificate's policy does not let it be exported; let it, or ask for options.part leaf")
	case err != nil:
		// The library's words may quote what it found.
		return nil, nil, fault.Failf(fault.ErrInvalid, "the value is said to be a PFX and cannot be read as one; import the certificate again")
	}
	return key, append([]*x509.Certificate{leaf}, others...), nil
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
		child := at
		at = nil
		for i, parent := range rest {
			if signed(child, parent) {
				chain, rest = append(chain, parent), append(rest[:i:i], rest[i+1:]...)
				at = parent
				break
			}
		}
	}
	return append(chain, rest...)
}

// signed is true if parent issued child. A signature by a method that is too
// weak to be checked is taken for what it says.
func signed(child, parent *x509.Certificate) bool {
	if !bytes.Equal(child.RawIssuer, parent.RawSubject) {
		return false
	}
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

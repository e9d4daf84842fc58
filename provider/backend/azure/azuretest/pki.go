package azuretest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// Chain is a certificate with its key and issuers.
type Chain struct {
	Key           *ecdsa.PrivateKey
	Leaf          *x509.Certificate
	Intermediates []*x509.Certificate // from the leaf's issuer on
	Root          *x509.Certificate
}

// NewChain makes a certificate for names, with so many intermediate authorities.
func NewChain(t testing.TB, intermediates int, names ...string) *Chain {
	t.Helper()
	c, err := newChain("Root for tests", intermediates, names)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newChain(root string, intermediates int, names []string) (*Chain, error) {
	c := &Chain{}
	parent, parentKey, err := issue(&x509.Certificate{Subject: pkix.Name{CommonName: root}, IsCA: true}, nil, nil)
	if err != nil {
		return nil, err
	}
	c.Root = parent
	for i := range intermediates {
		next := &x509.Certificate{Subject: pkix.Name{CommonName: fmt.Sprintf("Intermediate %d", i+1)}, IsCA: true}
		if parent, parentKey, err = issue(next, parent, parentKey); err != nil {
			return nil, err
		}
		c.Intermediates = append([]*x509.Certificate{parent}, c.Intermediates...)
	}
	leaf := &x509.Certificate{Subject: pkix.Name{CommonName: names[0]}}
	for _, name := range names {
		if address := net.ParseIP(name); address != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, address)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, name)
		}
	}
	c.Leaf, c.Key, err = issue(leaf, parent, parentKey)
	return c, err
}

// issue signs a certificate with its parent's key; its own if it has no parent.
func issue(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return nil, nil, err
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if template.IsCA {
		template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageCertSign, nil
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, nil, err
	}
	made, err := x509.ParseCertificate(der)
	return made, key, err
}

// All are the certificates from the leaf to the root.
func (c *Chain) All() []*x509.Certificate {
	return append(append([]*x509.Certificate{c.Leaf}, c.Intermediates...), c.Root)
}

// PFX is the chain as PKCS #12 in base64, as a certificate's secret holds it:
// its issuers in the order given, all of them from the leaf's on if none are.
func (c *Chain) PFX(t testing.TB, password string, issuers ...*x509.Certificate) string {
	t.Helper()
	if len(issuers) == 0 {
		issuers = append(append([]*x509.Certificate{}, c.Intermediates...), c.Root)
	}
	raw, err := pkcs12.LegacyDES.Encode(c.Key, c.Leaf, issuers, password)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// KeyPEM is the private key as PKCS #8.
func (c *Chain) KeyPEM(t testing.TB) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// CertificatePEM is certificates one after another.
func CertificatePEM(certificates ...*x509.Certificate) string {
	text := ""
	for _, certificate := range certificates {
		text += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
	}
	return text
}

// SameNames returns the PEM of a key and of so many certificates, all of one subject,
// each signed by the next: no order of them is told by their names.
func SameNames(t testing.TB, count int) string {
	t.Helper()
	name := pkix.Name{CommonName: "same"}
	keys := make([]*ecdsa.PrivateKey, count+1)
	for i := range keys {
		var err error
		if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	certificates := make([]*x509.Certificate, count)
	for i := range certificates {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: name, Issuer: name, IsCA: true, BasicConstraintsValid: true,
			NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, keys[i].Public(), keys[i+1])
		if err == nil {
			certificates[i], err = x509.ParseCertificate(der)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return (&Chain{Key: keys[0]}).KeyPEM(t) + CertificatePEM(certificates...)
}

// Package certificate keeps the certificate of a webhook: one that replicas make together,
// in a Secret, with an authority that is written into their webhook configuration, or one
// that somebody else keeps in files.
//
// An authority signs one certificate, and its key is kept nowhere. Before a certificate
// ends the next one is made, and the API servers trust both authorities for as long as
// either certificate is served. Start with Run.
package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// The times of a certificate.
const (
	// Lifetime is how long a certificate holds.
	Lifetime = 90 * 24 * time.Hour
	// RenewBefore is how long before its end the next one is made.
	RenewBefore = 30 * 24 * time.Hour
	// Settle is how long a change must have been there before the next one: every API
	// server and every replica has seen it then.
	Settle = 5 * time.Minute

	// skew is how far a clock may be behind.
	skew = time.Hour
)

// pair is a certificate with its key and authority, as PEM.
type pair struct{ cert, key, authority []byte }

// State is what replicas share: the fields of their Secret.
type State struct {
	now, next pair
	// previous is the authority of the certificate before, which some replica may still
	// serve.
	previous []byte
	since    time.Time // of the last change
}

// The fields of the Secret.
const (
	fieldCert, fieldKey, fieldAuthority             = "tls.crt", "tls.key", "ca.crt"
	fieldNextCert, fieldNextKey, fieldNextAuthority = "next.crt", "next.key", "next-ca.crt"
	fieldPrevious, fieldSince                       = "previous-ca.crt", "since"
)

// Read reads the fields of a Secret. What is no certificate is left out, so that a new one
// is made.
func Read(data map[string][]byte) State {
	s := State{
		now:      pair{data[fieldCert], data[fieldKey], data[fieldAuthority]},
		next:     pair{data[fieldNextCert], data[fieldNextKey], data[fieldNextAuthority]},
		previous: data[fieldPrevious],
	}
	var err error
	if s.since, err = time.Parse(time.RFC3339, string(data[fieldSince])); err != nil {
		s.since = time.Time{}
	}
	for _, p := range []*pair{&s.now, &s.next} {
		if _, err := p.load(); err != nil {
			*p = pair{}
		}
	}
	if _, err := parse(s.previous); err != nil {
		s.previous = nil
	}
	return s
}

// Data are the fields of the Secret.
func (s State) Data() map[string][]byte {
	data := map[string][]byte{fieldSince: []byte(s.since.UTC().Format(time.RFC3339))}
	for name, value := range map[string][]byte{
		fieldCert: s.now.cert, fieldKey: s.now.key, fieldAuthority: s.now.authority,
		fieldNextCert: s.next.cert, fieldNextKey: s.next.key, fieldNextAuthority: s.next.authority, fieldPrevious: s.previous,
	} {
		if len(value) > 0 {
			data[name] = value
		}
	}
	return data
}

// Authorities are those that API servers must trust.
func (s State) Authorities() []byte {
	return bytes.Join([][]byte{s.now.authority, s.next.authority, s.previous}, nil)
}

// Serving is the certificate that is served; nil if there is none.
func (s State) Serving() *tls.Certificate {
	c, err := s.now.load()
	if err != nil {
		return nil
	}
	return c
}

// Step returns what the state becomes, and a word for what was done; empty if nothing was.
// published says that the API servers were told of all its authorities before.
func (s State) Step(now time.Time, hosts []string, published bool) (State, string, error) {
	current := s.Serving()
	settled := now.Sub(s.since) >= Settle
	switch {
	case current == nil || !now.Before(current.Leaf.NotAfter) || current.Leaf.VerifyHostname(hosts[0]) != nil:
		made, err := generate(now, hosts)
		return State{now: made, since: now}, "made", err
	case s.next.cert == nil && s.previous == nil && now.Add(RenewBefore).After(current.Leaf.NotAfter):
		made, err := generate(now, hosts)
		s.next, s.since = made, now
		return s, "announced the next", err
	case s.next.cert != nil && settled && published:
		return State{now: s.next, previous: s.now.authority, since: now}, "changed to the next", nil
	case s.next.cert == nil && s.previous != nil && settled:
		s.previous, s.since = nil, now
		return s, "dropped the previous authority", nil
	}
	return s, "", nil
}

// generate makes an authority and the one certificate that it signs.
func generate(now time.Time, hosts []string) (pair, error) {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	numbers := make([]*big.Int, 2)
	for i := range numbers {
		if numbers[i], err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
			return pair{}, err
		}
	}
	authority := &x509.Certificate{
		SerialNumber: numbers[0], Subject: pkix.Name{CommonName: "Lanyard webhook authority " + numbers[0].Text(36)[:8]},
		NotBefore: now.Add(-skew), NotAfter: now.Add(Lifetime), IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign, PermittedDNSDomains: hosts, PermittedDNSDomainsCritical: true,
	}
	leaf := &x509.Certificate{
		SerialNumber: numbers[1], Subject: pkix.Name{CommonName: "Lanyard webhook"}, DNSNames: hosts,
		NotBefore: now.Add(-skew), NotAfter: now.Add(Lifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return pair{}, err
	}
	cert, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), authorityKey)
	if err != nil {
		return pair{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, err
	}
	return pair{block("CERTIFICATE", cert), block("PRIVATE KEY", private), block("CERTIFICATE", signed)}, nil
}

func block(kind string, content []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content})
}

// load checks that the parts belong together.
func (p pair) load() (*tls.Certificate, error) {
	loaded, err := tls.X509KeyPair(p.cert, p.key)
	if err != nil {
		return nil, err
	}
	authority, err := parse(p.authority)
	if err != nil {
		return nil, err
	}
	if err := loaded.Leaf.CheckSignatureFrom(authority); err != nil {
		return nil, err
	}
	return &loaded, nil
}

func parse(text []byte) (*x509.Certificate, error) {
	decoded, _ := pem.Decode(text)
	if decoded == nil {
		return nil, errors.New("is no PEM")
	}
	parsed, err := x509.ParseCertificate(decoded.Bytes)
	if err != nil {
		return nil, fmt.Errorf("is no certificate: %w", err)
	}
	return parsed, nil
}

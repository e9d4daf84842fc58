package vaultclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lanyardhq/lanyard/provider/nodefile"
)

// maxPEMBytes bounds a certificate file.
const maxPEMBytes = 1 << 20

// config makes the TLS configuration. Authorities are read now; the client's
// certificate is read at each handshake, so that it may be renewed on disk.
func (t *TLSSettings) config() (*tls.Config, Problems) {
	var problems Problems
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         t.ServerName,
		InsecureSkipVerify: t.InsecureSkipVerify, //nolint:gosec // asked for by name, documented as for development
	}
	switch {
	case t.CACert != "":
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(t.CACert)) {
			problems.Add("tls.caCert", "holds no certificate in PEM, -----BEGIN CERTIFICATE-----")
		}
	case t.CACertFile != "":
		config.RootCAs = x509.NewCertPool()
		if err := appendPEM(config.RootCAs, t.CACertFile); err != nil {
			problems.Add("tls.caCertFile", "%v", err)
		}
	case t.CACertDir != "":
		config.RootCAs = t.directory(&problems)
	}
	if t.ClientCertFile != "" {
		if _, err := t.clientCertificate(nil); err != nil {
			problems.Add("tls.clientCertFile", "%v", err)
		}
		config.GetClientCertificate = t.clientCertificate
	}
	return config, problems
}

func (t *TLSSettings) clientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(t.ClientCertFile, t.ClientKeyFile)
	if err != nil {
		return nil, fmt.Errorf("the certificate and key cannot be used: %w", err)
	}
	return &pair, nil
}

// directory reads all regular files of caCertDir, of which at least one must
// hold a certificate.
func (t *TLSSettings) directory(problems *Problems) *x509.CertPool {
	pool, found := x509.NewCertPool(), false
	entries, err := os.ReadDir(t.CACertDir)
	if err != nil {
		problems.Add("tls.caCertDir", "%v", err)
		return pool
	}
	for _, entry := range entries {
		path := filepath.Join(t.CACertDir, entry.Name())
		// Links are followed: a mounted ConfigMap consists of them.
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		if appendPEM(pool, path) == nil {
			found = true
		}
	}
	if !found {
		problems.Add("tls.caCertDir", "no file in %s holds a certificate in PEM", t.CACertDir)
	}
	return pool
}

func appendPEM(pool *x509.CertPool, path string) error {
	pem, err := nodefile.Read(path, maxPEMBytes)
	if err != nil {
		return err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return nil
}

// tlsRemedy says which setting is about a failed handshake.
func tlsRemedy(err error) string {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		header    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &authority):
		return "; give the authority that signed Vault's certificate in tls.caCert"
	case errors.As(err, &host):
		return "; give a name that Vault's certificate has in tls.serverName"
	case errors.As(err, &header):
		return "; the server does not speak TLS on this port, or address should begin with http://"
	}
	return ""
}

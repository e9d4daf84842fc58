package vault

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

// trust makes the TLS configuration. The authorities' files and the client's
// certificate are read at each handshake, so that they may be renewed on disk.
func (t *TLSSettings) trust() (*remote.Trust, Problems) {
	var problems Problems
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         t.ServerName,
		InsecureSkipVerify: t.InsecureSkipVerify, //nolint:gosec // asked for by name, documented as for development
	}
	if t.ClientCertFile != "" {
		if _, err := t.clientCertificate(nil); err != nil {
			problems.Add("tls.clientCertFile", "%v", err)
		}
		config.GetClientCertificate = t.clientCertificate
	}
	source := remote.Source{PEM: t.CACert, File: t.CACertFile, Directory: t.CACertDir}
	trust, err := remote.NewTrust(config, source)
	if err != nil {
		problems.Add("tls."+source.Setting(), "%v", err)
	}
	return trust, problems
}

func (t *TLSSettings) clientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(t.ClientCertFile, t.ClientKeyFile)
	if err != nil {
		return nil, fmt.Errorf("the certificate and key cannot be used: %w", err)
	}
	return &pair, nil
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

package vault

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

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

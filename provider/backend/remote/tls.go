package remote

import (
	"crypto/tls"
	"fmt"
	"path/filepath"

	"github.com/lanyardhq/lanyard/internal/strict"
)

// TLS are the settings below tls, the same for every store and key service: whom
// to trust, and with which certificate to be trusted. The zero value trusts the
// system's authorities.
type TLS struct {
	CACert             string `yaml:"caCert"`
	CACertFile         string `yaml:"caCertFile"`
	CACertDir          string `yaml:"caCertDir"`
	ServerName         string `yaml:"serverName"`
	InsecureSkipVerify bool   `yaml:"insecureSkipVerify"`
	ClientCertFile     string `yaml:"clientCertFile"`
	ClientKeyFile      string `yaml:"clientKeyFile"`
}

// Check calls add for each problem, with the field's name. Only the operator's
// configuration may name files of the node. Only a product whose calls all go to
// one server may have serverName and insecureSkipVerify: elsewhere they would
// hold for the identity service too.
func (t *TLS) Check(byOperator, oneServer bool, add func(field, format string, args ...any)) {
	for _, file := range []struct{ field, path, instead string }{
		{"tls.caCertFile", t.CACertFile, "; put the certificate itself into tls.caCert"},
		{"tls.caCertDir", t.CACertDir, "; put the certificates themselves into tls.caCert"},
		{"tls.clientCertFile", t.ClientCertFile, ""},
		{"tls.clientKeyFile", t.ClientKeyFile, ""},
	} {
		switch {
		case file.path == "":
		case !byOperator:
			add(file.field, "reads a file of the node, so only the operator's configuration file may give it%s", file.instead)
		case !filepath.IsAbs(file.path):
			add(file.field, "must be an absolute path on the node")
		}
	}
	sources := 0
	for _, source := range []string{t.CACert, t.CACertFile, t.CACertDir} {
		if source != "" {
			sources++
		}
	}
	if sources > 1 {
		add("tls.caCert", "give one of `tls.caCert`, `tls.caCertFile` and `tls.caCertDir`")
	}
	if (t.ClientCertFile == "") != (t.ClientKeyFile == "") {
		add("tls.clientCertFile", "give `tls.clientCertFile` and `tls.clientKeyFile` together")
	}
	switch {
	case !oneServer && t.ServerName != "":
		add("tls.serverName", "has no place here, where several servers are called")
	case !oneServer && t.InsecureSkipVerify:
		add("tls.insecureSkipVerify", "has no place here; give the server's authority in tls.caCert")
	case t.InsecureSkipVerify && sources > 0:
		add("tls.insecureSkipVerify", "a certificate authority is of no use when nothing is verified; leave one of the two out")
	}
}

// trust makes the configuration of clients. The files of authorities and the
// client's certificate are read at each handshake, so that they may be renewed on
// disk. The error is a strict.Problems.
func (t *TLS) trust() (*Trust, error) {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         t.ServerName,
		InsecureSkipVerify: t.InsecureSkipVerify, //nolint:gosec // asked for by name, documented as for development
	}
	if t.ClientCertFile != "" {
		if _, err := t.clientCertificate(nil); err != nil {
			return nil, strict.Problems{{Field: "tls.clientCertFile", Text: err.Error()}}
		}
		config.GetClientCertificate = t.clientCertificate
	}
	source := Source{PEM: t.CACert, File: t.CACertFile, Directory: t.CACertDir}
	trust, err := newTrust(config, source)
	if err != nil {
		return nil, strict.Problems{{Field: "tls." + source.Setting(), Text: err.Error()}}
	}
	return trust, nil
}

func (t *TLS) clientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(t.ClientCertFile, t.ClientKeyFile)
	if err != nil {
		return nil, fmt.Errorf("the certificate and key cannot be used: %w", err)
	}
	return &pair, nil
}

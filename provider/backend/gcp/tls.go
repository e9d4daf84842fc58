package gcp

import (
	"crypto/tls"
	"path/filepath"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

// TLS names the authorities that are trusted instead of the system's: the
// settings below tls.
type TLS struct {
	// CACert are the authorities themselves, in PEM.
	CACert string `yaml:"caCert"`
	// CACertFile is a file of the node that holds them.
	CACertFile string `yaml:"caCertFile"`
}

// Check reports what is wrong. byOperator is true for settings of the operator's
// configuration.
func (t *TLS) Check(byOperator bool, problems *Problems) {
	switch {
	case t.CACertFile == "":
	case !byOperator:
		problems.Add("tls.caCertFile", "reads a file of the node, so only the operator's configuration file may give it; put the certificate itself into tls.caCert")
	case t.CACert != "":
		problems.Add("tls.caCertFile", "give one of caCert and caCertFile")
	case !filepath.IsAbs(t.CACertFile):
		problems.Add("tls.caCertFile", "must be an absolute path on the node")
	}
}

// trust makes the TLS configuration. The file of authorities is read at each
// handshake, so that it may be renewed on disk.
func (t *TLS) trust() (*remote.Trust, Problems) {
	var problems Problems
	source := remote.Source{PEM: t.CACert, File: t.CACertFile}
	trust, err := remote.NewTrust(&tls.Config{MinVersion: tls.VersionTLS12}, source)
	if err != nil {
		problems.Add("tls."+source.Setting(), "%v", err)
	}
	return trust, problems
}

package image

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// DebianCertificates is where Debian's package ca-certificates has Mozilla's
// root certificates. /etc/ssl/certs/ca-certificates.crt, which is made from
// them, is not used: it also holds the authorities that the build machine's
// administrator trusts, and nobody else has a reason to.
const DebianCertificates = "/usr/share/ca-certificates/mozilla"

// certificates is one file of all certificates in dir, in the order of their
// files' names.
func certificates(dir string) ([]byte, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.crt"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("%s has no root certificates; install Debian's package ca-certificates, or name another directory", dir)
	}
	slices.Sort(names)
	var bundle bytes.Buffer
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		block, rest := pem.Decode(data)
		if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
			return nil, fmt.Errorf("%s is not one certificate in PEM", name)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := pem.Encode(&bundle, block); err != nil {
			return nil, err
		}
	}
	return bundle.Bytes(), nil
}

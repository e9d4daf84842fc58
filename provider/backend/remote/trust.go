package remote

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/internal/nodefile"
)

// maxBytes bounds one file of authorities.
const maxBytes = 1 << 20

// Source is where authorities are, in PEM: one of the text itself, a file, and all
// regular files of a directory, of which at least one must hold a certificate.
// With none, the system's are trusted.
type Source struct{ PEM, File, Directory string }

// Setting is what settings call the one that is given: caCert, caCertFile or
// caCertDir.
func (s Source) Setting() string {
	switch {
	case s.Directory != "":
		return "caCertDir"
	case s.File != "":
		return "caCertFile"
	}
	return "caCert"
}

// Trust is a TLS configuration for clients with the authorities of a Source. It is
// safe for concurrent use.
type Trust struct {
	base   *tls.Config
	source Source

	mu     sync.Mutex
	pool   *x509.CertPool
	read   [sha256.Size]byte // digest of what pool was made of
	failed string            // why the source could not be used last; empty if it could
}

// newTrust reads the source. base must not be changed afterwards.
func newTrust(base *tls.Config, source Source) (*Trust, error) {
	t := &Trust{base: base, source: source}
	if err := t.update(); err != nil {
		return nil, err
	}
	return t, nil
}

// Config returns the configuration for a handshake that is about to be made. It is
// the caller's own.
func (t *Trust) Config() *tls.Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.failed
	t.failed = ""
	if err := t.update(); err != nil {
		t.failed = err.Error()
		if t.failed != before {
			klog.ErrorS(nil, "The certificate authorities cannot be read; those that were read before are trusted", "cause", t.failed)
		}
	}
	config := t.base.Clone()
	config.RootCAs = t.pool
	return config
}

// update reads the source, and parses it if it has changed.
func (t *Trust) update() error {
	if t.source == (Source{}) {
		return nil
	}
	content, err := t.source.content()
	if err != nil {
		return err
	}
	read := sha256.Sum256(content)
	if t.pool != nil && read == t.read {
		return nil
	}
	pool := x509.NewCertPool()
	switch {
	case pool.AppendCertsFromPEM(content):
	case t.source.PEM != "":
		return errors.New("holds no certificate in PEM, -----BEGIN CERTIFICATE-----")
	case t.source.File != "":
		return fmt.Errorf("%s holds no certificate in PEM", t.source.File)
	default:
		return fmt.Errorf("no file in %s holds a certificate in PEM", t.source.Directory)
	}
	t.pool, t.read = pool, read
	return nil
}

// content is all of the source. Files of a directory that cannot be read are left
// out, as are those that hold other things.
func (s Source) content() ([]byte, error) {
	switch {
	case s.PEM != "":
		return []byte(s.PEM), nil
	case s.File != "":
		return nodefile.Read(s.File, maxBytes)
	}
	entries, err := os.ReadDir(s.Directory)
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, entry := range entries {
		path := filepath.Join(s.Directory, entry.Name())
		// Links are followed: a mounted ConfigMap consists of them.
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		if content, err := nodefile.Read(path, maxBytes); err == nil {
			all = append(append(all, content...), '\n')
		}
	}
	return all, nil
}

package remote

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/internal/nodefile"
)

// Certificates are the files with client certificates that connections use now. As a
// prometheus.Collector they tell from when to when each certificate is valid, as its file has it when
// metrics are scraped. They are safe for concurrent use.
type Certificates struct {
	starts, ends *prometheus.Desc

	mu    sync.Mutex
	users map[string]int // by file
}

func newCertificates() *Certificates {
	return &Certificates{
		starts: prometheus.NewDesc("lanyard_client_certificate_start_timestamp_seconds", "From when the client certificate of a file of the configuration is valid; without a value while the file cannot be read.", []string{"file"}, nil),
		ends:   prometheus.NewDesc("lanyard_client_certificate_expiry_timestamp_seconds", "When the client certificate of a file of the configuration ends; without a value while the file cannot be read.", []string{"file"}, nil),
		users:  map[string]int{},
	}
}

// add counts users of a file; an empty name is none.
func (c *Certificates) add(file string, users int) {
	if file == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users[file] += users; c.users[file] <= 0 {
		delete(c.users, file)
	}
}

// Describe sends the descriptions of what Collect sends.
func (c *Certificates) Describe(to chan<- *prometheus.Desc) { to <- c.starts; to <- c.ends }

// Collect reads the files.
func (c *Certificates) Collect(to chan<- prometheus.Metric) {
	c.mu.Lock()
	files := make([]string, 0, len(c.users))
	for file := range c.users {
		files = append(files, file)
	}
	c.mu.Unlock()
	for _, file := range files {
		// The next handshake tells what is wrong with a file.
		if certificate, err := readCertificate(file); err == nil {
			to <- prometheus.MustNewConstMetric(c.starts, prometheus.GaugeValue, float64(certificate.NotBefore.Unix()), file)
			to <- prometheus.MustNewConstMetric(c.ends, prometheus.GaugeValue, float64(certificate.NotAfter.Unix()), file)
		}
	}
}

// readCertificate returns the first certificate of a PEM file, which is the client's own;
// its issuers follow.
func readCertificate(file string) (*x509.Certificate, error) {
	content, err := nodefile.Read(file, maxBytes)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
	return nil, errors.New("the file has no certificate")
}

package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"
)

// lifetime is how long certificates of the cluster are good for.
const lifetime = 7 * 24 * time.Hour

// The cluster's own certificate authority, below Dir.
const (
	authorityFile    = "ca.crt"
	authorityKeyFile = "ca.key"
	// administrator names the administrator's certificate and kubeconfig.
	administrator = "kubeconfig"
)

// makeCredentials makes the authority, the key that signs the tokens of service
// accounts, and what API servers and their administrator present.
func (c *Cluster) makeCredentials() error {
	if err := c.makeAuthority(); err != nil {
		return err
	}
	if err := c.makeTokenKey(); err != nil {
		return err
	}
	serving := []string{Address, "127.0.0.1", apiService, "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
	if err := c.Certificate("apiserver", pkix.Name{CommonName: "kube-apiserver"}, serving...); err != nil {
		return err
	}
	if err := c.Certificate("apiserver-kubelet", pkix.Name{CommonName: "kube-apiserver-kubelet", Organization: []string{"system:masters"}}); err != nil {
		return err
	}
	return c.Certificate(administrator, pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}})
}

// makeNodeCredentials makes what the other parts present, with their
// kubeconfigs.
func (c *Cluster) makeNodeCredentials() error {
	if err := c.writeKubeconfig(administrator, c.Server(), c.clientCertificate(administrator)); err != nil {
		return err
	}
	if err := c.Certificate("kubelet-serving", pkix.Name{CommonName: "system:node:" + Node, Organization: []string{"system:nodes"}}, Address); err != nil {
		return err
	}
	for file, subject := range map[string]pkix.Name{
		"controller-manager.kubeconfig": {CommonName: "system:kube-controller-manager"},
		"scheduler.kubeconfig":          {CommonName: "system:kube-scheduler"},
		"kubelet.kubeconfig":            {CommonName: "system:node:" + Node, Organization: []string{"system:nodes"}},
	} {
		if err := c.Certificate(file, subject); err != nil {
			return err
		}
		if err := c.writeKubeconfig(file, c.Server(), c.clientCertificate(file)); err != nil {
			return err
		}
	}
	return nil
}

// clientCertificate is a certificate that Certificate made, for a kubeconfig.
func (c *Cluster) clientCertificate(name string) credentials {
	certificate, key := c.CertificateFiles(name)
	return credentials{ClientCertificate: certificate, ClientKey: key}
}

// AuthorityFile is the path of the certificate, in PEM, of the authority that
// signs all others in the cluster.
func (c *Cluster) AuthorityFile() string { return c.Path(authorityFile) }

// CertificateFiles are the paths of the certificate and the key that
// Certificate makes under the name.
func (c *Cluster) CertificateFiles(name string) (certificate, key string) {
	return c.Path(name + ".crt"), c.Path(name + ".key")
}

// Certificate makes a certificate for clients and, if it has hosts, for
// servers, signed by the cluster's authority.
func (c *Cluster) Certificate(name string, subject pkix.Name, hosts ...string) error {
	authority, err := tls.LoadX509KeyPair(c.Path(authorityFile), c.Path(authorityKeyFile))
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template, err := certificateTemplate(subject)
	if err != nil {
		return err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for _, host := range hosts {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority.Leaf, key.Public(), authority.PrivateKey)
	if err != nil {
		return err
	}
	return c.writePair(name, der, key)
}

// makeAuthority makes the authority's own pair.
func (c *Cluster) makeAuthority() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template, err := certificateTemplate(pkix.Name{CommonName: "lanyard-cluster"})
	if err != nil {
		return err
	}
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	return c.writePair("ca", der, key)
}

// makeTokenKey makes the pair that signs and checks service account tokens.
func (c *Cluster) makeTokenKey() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := c.write("tokens.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})); err != nil {
		return err
	}
	return c.writeKey("tokens.key", key)
}

func certificateTemplate(subject pkix.Name) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: subject, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(lifetime),
	}, err
}

func (c *Cluster) writePair(name string, der []byte, key any) error {
	if err := c.write(name+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); err != nil {
		return err
	}
	return c.writeKey(name+".key", key)
}

func (c *Cluster) writeKey(name string, key any) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return c.write(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// Authority is the authority's certificate in PEM.
func (c *Cluster) Authority() ([]byte, error) { return os.ReadFile(c.Path(authorityFile)) }

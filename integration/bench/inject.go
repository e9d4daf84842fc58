package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	admission "k8s.io/api/admission/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/lanyardhq/lanyard/internal/freeport"
)

// podsPerSecond is how many pods the webhook is asked about in a second, at even
// distances: a large cluster that starts anew.
const podsPerSecond = 100

// measureInject measures how long API servers wait for the webhook: from the moment that a
// pod is due, so that a webhook that falls behind shows.
func measureInject(ctx context.Context, l *lab) ([]figure, error) {
	dir, err := l.newDir()
	if err != nil {
		return nil, err
	}
	authority, certFile, keyFile, err := selfSigned(dir)
	if err != nil {
		return nil, err
	}
	free, err := freeport.Find(1)
	if err != nil {
		return nil, err
	}
	address := "127.0.0.1:" + free[0]
	binary, err := filepath.Abs(l.binary)
	if err != nil {
		return nil, err
	}
	p, err := startProcess(dir, binary, "inject", "--namespace", "lanyard", "--tls-cert-file", certFile, "--tls-key-file", keyFile,
		"--address", address, "--admin-address", "", "--dialects", "vault-agent,bank-vaults", "--vault-address", "https://vault:8200", "--audience", "vault")
	if err != nil {
		return nil, err
	}
	defer p.stop()
	// API servers speak HTTP/2, over one connection.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority, MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	reviewed, err := reviews()
	if err != nil {
		return nil, err
	}
	review := func(i int) error {
		return admitted(ctx, client, "https://"+address+"/mutate", reviewed[i%len(reviewed)])
	}
	for begun := time.Now(); review(0) != nil; {
		if time.Since(begun) > readyWithin || ctx.Err() != nil {
			return nil, fmt.Errorf("the webhook does not answer:\n%s", p.printed())
		}
		time.Sleep(10 * time.Millisecond)
	}

	waits := make([]float64, podsPerSecond*l.samples(20))
	failed := make([]error, len(waits))
	var pending sync.WaitGroup
	begun := time.Now()
	for i := range waits {
		due := begun.Add(time.Duration(i) * time.Second / podsPerSecond)
		time.Sleep(time.Until(due))
		pending.Go(func() {
			failed[i] = review(i)
			waits[i] = ms(time.Since(due))
		})
	}
	pending.Wait()
	for _, err := range failed {
		if err != nil {
			return nil, fmt.Errorf("%w\n%s", err, p.printed())
		}
	}
	at, err := memoryOf(p.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	waited := summarize("ms", waits)
	return []figure{
		figure{
			What: fmt.Sprintf("the webhook asked about %d pods a second: p99", podsPerSecond), Unit: "ms", Value: waited.P99,
			Samples: map[string]summary{"review": waited}, Note: "pods of three dialects, with up to 12 containers",
		}.held(atMost, 50, "50 ms"),
		{What: "the same: resident memory of the webhook", Unit: "MiB", Value: at.resident, Note: at.note()},
	}, nil
}

// admitted asks about a pod, which must be admitted and changed.
func admitted(ctx context.Context, client *http.Client, url string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var answer admission.AdmissionReview
	if err := json.Unmarshal(text, &answer); err != nil || answer.Response == nil || !answer.Response.Allowed || len(answer.Response.Patch) == 0 {
		return fmt.Errorf("the webhook answered %s: %s", response.Status, text)
	}
	return nil
}

// reviews are pods of each kind that API servers ask about.
func reviews() ([][]byte, error) {
	containers := func(n int, env ...core.EnvVar) []core.Container {
		made := make([]core.Container, n)
		for i := range made {
			made[i] = core.Container{Name: fmt.Sprint("container-", i), Image: "example.com/app:1", Command: []string{"/app"}, Env: env}
		}
		return made
	}
	pods := []core.Pod{
		{ObjectMeta: meta.ObjectMeta{Annotations: map[string]string{"lanyard.dev/inject": "files", "lanyard.dev/class": "web"}}, Spec: core.PodSpec{Containers: containers(2)}},
		{ObjectMeta: meta.ObjectMeta{Annotations: map[string]string{
			"vault.hashicorp.com/agent-inject": "true", "vault.hashicorp.com/role": "web", "vault.hashicorp.com/agent-inject-secret-db": "secret/data/db",
		}}, Spec: core.PodSpec{Containers: containers(12)}},
		{ObjectMeta: meta.ObjectMeta{Annotations: map[string]string{"vault.security.banzaicloud.io/vault-role": "web"}},
			Spec: core.PodSpec{Containers: containers(3, core.EnvVar{Name: "PASSWORD", Value: "vault:secret/data/db#password"})}},
	}
	bodies := make([][]byte, 0, len(pods))
	for _, pod := range pods {
		pod.TypeMeta = meta.TypeMeta{APIVersion: "v1", Kind: "Pod"}
		pod.GenerateName, pod.Namespace, pod.Spec.ServiceAccountName = "web-", "team", "web"
		raw, err := json.Marshal(pod)
		if err != nil {
			return nil, err
		}
		body, err := json.Marshal(admission.AdmissionReview{
			TypeMeta: meta.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
			Request: &admission.AdmissionRequest{
				UID: "bench", Resource: meta.GroupVersionResource{Version: "v1", Resource: "pods"}, Operation: admission.Create,
				Namespace: "team", Object: runtime.RawExtension{Raw: raw},
			},
		})
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	return bodies, nil
}

// selfSigned writes a certificate of 127.0.0.1 and its key.
func selfSigned(dir string) (authority *x509.CertPool, certFile, keyFile string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, "", "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, "", "", err
	}
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})
	if err := os.WriteFile(certFile, certPEM, 0o600); err != nil {
		return nil, "", "", err
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return nil, "", "", err
	}
	authority = x509.NewCertPool()
	authority.AppendCertsFromPEM(certPEM)
	return authority, certFile, keyFile, nil
}

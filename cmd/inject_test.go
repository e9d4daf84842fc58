package cmd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/internal/freeport"
	"github.com/lanyardhq/lanyard/server/inject"
)

// What is printed of pods in manifests.
func TestInjectGolden(t *testing.T) { commandGoldens(t, "testdata/inject", "pods.yaml") }

// selfSigned writes a certificate for localhost, and returns a client that trusts it.
func selfSigned(t *testing.T, certFile, keyFile string) *http.Client {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
	}, &x509.Certificate{SerialNumber: big.NewInt(1)}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made})
	err = errors.Join(err, os.WriteFile(certFile, cert, 0o600), os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}}}
}

// A webhook with a certificate of files answers until it is stopped, and ends then.
func TestInjectServes(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	client := selfSigned(t, certFile, keyFile)
	free, err := freeport.Find(1)
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + free[0]
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	root := newRoot()
	root.SetArgs([]string{"inject", "--namespace", "lanyard", "--address", address, "--admin-address", "", "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--shutdown-delay", "0s"})
	root.SetErr(io.Discard)
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(ctx) }()
	const review = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"7","operation":"CREATE","namespace":"NAMESPACE","resource":{"group":"","version":"v1","resource":"pods"},` +
		`"object":{"metadata":{"annotations":{"lanyard.dev/inject":"files","lanyard.dev/class":"web"}},"spec":{"containers":[{"name":"web"}]}}}}`
	for namespace, want := range map[string]string{"shop": `"patch":`, "lanyard": `{"uid":"7","allowed":true}`} {
		var answer []byte
		for {
			r, err := client.Post("https://"+address+"/mutate", "application/json", strings.NewReader(strings.Replace(review, "NAMESPACE", namespace, 1)))
			if err == nil {
				answer, err = io.ReadAll(r.Body)
				r.Body.Close()
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			select {
			case err := <-ended:
				t.Fatal("it ended: ", err)
			case <-time.After(10 * time.Millisecond):
			}
		}
		if !bytes.Contains(answer, []byte(want)) {
			t.Errorf("of %s it says %s", namespace, answer)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// The agents of golden pods are called with flags that lanyard agent has.
// A configuration that no agent can use would stop every pod that is injected.
func TestInjectRefusesAConfigurationThatAgentsCannotUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.yaml")
	for text, wants := range map[string][]string{
		"cache:\n  refresh: soon\nstores:\n  v: {type: nosuch}\n": {":2: cache.refresh: must be a duration", ":4: stores.v.type: unknown type"},
		"stores:\n  v: {type: nosuch}\n":                          {":2: stores.v.type: unknown type"},
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := runLanyard("inject", "--image", "lanyard", "--agent-config", path)
		for _, want := range wants {
			if code != exitUsage || !strings.Contains(stderr, path+want) {
				t.Errorf("ended with %d: %s, want %q", code, stderr, want)
			}
		}
	}
}

func TestInjectedAgentsAreCalledWithFlagsThatThereAre(t *testing.T) {
	files, err := filepath.Glob("../server/inject/testdata/*.golden")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	agents := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(text), "---\n") {
			var pod struct {
				Spec struct {
					InitContainers []struct {
						Name string
						Args []string
					}
				}
			}
			if err := yaml.Unmarshal([]byte(document), &pod); err != nil {
				t.Fatal(err)
			}
			for _, c := range pod.Spec.InitContainers {
				if len(c.Args) == 0 || c.Args[0] != "agent" {
					continue
				}
				agents++
				if err := newAgent().ParseFlags(c.Args[1:]); err != nil {
					t.Errorf("%s: %s: %v", file, c.Name, err)
				}
			}
		}
	}
	if agents < 40 {
		t.Errorf("only %d agents", agents)
	}
}

// What the webhook gives to agents in golden pods is what agents take.
func TestInjectedAgentsTakeWhatTheyAreGiven(t *testing.T) {
	files, err := filepath.Glob("../server/inject/testdata/*.golden")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	taken := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(text), "---\n") {
			var pod struct{ Annotations map[string]string }
			if err := yaml.Unmarshal([]byte(document), &pod); err != nil {
				t.Fatal(err)
			}
			for name, text := range pod.Annotations {
				var given inject.Given
				switch name {
				case "lanyard.dev/vault-agent-config", "lanyard.dev/references-config":
					given.Config = text
				case "lanyard.dev/agent-class":
					given.Class = text
				default:
					continue
				}
				taken++
				for _, problem := range agentWould(given, true) {
					t.Errorf("%s: %s: %s\n%s", file, name, problem, text)
				}
			}
		}
	}
	if taken < 60 {
		t.Errorf("only %d texts", taken)
	}
}

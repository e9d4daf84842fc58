package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	kmsapi "k8s.io/kms/apis/v2"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
)

const (
	// kmsDelay is the way to a cloud's key service in the same region and back.
	kmsDelay = 10 * time.Millisecond
	// kmsProbe is how often the plugin is told to try its key.
	kmsProbe = 2 * time.Second
	// kmsSeed is what API servers encrypt, in bytes.
	kmsSeed = 32
)

// measureKMS measures the KMS plugin's calls as the API server makes them, over a
// key of Vault's Transit engine. The floor is the same request at Vault itself,
// through the same proxy.
func measureKMS(ctx context.Context, l *lab) (_ []figure, err error) {
	proxy, err := l.proxy(ctx, kmsDelay)
	if err != nil {
		return nil, err
	}
	defer proxy.Close()
	if err := l.vault.Call(ctx, http.MethodPost, "sys/mounts/transit", map[string]any{"type": "transit"}, nil); err != nil {
		return nil, err
	}
	if err := l.vault.Call(ctx, http.MethodPost, "transit/keys/bench", map[string]any{"derived": true}, nil); err != nil {
		return nil, err
	}
	plugin, err := l.startKMS(ctx, proxy)
	if err != nil {
		return nil, err
	}
	defer plugin.stop()
	conn, err := grpc.NewClient("unix:"+plugin.socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	client := kmsapi.NewKeyManagementServiceClient(conn)
	if err := awaitKey(ctx, client); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, plugin.printed())
	}
	added, err := l.addedByKMS(ctx, client, transit{client: &http.Client{}, address: proxy.Address, token: l.vault.RootToken})
	if err != nil {
		return nil, err
	}
	status, err := statusCosts(ctx, client, proxy)
	return append(added, status...), err
}

// kmsProcess is a plugin in a process of its own.
type kmsProcess struct {
	*process
	socket string
}

func (l *lab) startKMS(ctx context.Context, proxy *faultproxy.Proxy) (*kmsProcess, error) {
	dir, err := l.newDir()
	if err != nil {
		return nil, err
	}
	token, ring, socket := filepath.Join(dir, "token"), filepath.Join(dir, "ring.yaml"), filepath.Join(dir, "kms.sock")
	text := fmt.Sprintf("kind: lanyard.kms-ring.v1\nkeys:\n- name: bench\n  state: write\n  cluster: bench\n  service: {type: vault, address: %q, key: bench, auth: {method: tokenFile, tokenFile: %s}}\n", proxy.Address, token)
	if err := errors.Join(os.WriteFile(token, []byte(l.vault.RootToken), 0o600), os.WriteFile(ring, []byte(text), 0o600)); err != nil {
		return nil, err
	}
	p, err := startProcess(dir, l.binary, "kms", "--ring", ring, "--socket", socket, "--admin-address", "", "--probe-interval", kmsProbe.String())
	if err != nil {
		return nil, err
	}
	if err := p.awaitSocket(ctx, socket); err != nil {
		p.stop()
		return nil, err
	}
	return &kmsProcess{p, socket}, nil
}

// awaitKey waits until the plugin has a key to write with.
func awaitKey(ctx context.Context, client kmsapi.KeyManagementServiceClient) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		status, err := client.Status(ctx, &kmsapi.StatusRequest{})
		if err == nil && status.GetHealthz() == "ok" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the plugin has no key: %q, %w", status.GetHealthz(), errors.Join(err, ctx.Err()))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// addedByKMS is what Encrypt and Decrypt cost beside Vault's own round trip.
func (l *lab) addedByKMS(ctx context.Context, client kmsapi.KeyManagementServiceClient, vault transit) ([]figure, error) {
	seed := bytes.Repeat([]byte{7}, kmsSeed)
	sealed, err := client.Encrypt(ctx, &kmsapi.EncryptRequest{Plaintext: seed})
	if err != nil {
		return nil, err
	}
	// Vault itself gets what the plugin gives it: as many bytes, bound likewise.
	bound := base64.StdEncoding.EncodeToString([]byte("lanyard context v1" + string(make([]byte, 48))))
	plain := base64.StdEncoding.EncodeToString(append(make([]byte, 33), seed...))
	made, err := vault.call(ctx, "encrypt", map[string]string{"plaintext": plain, "context": bound})
	if err != nil {
		return nil, err
	}
	var figures []figure
	for _, one := range []struct {
		name        string
		own, floors func() error
	}{
		{"Encrypt", func() error {
			_, err := client.Encrypt(ctx, &kmsapi.EncryptRequest{Plaintext: seed})
			return err
		}, func() error {
			_, err := vault.call(ctx, "encrypt", map[string]string{"plaintext": plain, "context": bound})
			return err
		}},
		{"Decrypt", func() error {
			answer, err := client.Decrypt(ctx, &kmsapi.DecryptRequest{Ciphertext: sealed.GetCiphertext(), KeyId: sealed.GetKeyId(), Annotations: sealed.GetAnnotations()})
			if err == nil && !bytes.Equal(answer.GetPlaintext(), seed) {
				err = errors.New("another seed was decrypted than was encrypted")
			}
			return err
		}, func() error {
			_, err := vault.call(ctx, "decrypt", map[string]string{"ciphertext": made, "context": bound})
			return err
		}},
	} {
		own, floor := []float64{}, []float64{}
		timed := func(call func() error, into *[]float64) func() error {
			return func() error {
				start := time.Now()
				err := call()
				*into = append(*into, ms(time.Since(start)))
				return err
			}
		}
		if err := alternate(l.samples(500), timed(one.own, &own), timed(one.floors, &floor)); err != nil {
			return nil, err
		}
		plugin, service := summarize("ms", own), summarize("ms", floor)
		f := figure{
			What: "KMS " + one.name + ", key service 10 ms away: p50", Unit: "ms", Value: plugin.P50, Floor: service.P50,
			Note: "floor: the same call at the key service", Samples: map[string]summary{"plugin": plugin, "floor": service}, Chart: "KMS " + one.name,
		}
		if one.name == "Decrypt" {
			f.Headline = "KMS plugin, Decrypt, key service 10 ms away: p50 (floor: without the plugin)"
		}
		figures = append(figures, f.held(atMost, service.P50*1.1, "floor × 1.1"))
	}
	return figures, nil
}

// statusCosts counts what reaches the key service while the API server asks for
// the status all the time and nothing is encrypted.
func statusCosts(ctx context.Context, client kmsapi.KeyManagementServiceClient, proxy *faultproxy.Proxy) ([]figure, error) {
	const lasts = 5 * kmsProbe
	proxy.Reset()
	start, calls := time.Now(), 0
	for time.Since(start) < lasts {
		if _, err := client.Status(ctx, &kmsapi.StatusRequest{}); err != nil {
			return nil, err
		}
		calls++
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	// One probe is an Encrypt and a Decrypt; one more may end as the time begins.
	probes := int(time.Since(start)/kmsProbe) + 1
	remote := proxy.Count("", "")
	f := figure{
		What: fmt.Sprintf("remote calls of %d KMS Status calls in %s", calls, lasts), Unit: "calls", Value: float64(remote),
		Note: fmt.Sprintf("a probe each %s is 2 calls", kmsProbe),
	}
	return []figure{f.held(atMost, float64(2*probes), "2 for each probe that is due")}, nil
}

// transit calls a key of Vault's Transit engine as plainly as can be.
type transit struct {
	client         *http.Client
	address, token string
}

// call returns the ciphertext or plaintext that was answered.
func (t transit) call(ctx context.Context, operation string, body map[string]string) (string, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, t.address+"/v1/transit/"+operation+"/bench", bytes.NewReader(encoded))
	if err != nil {
		return "", err
	}
	request.Header.Set("X-Vault-Token", t.token)
	response, err := t.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close() //nolint:errcheck // it is read
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	var answer struct {
		Data struct {
			Ciphertext string `json:"ciphertext"`
			Plaintext  string `json:"plaintext"`
		} `json:"data"`
	}
	if err := json.Unmarshal(data, &answer); err != nil || response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("vault answered %s to %s", response.Status, operation)
	}
	return answer.Data.Ciphertext + answer.Data.Plaintext, nil
}

package hostile

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	kmsapi "k8s.io/kms/apis/v2"

	"github.com/lanyardhq/lanyard/integration/kmsplugin"
)

// kmsMemory is the limit of the plugin's static pod in MiB.
const kmsMemory = 128

// apiServer is what an API server asks of the plugin: its state, and a value that is
// encrypted and decrypted again. Its calls may take three seconds.
type apiServer struct {
	client kmsapi.KeyManagementServiceClient

	mu     sync.Mutex
	calls  int
	worst  time.Duration
	failed []error
}

func (s *apiServer) round() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	status, err := s.client.Status(ctx, &kmsapi.StatusRequest{})
	if err != nil {
		return err
	}
	if status.GetHealthz() != "ok" {
		return errors.New(status.GetHealthz())
	}
	sealed, err := s.client.Encrypt(ctx, &kmsapi.EncryptRequest{Plaintext: []byte("a seed of the API server's data"), Uid: "1"})
	if err != nil {
		return err
	}
	opened, err := s.client.Decrypt(ctx, &kmsapi.DecryptRequest{Ciphertext: sealed.GetCiphertext(), KeyId: sealed.GetKeyId(), Annotations: sealed.GetAnnotations(), Uid: "2"})
	if err != nil {
		return err
	}
	if string(opened.GetPlaintext()) != "a seed of the API server's data" {
		return errors.New("another value was decrypted")
	}
	return nil
}

// live makes a round every 100 ms until ctx ends.
func (s *apiServer) live(ctx context.Context) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for ctx.Err() == nil {
		start := time.Now()
		err := s.round()
		s.mu.Lock()
		s.calls++
		s.worst = max(s.worst, time.Since(start))
		if err != nil {
			s.failed = append(s.failed, err)
		}
		s.mu.Unlock()
		<-ticker.C
	}
}

func connectKMS(t *testing.T, socket string) kmsapi.KeyManagementServiceClient {
	t.Helper()
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return kmsapi.NewKeyManagementServiceClient(connection)
}

// connections opens so many and writes to each what first returns.
func connections(ctx context.Context, network, address string, count int, first []byte) {
	for range count {
		connection, err := net.DialTimeout(network, address, time.Second)
		if err != nil {
			break
		}
		defer connection.Close()
		_ = connection.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = connection.Write(first)
	}
	<-ctx.Done()
}

// A plugin that many connect to, and say what no API server says, serves its API server.
func TestTheKMSPluginServesItsAPIServer(t *testing.T) {
	parts, err := kmsplugin.Setup(t.Context(), os.Stderr, "-trimpath")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = parts.Close() })
	vault, err := parts.Vault(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plugin, err := vault.Plugin(kmsplugin.Options{Settings: "settle: 0s\n", Metrics: true}, "one", "write")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plugin.Close() })
	if err := plugin.Start(); err != nil {
		t.Fatal(err)
	}
	client, mallory := connectKMS(t, plugin.Socket), connectKMS(t, plugin.Socket)
	victim := &apiServer{client: client}
	for end := time.Now().Add(30 * time.Second); victim.round() != nil && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	noise := make([]byte, 1<<20)
	_, _ = rand.Read(noise) // it never fails
	calls := func(count int, call func(ctx context.Context) error) func(context.Context) {
		return func(ctx context.Context) {
			var all sync.WaitGroup
			for range count {
				all.Go(func() {
					for ctx.Err() == nil {
						if call(ctx) != nil {
							time.Sleep(time.Millisecond)
						}
					}
				})
			}
			all.Wait()
		}
	}
	// They are made once, and sent by a few: what they cost the attacker in this process
	// the victim in this process has to wait for.
	annotations := map[string][]byte{}
	for i := range 10_000 {
		annotations[fmt.Sprint(i)] = noise[i : i+64]
	}
	preface := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	settings := append(bytes.Clone(preface), 0, 0, 0, 4, 0, 0, 0, 0, 0)
	all := []kmsAttack{
		{"4,000 connections to the admin port", func(ctx context.Context) { connections(ctx, "tcp", plugin.AdminAddress(), 4000, nil) }},
		{"4,000 headers that do not end", func(ctx context.Context) {
			connections(ctx, "tcp", plugin.AdminAddress(), 4000, []byte("GET /metrics HTTP/1.1\r\nX: "+strings.Repeat("x", 4000)))
		}},
		{"4,000 connections to the socket", func(ctx context.Context) { connections(ctx, "unix", plugin.Socket, 4000, nil) }},
		{"1,000 connections that begin and stop", func(ctx context.Context) {
			connections(ctx, "unix", plugin.Socket, 1000, append(bytes.Clone(settings), 0, 0x40, 0, 1, 4, 0, 0, 0, 1))
		}},
		{"noise", func(ctx context.Context) { connections(ctx, "unix", plugin.Socket, 1000, noise[:64<<10]) }},
		{"noise after the preface", func(ctx context.Context) {
			connections(ctx, "unix", plugin.Socket, 1000, append(bytes.Clone(settings), noise[:64<<10]...))
		}},
		{"ciphertexts of 1 MiB", calls(16, func(ctx context.Context) error {
			_, err := mallory.Decrypt(ctx, &kmsapi.DecryptRequest{Ciphertext: noise, KeyId: "x", Uid: "3"})
			return err
		})},
		{"values of 1 MiB", calls(16, func(ctx context.Context) error {
			_, err := mallory.Encrypt(ctx, &kmsapi.EncryptRequest{Plaintext: noise, Uid: "4"})
			return err
		})},
		{"10,000 annotations", calls(4, func(ctx context.Context) error {
			_, err := mallory.Decrypt(ctx, &kmsapi.DecryptRequest{Ciphertext: noise[:64], KeyId: "x", Annotations: annotations, Uid: "5"})
			return err
		})},
	}
	var text strings.Builder
	for _, attack := range append([]kmsAttack{{"nobody attacks", nil}}, append(all, kmsAttack{"all together", func(ctx context.Context) {
		var running sync.WaitGroup
		for _, attack := range all {
			running.Go(func() { attack.run(ctx) })
		}
		running.Wait()
	}})...) {
		victim.calls, victim.worst, victim.failed = 0, 0, nil
		ctx, cancel := context.WithTimeout(context.Background(), *each)
		var running sync.WaitGroup
		if attack.run != nil {
			running.Go(func() { attack.run(ctx) })
		}
		var resident float64
		running.Go(func() {
			for ctx.Err() == nil {
				if mib, err := residentOf(plugin.PID()); err == nil {
					resident = max(resident, mib)
				}
				time.Sleep(50 * time.Millisecond)
			}
		})
		victim.live(ctx)
		running.Wait()
		cancel()
		fmt.Fprintf(&text, "%-40s %4d rounds, %3d failed, longest %8v, %4.0f MiB\n", attack.name, victim.calls, len(victim.failed), victim.worst.Round(time.Millisecond), resident)
		if len(victim.failed) > 0 {
			t.Errorf("%s: %d of %d rounds failed: %v", attack.name, len(victim.failed), victim.calls, victim.failed[0])
		}
		if resident > kmsMemory {
			t.Errorf("%s: %.0f MiB resident, the static pod's limit is %d", attack.name, resident, kmsMemory)
		}
	}
	t.Log("\n" + text.String())
	if err := plugin.Stop(); err != nil {
		t.Error(err)
	}
}

// kmsAttack is one way to harm a plugin; it goes on until ctx ends.
type kmsAttack struct {
	name string
	run  func(ctx context.Context)
}

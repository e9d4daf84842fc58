package kms

import (
	"context"

	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	kmsapi "k8s.io/kms/apis/v2"

	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/kmsring"
	"github.com/lanyardhq/lanyard/provider/kmsring/ringtest"
	"github.com/lanyardhq/lanyard/server/socket"
)

// roundTripTime is that of a key service nearby.
const roundTripTime = 5 * time.Millisecond

// BenchmarkCalls measures the API server's calls through a socket, with a key
// service that takes roundTripTime: what is above it is the plugin's.
func BenchmarkCalls(b *testing.B) {
	keys := ringtest.New()
	ring, err := kmsring.Parse([]byte(head+ringKey("a", "write", "")), []key.Type{keys})
	if err != nil {
		b.Fatal(err)
	}
	server := New(Options{Ring: ring, Metrics: NewMetrics(prometheus.NewRegistry())})
	path := filepath.Join(b.TempDir(), "kms.sock")
	listener, err := socket.Listen(b.Context(), path)
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = conn.Close()
		server.Stop(context.Background())
		if err := <-served; err != nil {
			b.Error(err)
		}
		ring.Close()
	})
	if !server.service.probe(b.Context()) {
		b.Fatal("the probe failed")
	}
	client := kmsapi.NewKeyManagementServiceClient(conn)
	sealed, err := client.Encrypt(b.Context(), &kmsapi.EncryptRequest{Plaintext: make([]byte, probeSize)})
	if err != nil {
		b.Fatal(err)
	}
	keys.Fail(func(context.Context, string, string) error { time.Sleep(roundTripTime); return nil })
	for name, call := range map[string]func() error{
		"status": func() error { _, err := client.Status(b.Context(), &kmsapi.StatusRequest{}); return err },
		"encrypt": func() error {
			_, err := client.Encrypt(b.Context(), &kmsapi.EncryptRequest{Plaintext: make([]byte, probeSize)})
			return err
		},
		"decrypt": func() error {
			_, err := client.Decrypt(b.Context(), &kmsapi.DecryptRequest{Ciphertext: sealed.GetCiphertext(), KeyId: sealed.GetKeyId(), Annotations: sealed.GetAnnotations()})
			return err
		},
		"key service alone": func() error { time.Sleep(roundTripTime); return nil },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

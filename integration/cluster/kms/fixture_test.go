// Package kms holds `lanyard kms` to what it promises on real API servers: an
// etcd, kube-apiserver processes on it with automatic reload of their
// encryption configuration, a plugin process for each, and a real Vault. It
// needs neither root nor a node, and runs beside a cluster.
//
// What upstream's client code alone can show is in the package of the same name
// above.
package kms

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/kmsplugin"
)

// provider is the plugin's name in every EncryptionConfiguration, and prefix
// what etcd holds before what it encrypted.
const (
	provider = "lanyard"
	prefix   = "k8s:enc:kms:v2:" + provider + ":"
)

// parts are the Vault and the binary of all tests.
var parts *kmsplugin.Parts

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if parts, err = kmsplugin.Setup(context.Background(), os.Stderr); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, parts.Close()) }()
	return m.Run(), nil
}

// bench is a control plane with plugins over one Transit engine.
type bench struct {
	*testing.T
	*cluster.Plane
	vault     *kmsplugin.Vault
	directory string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	vault, err := parts.Vault(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	plane, err := cluster.NewPlane(t.Context(), directory)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, Plane: plane, vault: vault, directory: directory}
	t.Cleanup(func() {
		if err := plane.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// plugin makes a plugin whose ring has the keys, pairs of a name and a state,
// and starts it.
func (b *bench) plugin(keys ...string) *kmsplugin.Plugin {
	b.Helper()
	return b.pluginWith(kmsplugin.Options{Settings: "settle: 0s\n"}, keys...)
}

func (b *bench) pluginWith(opts kmsplugin.Options, keys ...string) *kmsplugin.Plugin {
	b.Helper()
	p, err := b.vault.Plugin(opts, keys...)
	b.must(err)
	b.Cleanup(func() {
		if err := p.Close(); err != nil {
			b.Error(err)
		}
		if b.Failed() {
			printed := p.Output()
			b.Logf("the plugin printed:\n%s", printed[max(0, len(printed)-8<<10):])
		}
	})
	b.must(p.Start())
	return p
}

// configured is a real API server that encrypts Secrets.
type configured struct {
	*cluster.APIServer
	*testing.T
	// configuration is the path of its EncryptionConfiguration.
	configuration string
	kube          *kubernetes.Clientset
}

// apiServer makes an API server with an EncryptionConfiguration, and does not
// start it.
func (b *bench) apiServer(configuration string) *configured {
	b.Helper()
	file, err := os.CreateTemp(b.directory, "encryption-*.yaml")
	b.must(err)
	b.must(file.Close())
	b.must(writeFile(file.Name(), configuration))
	server, err := b.APIServer("--encryption-provider-config="+file.Name(), "--encryption-provider-config-automatic-reload=true")
	b.must(err)
	config, err := server.Config()
	b.must(err)
	kube, err := kubernetes.NewForConfig(config)
	b.must(err)
	return &configured{APIServer: server, T: b.T, configuration: file.Name(), kube: kube}
}

// start starts API servers side by side and waits until they are ready.
func (b *bench) start(servers ...*configured) {
	b.Helper()
	for _, a := range servers {
		b.must(a.Start(b.Context()))
	}
	for _, a := range servers {
		b.must(a.Await(b.Context()))
	}
}

// configuration is an EncryptionConfiguration for Secrets with the providers,
// the first of which writes.
func configuration(providers ...string) string {
	return "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n" +
		strings.Join(providers, "")
}

const identity = "  - identity: {}\n"

func kms(p *kmsplugin.Plugin) string {
	return fmt.Sprintf("  - kms: {apiVersion: v2, name: %s, endpoint: \"unix://%s\", timeout: 3s}\n", provider, p.Socket)
}

// aes is a provider with a key of its own: aescbc, aesgcm or secretbox.
func aes(kind string, key []byte) string {
	return fmt.Sprintf("  - %s: {keys: [{name: key1, secret: %s}]}\n", kind, base64.StdEncoding.EncodeToString(key))
}

// reconfigure replaces the EncryptionConfiguration, which the API server reads
// again within a minute.
func (a *configured) reconfigure(configuration string) {
	a.Helper()
	next := a.configuration + ".next"
	if err := writeFile(next, configuration); err != nil {
		a.Fatal(err)
	}
	if err := os.Rename(next, a.configuration); err != nil {
		a.Fatal(err)
	}
}

// namespace is where the tests' Secrets are.
const namespace = "default"

// value is what each Secret holds.
const value = "hunter2-is-in-no-place-but-here"

func secret(name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Data: map[string][]byte{"password": []byte(value)}}
}

// create creates n Secrets named prefix and a number, at several API servers.
func (b *bench) create(n int, servers ...*configured) {
	b.Helper()
	b.eachOf(n, func(ctx context.Context, i int) error {
		_, err := servers[i%len(servers)].kube.CoreV1().Secrets(namespace).Create(ctx, secret(secretName(i)), metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil // written by a try whose answer from etcd was lost
		}
		return err
	})
}

func secretName(i int) string { return fmt.Sprintf("s-%05d", i) }

// eachOf does something for each number below n, several at a time, and ends
// the test if one fails.
func (b *bench) eachOf(n int, do func(ctx context.Context, i int) error) {
	b.Helper()
	const workers = 16
	var all sync.WaitGroup
	failed := make(chan error, workers)
	for w := range workers {
		all.Go(func() {
			for i := w; i < n; i += workers {
				if err := do(b.Context(), i); err != nil {
					failed <- fmt.Errorf("%d: %w", i, err)
					return
				}
			}
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		b.Fatal(err)
	default:
	}
}

// stored are the Secrets' bytes in etcd.
func (b *bench) secrets() []cluster.KeyValue {
	b.Helper()
	stored, err := b.Stored(b.Context(), "/registry/secrets/"+namespace+"/")
	b.must(err)
	return stored
}

// lanyard runs a command of the binary at an API server, and returns what it
// printed to standard output and error.
func (b *bench) lanyard(p *kmsplugin.Plugin, args ...string) (stdout, stderr string, err error) {
	cmd := p.Command(args...)
	var out, problems strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &problems
	err = cmd.Run()
	return out.String(), problems.String(), err
}

// eventually waits until something holds.
func eventually(t *testing.T, within time.Duration, what string, holds func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = holds(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not within %s: %v", what, within, err)
}

func temporary(t *testing.T, name string) string { return filepath.Join(t.TempDir(), name) }

func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }

package dialects

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	secretsstore "sigs.k8s.io/secrets-store-csi-driver/pkg/secrets-store"

	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/integration/lanyardserver"
)

// node is a provider with the sockets of some dialects, and the driver's client.
type node struct {
	issuer   *issuer.Issuer
	provider *lanyardserver.Server
	driver   *secretsstore.PluginClientBuilder
	audience []string // of the tokens that pods have
	pods     atomic.Int64
}

// newNode starts a provider that answers as the names in dialects, separated by
// commas. Pods have a token for each audience.
func newNode(t *testing.T, dialects, config string, from *issuer.Issuer, audiences ...string) *node {
	t.Helper()
	n := &node{issuer: from, audience: audiences}
	n.provider = lanyardserver.New(t, lanyardserver.Options{Binary: binary, Config: config, Flags: []string{"--dialects", dialects}})
	n.driver = secretsstore.NewPluginClientBuilder([]string{n.provider.SocketDir})
	t.Cleanup(n.driver.Cleanup)
	return n
}

// pod is a pod as the kubelet tells the driver of it.
type pod struct {
	namespace, account, name, tokens, volume string
}

func (n *node) pod(t *testing.T, namespace, account string) pod {
	t.Helper()
	p := pod{namespace: namespace, account: account, name: fmt.Sprintf("%s-%d", account, n.pods.Add(1)), volume: t.TempDir()}
	type token struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expirationTimestamp"`
	}
	tokens := map[string]token{}
	for _, audience := range n.audience {
		expires := time.Now().Add(time.Hour)
		text, err := n.issuer.Token(issuer.Claims{
			Audience: audience, Namespace: namespace, ServiceAccount: account,
			UID: "uid-of-" + namespace + "-" + account, Pod: p.name, PodUID: "uid-of-" + p.name, Expires: expires,
		})
		if err != nil {
			t.Fatal(err)
		}
		tokens[audience] = token{text, expires}
	}
	p.tokens = mustJSON(t, tokens)
	return p
}

func mustJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// mount mounts the class into the pod's volume over the socket of the class's
// provider, as the driver does.
func (n *node) mount(ctx context.Context, p pod, class manifest) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute) // the kubelet's
	defer cancel()
	client, err := n.driver.Get(ctx, class.Spec.Provider)
	if err != nil {
		return err
	}
	attributes := map[string]string{
		"csi.storage.k8s.io/pod.name":              p.name,
		"csi.storage.k8s.io/pod.namespace":         p.namespace,
		"csi.storage.k8s.io/pod.uid":               "uid-of-" + p.name,
		"csi.storage.k8s.io/serviceAccount.name":   p.account,
		"csi.storage.k8s.io/ephemeral":             "true",
		"csi.storage.k8s.io/serviceAccount.tokens": p.tokens,
		"secretProviderClass":                      class.Metadata.Name,
	}
	maps.Copy(attributes, class.Spec.Parameters)
	text, err := json.Marshal(attributes)
	if err != nil {
		return err
	}
	_, _, err = secretsstore.MountContent(ctx, client, string(text), "null", p.volume, "420", nil)
	return err
}

// file is one file as the pod sees it.
type file struct {
	contents []byte
	mode     string // four octal digits
}

// files are the files of the pod's volume. Names with two dots before them are
// the driver's own; the others are links to what is behind those.
func (p pod) files(t *testing.T) map[string]file {
	t.Helper()
	files := map[string]file{}
	top, err := os.ReadDir(p.volume)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range top {
		if strings.HasPrefix(entry.Name(), "..") {
			continue
		}
		root, err := filepath.EvalSymlinks(filepath.Join(p.volume, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		err = filepath.WalkDir(root, func(path string, found fs.DirEntry, err error) error {
			if err != nil || found.IsDir() {
				return err
			}
			contents, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			info, err := found.Info()
			if err != nil {
				return err
			}
			below, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			files[filepath.ToSlash(filepath.Join(entry.Name(), below))] = file{contents, fmt.Sprintf("%04o", info.Mode().Perm())}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

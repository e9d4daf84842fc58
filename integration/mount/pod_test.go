package mount

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	secretsstore "sigs.k8s.io/secrets-store-csi-driver/pkg/secrets-store"

	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// pod is a pod as the kubelet tells the driver of it.
type pod struct {
	namespace, account, name, uid string
	// tokens are the pod's by audience, as the kubelet writes them.
	tokens map[string]token
	// credentials are what nodePublishSecretRef holds.
	credentials map[string]string
	// volume is where the driver writes.
	volume string
}

type token struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expirationTimestamp"`
}

// class is the parameters of a SecretProviderClass.
type class map[string]string

// asWeb is a class with the objects, whose Vault role is web.
func asWeb(objects string) class { return asRole("web", objects) }

func asRole(role, objects string) class {
	return class{"stores": "vault: {auth: {role: " + role + "}}", "objects": objects}
}

// pod makes a pod of the service account, with a token for Vault.
func (n *node) pod(t *testing.T, namespace, account string) pod {
	t.Helper()
	name := fmt.Sprintf("%s-%d", account, n.pods.Add(1))
	p := pod{namespace: namespace, account: account, name: name, uid: "uid-of-" + name, volume: t.TempDir()}
	p.tokens = map[string]token{"vault": n.token(t, p, "vault", time.Now().Add(time.Hour))}
	return p
}

func (n *node) token(t *testing.T, p pod, audience string, expires time.Time) token {
	t.Helper()
	return n.tokenOf(t, p, audience, time.Time{}, expires)
}

// tokenOf makes a token that is given out at a time; zero means now.
func (n *node) tokenOf(t *testing.T, p pod, audience string, issued, expires time.Time) token {
	t.Helper()
	text, err := n.issuer.Token(issuer.Claims{
		Issued:   issued,
		Audience: audience, Namespace: p.namespace, ServiceAccount: p.account,
		UID: "uid-of-" + p.namespace + "-" + p.account, Pod: p.name, PodUID: p.uid, Expires: expires,
	})
	if err != nil {
		t.Fatal(err)
	}
	return token{text, expires}
}

// attributes are the class's parameters with what the kubelet and the driver
// add.
func (p pod) attributes(c class) string {
	all := maps.Clone(c)
	if all == nil {
		all = class{}
	}
	all["csi.storage.k8s.io/pod.name"] = p.name
	all["csi.storage.k8s.io/pod.namespace"] = p.namespace
	all["csi.storage.k8s.io/pod.uid"] = p.uid
	all["csi.storage.k8s.io/serviceAccount.name"] = p.account
	all["csi.storage.k8s.io/ephemeral"] = "true"
	all["secretProviderClass"] = "web"
	if p.tokens != nil {
		all["csi.storage.k8s.io/serviceAccount.tokens"] = mustJSON(p.tokens)
	}
	return mustJSON(all)
}

func mustJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // maps of text always marshal
	}
	return string(text)
}

// mount mounts the class into the pod's volume as the driver does, and returns
// the versions.
func (n *node) mount(ctx context.Context, p pod, c class) (map[string]string, error) {
	return n.mountRaw(ctx, p, p.attributes(c))
}

func (n *node) mountRaw(ctx context.Context, p pod, attributes string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute) // the kubelet's
	defer cancel()
	if n.once != nil {
		return n.once.mount(ctx, p, attributes)
	}
	client, err := n.driver.Get(ctx, "lanyard")
	if err != nil {
		return nil, err
	}
	versions, _, err := secretsstore.MountContent(ctx, client, attributes, mustJSON(p.credentials), p.volume, "420", nil)
	return versions, err
}

// mounted is mount for what must succeed.
func (n *node) mounted(t *testing.T, p pod, c class) map[string]string {
	t.Helper()
	versions, err := n.mount(t.Context(), p, c)
	if err != nil {
		t.Fatal(err)
	}
	return versions
}

// refused is mount for what must fail with the code and leave no file. It
// returns the text that the pod's event shows.
func (n *node) refused(t *testing.T, p pod, c class, code codes.Code) string {
	t.Helper()
	return refusal(t, p, code, func() error { _, err := n.mount(t.Context(), p, c); return err })
}

func refusal(t *testing.T, p pod, code codes.Code, mount func() error) string {
	t.Helper()
	before := p.holds(t)
	err := mount()
	if err == nil {
		t.Fatalf("the mount succeeded; want %s", code)
	}
	got := status.Convert(err)
	var failed agentError // has no code
	if got.Code() != code && !errors.As(err, &failed) {
		t.Errorf("code %s, want %s: %s", got.Code(), code, got.Message())
	}
	if after := p.holds(t); !maps.Equal(before, after) {
		t.Errorf("a failed mount changed the volume from %v to %v", before, after)
	}
	return strings.TrimPrefix(got.Message(), retried)
}

// retried is what the gRPC client puts before the text of what was unavailable
// three times.
const retried = "max retries exhausted: failed after 3 attempts: rpc error: code = Unavailable desc = "

// holds are the files of the pod's volume, as the pod sees them.
func (p pod) holds(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	p.walk(t, func(path, file string, _ fs.FileMode) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		files[path] = string(text)
	})
	return files
}

// modes are the modes of the files of the pod's volume.
func (p pod) modes(t *testing.T) map[string]fs.FileMode {
	t.Helper()
	modes := map[string]fs.FileMode{}
	p.walk(t, func(path, _ string, mode fs.FileMode) { modes[path] = mode })
	return modes
}

// walk visits the files below the names that the pod sees, which are links of
// the driver's. Names with two dots before them are the driver's own.
func (p pod) walk(t *testing.T, visit func(path, file string, mode fs.FileMode)) {
	t.Helper()
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
		err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			visit(filepath.Join(entry.Name(), strings.TrimPrefix(file, root)), file, info.Mode())
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// written is different after each time that the driver wrote the volume.
func (p pod) written(t *testing.T) string {
	t.Helper()
	target, err := os.Readlink(filepath.Join(p.volume, "..data"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(filepath.Join(p.volume, "..data"))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(target, info.ModTime().UnixNano())
}

// scopeOf is the strictest scope for an object of the pod.
func scopeOf(p pod, object string) seal.Scope {
	return seal.Scope{Cluster: seal.Exact(cluster), Namespace: seal.Exact(p.namespace), ServiceAccount: seal.Exact(p.account), Object: seal.Exact(object)}
}

func sealTo(t *testing.T, key *seal.PublicKey, scope seal.Scope, value string) string {
	t.Helper()
	text, err := seal.Seal(key, scope, secret.NewString(value))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

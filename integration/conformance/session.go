package conformance

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	secretsstore "sigs.k8s.io/secrets-store-csi-driver/pkg/secrets-store"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

const (
	// driverPermission is what the driver sends as permission: 0644.
	driverPermission = "420"
	// kubeletTimeout is how long the kubelet waits for a mount.
	kubeletTimeout = 2 * time.Minute

	keyPrefix    = "csi.storage.k8s.io/"
	keyPod       = keyPrefix + "pod.name"
	keyNamespace = keyPrefix + "pod.namespace"
	keyUID       = keyPrefix + "pod.uid"
	keyAccount   = keyPrefix + "serviceAccount.name"
	keyEphemeral = keyPrefix + "ephemeral"
	keyTokens    = keyPrefix + "serviceAccount.tokens"
	keyClass     = "secretProviderClass"
)

// session is the driver's side of one check of a provider.
type session struct {
	Provider
	builder *secretsstore.PluginClientBuilder
	scratch string       // a directory of its own
	mark    string       // makes names and values of this session unlike those of others
	pods    atomic.Int64 // how many have been made
	point   string       // the one being checked, in the names of its secrets
	version string       // the provider's own, once it is known
}

func newSession(p Provider) (*session, error) {
	if err := p.complete(); err != nil {
		return nil, err
	}
	scratch, err := os.MkdirTemp("", "csi-conformance-")
	if err != nil {
		return nil, err
	}
	return &session{
		Provider: p, scratch: scratch, mark: hex.EncodeToString(randomBytes(4)),
		builder: secretsstore.NewPluginClientBuilder([]string{p.SocketDir}),
	}, nil
}

func (s *session) close() {
	s.builder.Cleanup()
	_ = os.RemoveAll(s.scratch) //nolint:errcheck // a temporary directory
}

func (s *session) socket() string { return filepath.Join(s.SocketDir, s.Name+".sock") }

func (s *session) client(ctx context.Context) (v1alpha1.CSIDriverProviderClient, error) {
	return s.builder.Get(ctx, s.Name)
}

// newPod makes a pod that was never mounted.
func (s *session) newPod(account Account) Pod {
	name := fmt.Sprintf("%s-%s-%d", account.Name, s.mark, s.pods.Add(1))
	return Pod{Account: account, Name: name, UID: "uid-of-" + name}
}

// secretName is the name of a secret of the point that is being checked.
func (s *session) secretName(name string) string { return s.mark + "-" + s.point + "-" + name }

// put makes a secret of the point that is being checked, and returns an object
// for it, whose file is <name>.txt.
func (s *session) put(ctx context.Context, owner Account, name string, value []byte) (Object, error) {
	full := s.secretName(name)
	if err := s.Put(ctx, owner, full, value); err != nil {
		return Object{}, fmt.Errorf("the store could not be prepared: %w", err)
	}
	return Object{Name: full, Path: name + ".txt"}, nil
}

// putNew is put with a value that nobody can guess.
func (s *session) putNew(ctx context.Context, owner Account, name string) (Object, []byte, error) {
	value := newValue()
	object, err := s.put(ctx, owner, name, value)
	return object, value, err
}

func newValue() []byte { return fmt.Appendf(nil, "value-%x", randomBytes(16)) }

func randomBytes(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.Read(data)
	return data
}

// call is one mount request before it is put into words.
type call struct {
	attributes map[string]string
	secrets    map[string]string
	permission string
	target     string
}

// newCall is what the driver sends for the pod and a class of owner's objects.
func (s *session) newCall(ctx context.Context, pod Pod, owner Account, objects ...Object) (*call, error) {
	class, err := s.Class(owner, objects)
	if err != nil {
		return nil, fmt.Errorf("the class could not be made: %w", err)
	}
	c := &call{attributes: maps.Clone(class), permission: driverPermission, target: filepath.Join(s.scratch, "pods", pod.UID, "volumes/kubernetes.io~csi/secrets/mount")}
	if c.attributes == nil {
		c.attributes = map[string]string{}
	}
	c.attributes[keyPod], c.attributes[keyNamespace], c.attributes[keyUID] = pod.Name, pod.Namespace, pod.UID
	c.attributes[keyAccount], c.attributes[keyEphemeral], c.attributes[keyClass] = pod.Account.Name, "true", "conformance"
	if s.Tokens != nil {
		tokens, err := s.Tokens(ctx, pod)
		if err != nil {
			return nil, fmt.Errorf("the pod's tokens could not be made: %w", err)
		}
		c.attributes[keyTokens] = jsonOf(tokens)
	}
	if s.Secrets != nil {
		c.secrets = s.Secrets(pod)
	}
	return c, nil
}

func (c *call) message() *v1alpha1.MountRequest {
	return &v1alpha1.MountRequest{
		Attributes: jsonOf(c.attributes), Secrets: jsonOf(c.secrets), TargetPath: c.target, Permission: c.permission,
	}
}

func jsonOf(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // maps of strings and times always marshal
	}
	return string(text)
}

// mount sends a request through the driver's client.
func (s *session) mount(ctx context.Context, message *v1alpha1.MountRequest) answer {
	ctx, cancel := context.WithTimeout(ctx, kubeletTimeout)
	defer cancel()
	client, err := s.client(ctx)
	if err != nil {
		return answer{err: err}
	}
	response, err := client.Mount(ctx, message)
	return answer{response, err}
}

// mountNew mounts owner's objects into a new pod of the same account.
func (s *session) mountNew(ctx context.Context, owner Account, objects ...Object) (answer, error) {
	return s.mountPod(ctx, s.newPod(owner), owner, objects...)
}

// mountPod mounts owner's objects into the pod. The error says that the request
// could not be made.
func (s *session) mountPod(ctx context.Context, pod Pod, owner Account, objects ...Object) (answer, error) {
	c, err := s.newCall(ctx, pod, owner, objects...)
	if err != nil {
		return answer{}, err
	}
	return s.mount(ctx, c.message()), nil
}

// eventually asks again until ok, or for as long as a changed value may take.
func (s *session) eventually(ctx context.Context, what string, ok func() (bool, error)) error {
	deadline := s.clock.now().Add(s.RotatesWithin)
	for {
		done, err := ok()
		if done || err != nil {
			return err
		}
		if s.clock.now().After(deadline) {
			return fmt.Errorf("%s was not there after %s", what, s.RotatesWithin)
		}
		if err := s.clock.pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// clock is what values grow old by. What happens to calls in flight does not
// go by it.
type clock interface {
	now() time.Time
	// pause returns d later, or with the context's error when that ends.
	pause(ctx context.Context, d time.Duration) error
}

type wallClock struct{}

func (wallClock) now() time.Time { return time.Now() }

func (wallClock) pause(ctx context.Context, d time.Duration) error { return pause(ctx, d) }

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

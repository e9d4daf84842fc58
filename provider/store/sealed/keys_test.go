package sealed_test

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

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/lanyardhq/lanyard/internal/strict"
	platform "github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/aws"
	"github.com/lanyardhq/lanyard/provider/key/local"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/sealed"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// localFile is a key file of a local key service.
func localFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString([]byte("a key for the tests of the store"))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pods is a kind of key service that knows pods: a role opens what is sealed for
// the namespace that it is called after, and pods of that namespace alone have
// the role. A local key does the work.
type pods struct {
	file string

	mu       sync.Mutex
	decrypts int
	open     int
	gate     chan struct{} // if not nil, what Decrypt waits for
	waiting  chan struct{} // gets one for each that waits
	fails    error
}

func (*pods) Name() string { return "pods" }

func (p *pods) Open(settings key.Settings) (key.Key, error) {
	var fields struct {
		Role string `yaml:"role"`
	}
	if err := strict.DecodeMap(settings.Fields, &fields); err != nil {
		return nil, fault.Fail(fault.ErrInvalid, err)
	}
	if fields.Role == "" || !settings.ByOperator {
		return nil, fault.Fail(fault.ErrInvalid, strict.Problems{{Field: "role", Text: "is missing"}})
	}
	opened, err := local.NewType().Open(key.Settings{Fields: map[string]any{"file": p.file}, ByOperator: true})
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open++
	return &podKey{Key: opened, service: p, role: fields.Role}, nil
}

type podKey struct {
	key.Key
	service *pods
	role    string
}

func (k *podKey) Decrypt(ctx context.Context, as identity.Identity, ciphertext key.Ciphertext, bound key.Context) (secret.Bytes, error) {
	k.service.mu.Lock()
	k.service.decrypts++
	fails, gate := k.service.fails, k.service.gate
	k.service.mu.Unlock()
	if gate != nil {
		k.service.waiting <- struct{}{}
		<-gate
	}
	switch {
	case fails != nil:
		return secret.Bytes{}, fails
	case key.IsNode(as):
		return secret.Bytes{}, fault.Fail(fault.ErrUnauthenticated, errors.New("the node is no pod"))
	case k.role != as.Namespace:
		return secret.Bytes{}, fault.Fail(fault.ErrUnauthenticated, fmt.Errorf("role %s is not of namespace %s", k.role, as.Namespace))
	case bound["namespace"] != k.role:
		return secret.Bytes{}, fault.Fail(fault.ErrDenied, fmt.Errorf("role %s may not open this context", k.role))
	}
	return k.Key.Decrypt(ctx, identity.Identity{}, ciphertext, bound)
}

func (k *podKey) Close() {
	k.service.mu.Lock()
	defer k.service.mu.Unlock()
	k.service.open--
}

func (p *pods) calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.decrypts
}

// with are the settings of a store with keys.
func with(keys ...map[string]any) store.Settings {
	list := make([]any, len(keys))
	for i, k := range keys {
		list[i] = k
	}
	return store.Settings{Fields: map[string]any{"keys": list}, ByOperator: true}
}

func keyOf(name, openAs string, service map[string]any) map[string]any {
	made := map[string]any{"name": name, "service": service}
	if openAs != "" {
		made["openAs"] = openAs
	}
	return made
}

// sealUnder seals with the local key of the file, under the name.
func sealUnder(t *testing.T, file, name string, scope seal.Scope, value string) string {
	t.Helper()
	opened, err := local.NewType().Open(key.Settings{Fields: map[string]any{"file": file}, ByOperator: true})
	if err != nil {
		t.Fatal(err)
	}
	service, err := seal.NewServiceKey(name, opened, true)
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	text, err := seal.SealWith(t.Context(), service, scope, secret.NewString(value))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestKeyServicesMeetTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *storetest.Fixture {
		file := localFile(t)
		other := web
		other.ServiceAccount = "api"
		good := sealUnder(t, file, "prod", scopeFor(web, "o"), "v")
		named := keyOf("prod", "node", map[string]any{"type": "local", "file": file})
		return &storetest.Fixture{
			Type:     newType(local.NewType()),
			Settings: with(named),
			Identity: web,
			Stranger: &other,
			Put: func(t *testing.T, name, value string) store.Reference {
				return store.Reference{Key: sealUnder(t, file, "prod", scopeFor(web, name), value), Object: name}
			},
			Invalid: map[string]store.Reference{
				"cut off":           {Key: good[:len(good)-40], Object: "o"},
				"under another key": {Key: sealUnder(t, file, "test", scopeFor(web, "o"), "v"), Object: "o"},
				"to a public key":   {Key: sealTo(t, newRing(t), scopeFor(web, "o"), "v"), Object: "o"},
			},
			InvalidSettings: map[string]store.Settings{
				"keyRing":                            {ByOperator: true},
				"keys[0].name":                       with(keyOf("a b", "", map[string]any{"type": "local", "file": file})),
				"keys[0].openAs":                     with(keyOf("prod", "root", map[string]any{"type": "local", "file": file})),
				"keys[0].service":                    with(keyOf("prod", "", nil)),
				"keys[0].service.type":               with(keyOf("prod", "", map[string]any{"type": "loc"})),
				"keys[0].service.file":               with(keyOf("prod", "", map[string]any{"type": "local", "file": "keys"})),
				"keys[0].service: has a placeholder": with(keyOf("prod", "node", map[string]any{"type": "local", "file": "/keys/{namespace}"})),
				"keys[1].name":                       with(named, named),
				"keys[1].service":                    {ByOperator: true, Fields: map[string]any{"keyRing": "/none", "keys": []any{named, keyOf("b", "", nil)}}},
				"refresh":                            {ByOperator: true, Fields: map[string]any{"keys": []any{named}, "refresh": "1ms"}},
			},
		}
	})
}

func TestOnlyTheOperatorNamesKeyServices(t *testing.T) {
	s := with(keyOf("prod", "node", map[string]any{"type": "local", "file": localFile(t)}))
	s.ByOperator = false
	_, err := newType(local.NewType()).Open(s)
	if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "operator") {
		t.Errorf("Open from a class: %v", err)
	}
	if len(newType().WorkloadSettings()) > 0 {
		t.Error("a class may set something")
	}
}

// One configuration serves every namespace with a role of its own, and the key
// service keeps them apart though Lanyard itself were fooled about the scope.
func TestOpensAsThePodWithItsNamespacesRole(t *testing.T) {
	service := &pods{file: localFile(t)}
	opened, err := newType(service).Open(with(keyOf("prod", "", map[string]any{"type": "pods", "role": "{namespace}"}), keyOf("fixed", "", map[string]any{"type": "pods", "role": "prod"})))
	if err != nil {
		t.Fatal(err)
	}
	batch := identity.Identity{Cluster: "dev", Namespace: "batch", ServiceAccount: "web"}
	anywhere := seal.Scope{Cluster: seal.Any(), Namespace: seal.Any(), ServiceAccount: seal.Any(), Object: seal.Any()}
	for name, c := range map[string]struct {
		text string
		as   identity.Identity
		want error
	}{
		"its own":                              {sealUnder(t, service.file, "prod", scopeFor(web, "o"), "v"), web, nil},
		"another namespace's own":              {sealUnder(t, service.file, "prod", scopeFor(batch, "o"), "v"), batch, nil},
		"with a role of another namespace":     {sealUnder(t, service.file, "fixed", scopeFor(batch, "o"), "v"), batch, fault.ErrUnauthenticated},
		"for all, which no policy lets anyone": {sealUnder(t, service.file, "prod", anywhere, "v"), web, fault.ErrDenied},
		"an identity without a name":           {sealUnder(t, service.file, "prod", anywhere, "v"), identity.Identity{Cluster: "dev"}, fault.ErrDenied},
		"a name that is none":                  {sealUnder(t, service.file, "prod", anywhere, "v"), identity.Identity{Cluster: "dev", Namespace: "a/b", ServiceAccount: "web"}, fault.ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			value, err := opened.Read(t.Context(), c.as, store.Reference{Key: c.text, Object: "o"})
			if !errors.Is(err, c.want) || (err == nil) != (value.Data.RevealString() == "v") {
				t.Errorf("Read: %d bytes, %v, want %v", value.Data.Len(), err, c.want)
			}
		})
	}
	opened.Close()
	if service.open != 0 {
		t.Errorf("%d keys are still open", service.open)
	}
}

// A pod is never served with the node's right unless the operator says so.
func TestANodesKeyServesNoPodUnlessTheOperatorSaysSo(t *testing.T) {
	file := localFile(t)
	text := sealUnder(t, file, "prod", scopeFor(web, "o"), "v")
	open := func(openAs, file string) (store.Store, error) {
		return newType(local.NewType()).Open(with(keyOf("prod", openAs, map[string]any{"type": "local", "file": file})))
	}
	opened, err := open("node", file)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if _, err := opened.Read(t.Context(), web, store.Reference{Key: text, Object: "o"}); err != nil {
		t.Error(err)
	}
	for _, openAs := range []string{"", "pod"} {
		if _, err := open(openAs, file); !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "keys[0].openAs: is pod, ") {
			t.Errorf("openAs %q: %v", openAs, err)
		}
		if _, err := open(openAs, "/keys/{namespace}"); !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "keys[0].service: has a placeholder") {
			t.Errorf("openAs %q with a placeholder: %v", openAs, err)
		}
	}
}

func TestAKeyOfThePodsIsNotAskedAsTheNode(t *testing.T) {
	shared := platform.New(platform.Options{})
	defer shared.Close()
	const arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	for openAs, service := range map[string]map[string]any{
		"node": {"type": "aws", "key": arn},
		"pod":  {"type": "aws", "key": arn, "node": map[string]any{"method": "instanceRole"}},
	} {
		_, err := newType(aws.NewType(shared)).Open(with(keyOf("prod", openAs, service)))
		if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "keys[0].openAs: is "+openAs+", ") {
			t.Errorf("openAs %s: %v", openAs, err)
		}
	}
}

func TestAKeyServicesFailureKeepsItsKind(t *testing.T) {
	for name, c := range map[string]struct{ said, want error }{
		"unavailable":       {fault.ErrUnavailable, fault.ErrUnavailable},
		"denied":            {fault.ErrDenied, fault.ErrDenied},
		"not authenticated": {fault.ErrUnauthenticated, fault.ErrUnauthenticated},
		"invalid":           {fault.ErrInvalid, fault.ErrInvalid},
		"no such key":       {fault.ErrNotFound, fault.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			service := &pods{file: localFile(t), fails: fault.Fail(c.said, errors.New("planted-cause"))}
			opened, err := newType(service).Open(with(keyOf("prod", "", map[string]any{"type": "pods", "role": "prod"})))
			if err != nil {
				t.Fatal(err)
			}
			defer opened.Close()
			_, err = opened.Read(t.Context(), web, store.Reference{Key: sealUnder(t, service.file, "prod", scopeFor(web, "o"), "v"), Object: "o"})
			if !errors.Is(err, c.want) || errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), "planted-cause") {
				t.Errorf("Read: %v, want %v", err, c.want)
			}
		})
	}
}

// Twenty values of a pod are twenty calls, made at the same time; a poll makes
// none, and neither does a second pod of the service account.
func TestAMountAsksOnceForEachValueAndAPollNever(t *testing.T) {
	const values = 20
	service := &pods{file: localFile(t), gate: make(chan struct{}), waiting: make(chan struct{}, values)}
	var objects []spec.Object
	for i := range values {
		path := fmt.Sprintf("value-%d", i)
		objects = append(objects, spec.Object{Path: path, Sealed: sealUnder(t, service.file, "prod", scopeFor(web, path), "v")})
	}
	cfg := config.Default()
	cfg.Cluster = "dev"
	cfg.Stores = map[string]config.Store{"sealed": {Type: "sealed", Fields: with(keyOf("prod", "", map[string]any{"type": "pods", "role": "{namespace}"})).Fields}}
	now := time.Now
	eng, err := engine.New(engine.Options{
		Config: cfg,
		Dialects: map[string]spec.Dialect{"test": func(map[string]string) (*spec.Class, error) {
			return &spec.Class{Objects: objects}, nil
		}},
		Types: []store.Type{sealed.NewType(sealed.Options{Now: now, KeyTypes: []key.Type{service}})}, Calls: remote.NewCalls(64), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(eng.Close)
	mount := func(pod string) error {
		as := web
		as.Pod, as.PodUID = pod, "uid-"+pod
		volume, err := eng.Mount(t.Context(), engine.Request{Dialect: "test", Identity: as})
		if err == nil && len(volume.Files) != values {
			err = fmt.Errorf("%d files", len(volume.Files))
		}
		return err
	}
	first := make(chan error, 1)
	go func() { first <- mount("a") }()
	for range values {
		select {
		case <-service.waiting:
		case <-time.After(time.Minute):
			t.Fatal("the calls are not made at the same time")
		}
	}
	close(service.gate)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	for _, pod := range []string{"a", "b", "a"} {
		if err := mount(pod); err != nil {
			t.Fatal(err)
		}
	}
	if got := service.calls(); got != values {
		t.Errorf("%d calls, want %d", got, values)
	}
}

// A value of a key service never changes, so it is read again late, unless the
// operator says otherwise; one of the key ring follows the ring.
func TestSteadyValuesAreReadAgainLate(t *testing.T) {
	service := &pods{file: localFile(t)}
	ring := newRing(t)
	for refresh, want := range map[string]time.Duration{"": time.Hour, "5m": 5 * time.Minute} {
		settings := with(keyOf("prod", "", map[string]any{"type": "pods", "role": "prod"}))
		settings.Fields["keyRing"] = ringFile(t, ring)
		if refresh != "" {
			settings.Fields["refresh"] = refresh
		}
		opened, err := newType(service).Open(settings)
		if err != nil {
			t.Fatal(err)
		}
		defer opened.Close()
		steady, ok := opened.(store.Steady)
		if !ok {
			t.Fatal("is not steady")
		}
		if got := steady.RefreshOf(store.Reference{Key: sealUnder(t, service.file, "prod", scopeFor(web, "o"), "v")}); got != want {
			t.Errorf("of a key service: %s, want %s", got, want)
		}
		if got := steady.RefreshOf(store.Reference{Key: sealTo(t, ring, scopeFor(web, "o"), "v")}); got != 0 {
			t.Errorf("of the key ring: %s", got)
		}
	}
}

package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// fake is a provider and its store in one. Without a defect it keeps every
// promise; with one it breaks those that the defect is meant to break.
type fake struct {
	defect string
	dir    string
	server *grpc.Server
	clock  *fakeClock

	mu       sync.Mutex
	secrets  map[string][]byte // by owner and name
	tokens   map[string]Account
	cache    map[string]cached
	reads    int
	changes  int // how often a secret was put
	failing  bool
	inFlight int
	started  int                         // how often the process was started
	seen     map[string]int              // what else a defect remembers
	last     map[string][]*v1alpha1.File // by pod
	flights  map[string]*fakeFlight      // reads that have begun
}

type cached struct {
	value []byte
	read  time.Time
}

// fakeClock goes on when somebody pauses, and at no other time.
type fakeClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *fakeClock) pause(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	return ctx.Err()
}

type fakeFlight struct {
	done  chan struct{}
	value []byte
	err   error
}

const (
	fakeRefresh = time.Second
	fakeRead    = 15 * time.Millisecond // how long the store takes
)

func newFake(t *testing.T, defect string) *fake {
	t.Helper()
	dir, err := os.MkdirTemp("", "fake") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{
		defect: defect, dir: dir, clock: &fakeClock{}, secrets: map[string][]byte{}, tokens: map[string]Account{}, cache: map[string]cached{},
		seen: map[string]int{}, last: map[string][]*v1alpha1.File{}, flights: map[string]*fakeFlight{},
	}
	if err := f.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.server.Stop()
		_ = os.RemoveAll(dir)
	})
	return f
}

// provider describes the fake to the suite.
func (f *fake) provider() Provider {
	return Provider{
		Name: "fake", SocketDir: f.dir, Accounts: []Account{{"shop", "web"}, {"bank", "api"}},
		Put: f.put, Delete: f.remove, Class: fakeClass, Tokens: f.issue,
		LargestVolume: 1 << 20, ManyObjects: 110,
		RotatesWithin: 5 * time.Second, Refresh: fakeRefresh, clock: f.clock,
		Reads: func() int { f.mu.Lock(); defer f.mu.Unlock(); return f.reads },
		Kill:  f.kill, Start: f.start,
		Fail:    func(context.Context) error { f.mu.Lock(); defer f.mu.Unlock(); f.failing = true; return nil },
		Recover: func(context.Context) error { f.mu.Lock(); defer f.mu.Unlock(); f.failing = false; return nil },
	}
}

func (f *fake) put(_ context.Context, owner Account, name string, value []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.secrets[owner.String()+" "+name] = value
	f.changes++
	return nil
}

func (f *fake) remove(_ context.Context, owner Account, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.secrets, owner.String()+" "+name)
	return nil
}

// fakeObject is an Object of a class, with whose it is.
type fakeObject struct {
	Object
	Owner string
}

func fakeClass(owner Account, objects []Object) (map[string]string, error) {
	all := make([]fakeObject, len(objects))
	for i, object := range objects {
		all[i] = fakeObject{object, owner.String()}
	}
	return map[string]string{"objects": jsonOf(all)}, nil
}

// issue gives each pod a token that no other can guess.
func (f *fake) issue(_ context.Context, pod Pod) (map[string]Token, error) {
	text := fmt.Sprintf("token-%x", randomBytes(16))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tokens[text] = pod.Account
	return map[string]Token{"vault": {text, time.Now().Add(time.Hour)}}, nil
}

func (f *fake) socket() string { return filepath.Join(f.dir, "fake.sock") }

func (f *fake) start(ctx context.Context) error {
	_, err := os.Lstat(f.socket())
	if err == nil && f.defect == "leaves a dead socket" {
		f.server = grpc.NewServer()
		return nil // it serves nobody, as a process whose error went into a log
	}
	if err == nil {
		if err := os.Remove(f.socket()); err != nil {
			return err
		}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", f.socket())
	if err != nil {
		return err
	}
	mode := os.FileMode(0o600)
	if f.defect == "world-writable socket" {
		mode = 0o777
	}
	f.server = grpc.NewServer()
	v1alpha1.RegisterCSIDriverProviderServer(f.server, f)
	go f.server.Serve(listener) // until kill or the end of the test
	f.mu.Lock()
	f.started++
	f.cache = map[string]cached{}
	f.mu.Unlock()
	return os.Chmod(f.socket(), mode)
}

func (f *fake) kill(context.Context) error {
	f.server.Stop()
	return nil
}

func (f *fake) Version(context.Context, *v1alpha1.VersionRequest) (*v1alpha1.VersionResponse, error) {
	f.mu.Lock()
	busy := f.inFlight > 0
	f.mu.Unlock()
	answer := &v1alpha1.VersionResponse{Version: "v1alpha1", RuntimeName: "fake", RuntimeVersion: "v1.2.3"}
	switch {
	case f.defect == "no name":
		answer.RuntimeName = ""
	case f.defect == "version that is none":
		answer.RuntimeVersion = "(devel)"
	case f.defect == "no time for Version" && busy:
		return nil, status.Error(codes.ResourceExhausted, "busy")
	}
	return answer, nil
}

// fakeRequest is what the fake understands of a mount request.
type fakeRequest struct {
	attributes, secrets map[string]string
	objects             []fakeObject
	permission          int32
	account             Account // of the token
	podUID              string
}

func (f *fake) parse(m *v1alpha1.MountRequest) (r fakeRequest, err error) {
	bad := func(format string, args ...any) (fakeRequest, error) {
		return r, status.Errorf(codes.InvalidArgument, format, args...)
	}
	if err := json.Unmarshal([]byte(m.GetAttributes()), &r.attributes); err != nil || r.attributes == nil {
		return bad("the attributes are not JSON")
	}
	if text := m.GetSecrets(); text != "" || f.defect == "wants secrets" {
		if err := json.Unmarshal([]byte(text), &r.secrets); err != nil {
			return bad("the secrets are not JSON")
		}
	}
	if _, err := fmt.Sscanf(m.GetPermission(), "%d", &r.permission); err != nil {
		if f.defect != "any permission" {
			return bad("the permission is no number")
		}
		r.permission = 0o644
	}
	if err := json.Unmarshal([]byte(r.attributes["objects"]), &r.objects); err != nil {
		return bad("the objects are not JSON")
	}
	if f.defect == "known keys alone" && r.attributes["csi.storage.k8s.io/from.the.future"] != "" {
		return bad("csi.storage.k8s.io/from.the.future: unknown")
	}
	if f.defect == "no sync controller" && r.attributes["csi.storage.k8s.io/pod.name"] == "secrets-store-sync-controller" {
		return bad("the pod is not on this node")
	}
	tokens, among := r.secrets[keyTokens]
	if !among || f.defect == "tokens in attributes alone" {
		tokens = r.attributes[keyTokens]
	}
	r.podUID = r.attributes[keyUID]
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, text := range tokenTexts(tokens) {
		account, known := f.tokens[text]
		if !known && f.defect == "token in the error" {
			return r, status.Errorf(codes.Unauthenticated, "the store does not know %s", text)
		}
		r.account = account
	}
	if r.account.String() != r.attributes[keyNamespace]+"/"+r.attributes[keyAccount] {
		return r, status.Error(codes.Unauthenticated, "no token of the pod's service account")
	}
	return r, nil
}

var errNotFound = errors.New("not found")

// clean is a path that the fake accepts.
func clean(path string) bool {
	return path != "" && filepath.Clean(path) == path && !filepath.IsAbs(path) && !strings.HasPrefix(path, "..") && len(path) <= 4096 && longest(path) <= 255
}

func longest(path string) (n int) {
	for part := range strings.SplitSeq(path, "/") {
		n = max(n, len(part))
	}
	return n
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/integration/lanyardserver"
)

// benchProvider is `bench provider` with blocks as short as they can be.
func benchProvider(t *testing.T, args ...string) (*foreign, error) {
	t.Helper()
	o, err := parseProviderOptions(append(args, "-quick"), io.Discard)
	if err != nil {
		return nil, err
	}
	o.block = time.Millisecond
	l := newTestLab(t)
	return measureProvider(t.Context(), l, o)
}

func newTestLab(t *testing.T) *lab {
	t.Helper()
	l, err := newLab(options{quick: true}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// TestMain lets this test's binary be the floor.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == floorCommand {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func whats(figures []figure) []string {
	var all []string
	for _, f := range figures {
		all = append(all, f.What)
	}
	return all
}

func TestLanyardIsMeasuredAtItsSocket(t *testing.T) {
	binary, err := lanyardserver.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "password"), []byte("value"), 0o600); err != nil {
		t.Fatal(err)
	}
	provider := lanyardserver.New(t, lanyardserver.Options{
		Binary: binary, Config: fmt.Sprintf("cluster: bench\nstores: {files: {type: file, root: %s, allow: [shop/web]}}\n", root),
	})
	socket := filepath.Join(provider.SocketDir, "lanyard.sock")
	class := filepath.Join(t.TempDir(), "class.yaml")
	manifest := `{metadata: {name: web, namespace: shop}, spec: {provider: lanyard, parameters: {objects: "- {path: password, store: files, key: password}"}}}`
	if err := os.WriteFile(class, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args  []string
		files int
	}{
		"without a class": {nil, 20},
		"with a class":    {[]string{"-class", class, "-service-account", "web"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			measured, err := benchProvider(t, append(test.args, "-socket", socket, "-pods", "3")...)
			if err != nil {
				t.Fatal(err)
			}
			want := []string{
				"first mount", "3 pods, 50 in flight: first poll", "3 pods, 50 in flight: second poll",
				"repeat mount: p50", "the same: p99", "repeat mounts, 32 in flight", "resident memory after it",
			}
			if got := whats(measured.figures); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("measured %q, want %q", got, want)
			}
			for _, f := range measured.figures {
				if f.Value <= 0 || f.Calls != nil {
					t.Errorf("%s is %v, with calls %v", f.What, f.Value, f.Calls)
				}
			}
			if !strings.HasPrefix(measured.who, "lanyard ") || measured.files != test.files {
				t.Errorf("measured %q with %d files, want %d", measured.who, measured.files, test.files)
			}
		})
	}
}

func TestTheFloorIsMeasuredAsAnyProviderIs(t *testing.T) {
	l := newTestLab(t)
	floor, err := l.startFloor(t.Context(), &v1alpha1.MountResponse{Files: []*v1alpha1.File{{Path: "a"}, {Path: "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer floor.stop()
	measured, err := benchProvider(t, "-socket", filepath.Join(filepath.Dir(floor.log), provider+".sock"))
	if err != nil {
		t.Fatal(err)
	}
	if measured.files != 2 || measured.who != provider || len(measured.figures) != 7 {
		t.Errorf("measured %q with %d files: %q", measured.who, measured.files, whats(measured.figures))
	}
}

// eager logs in and reads two secrets for each mount.
type eager struct {
	v1alpha1.UnimplementedCSIDriverProviderServer
	vault string
}

func (e eager) Mount(ctx context.Context, request *v1alpha1.MountRequest) (*v1alpha1.MountResponse, error) {
	attributes := map[string]string{}
	if err := json.Unmarshal([]byte(request.GetAttributes()), &attributes); err != nil {
		return nil, err
	}
	if tokens := attributes["csi.storage.k8s.io/serviceAccount.tokens"]; !strings.HasPrefix(tokens, `{"vault":{"token":"a.b.c",`) {
		return nil, fmt.Errorf("the tokens are %s", tokens)
	}
	if attributes["objects"] != "two" || attributes["csi.storage.k8s.io/pod.namespace"] != "shop" {
		return nil, fmt.Errorf("the attributes are %v", attributes)
	}
	for _, path := range []string{"auth/kubernetes/login", "auth/token/renew-self", "secret/data/a", "secret/data/b"} {
		call, err := http.NewRequestWithContext(ctx, http.MethodPut, e.vault+"/v1/"+path, nil)
		if err != nil {
			return nil, err
		}
		answer, err := http.DefaultClient.Do(call)
		if err != nil {
			return nil, err
		}
		answer.Body.Close()
	}
	return &v1alpha1.MountResponse{Files: []*v1alpha1.File{{Path: "a"}, {Path: "b"}}}, nil
}

func TestCallsToVaultAreCounted(t *testing.T) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	vault := httptest.NewServer(http.NotFoundHandler())
	defer vault.Close()
	proxied, err := lanyardserver.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "vault.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	v1alpha1.RegisterCSIDriverProviderServer(server, eager{vault: "http://" + proxied})
	go server.Serve(listener)
	defer server.Stop()
	for name, text := range map[string]string{
		"class.yaml": `{metadata: {namespace: shop}, spec: {provider: vault, parameters: {objects: two}}}`,
		"token":      "a.b.c\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	measured, err := benchProvider(t, "-socket", filepath.Join(dir, "vault.sock"), "-class", filepath.Join(dir, "class.yaml"),
		"-token", "vault="+filepath.Join(dir, "token"), "-pods", "3", "-vault", vault.URL, "-listen", proxied)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	if err := printProvider(&table, measured.figures); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"first mount": "1 login, 2 reads", "3 pods, 50 in flight: first poll": "3 logins, 6 reads",
		"3 pods, 50 in flight: second poll": "3 logins, 6 reads", "repeat mount: p50": "1 login, 2 reads",
	} {
		found := false
		for printed := range strings.Lines(table.String()) {
			found = found || strings.HasPrefix(printed, line) && strings.HasSuffix(strings.TrimSpace(printed), want)
		}
		if !found {
			t.Errorf("%s: not %s in\n%s", line, want, table.String())
		}
	}
}

func TestWhatCannotBeMeasuredIsRefused(t *testing.T) {
	class := filepath.Join(t.TempDir(), "class.yaml")
	if err := os.WriteFile(class, []byte(`{spec: {provider: aws}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"-socket: name the provider's socket":            nil,
		"-class: name the file of a SecretProviderClass": {"-socket", "vault.sock"},
		`class of the provider "aws", and the socket is`: {"-socket", "vault.sock", "-class", class},
		"-token: open":                       {"-socket", "aws.sock", "-class", class, "-token", "vault=/nowhere"},
		"must be AUDIENCE=FILE":              {"-socket", "aws.sock", "-token", "vault"},
		"-pods: must be at least 1":          {"-socket", "aws.sock", "-pods", "0"},
		`provider not found: provider "aws"`: {"-socket", "/nowhere/aws.sock", "-class", class},
	} {
		if _, err := benchProvider(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", args, err, want)
		}
	}
}

package csi

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/server/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mounter is an engine that does as it is told.
type mounter func(context.Context, engine.Request) (*engine.Volume, error)

func (m mounter) Mount(ctx context.Context, req engine.Request) (*engine.Volume, error) {
	return m(ctx, req)
}

// fixture is a running Server and a connection to it.
type fixture struct {
	*Server
	path     string
	conn     *grpc.ClientConn
	client   v1alpha1.CSIDriverProviderClient
	registry *prometheus.Registry
}

func start(t testing.TB, m mounter) *fixture {
	t.Helper()
	f := &fixture{registry: prometheus.NewRegistry()}
	f.Server = New(Options{
		Dialect: "lanyard", Mounter: m, Version: "1.2.3", RequestBytes: 1 << 20,
		Metrics: NewMetrics(f.registry),
	})
	directory, err := os.MkdirTemp("", "csi")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	must(t, os.Chmod(directory, 0o755))
	f.path, err = SocketPath(directory, "lanyard")
	must(t, err)
	l, err := socket.Listen(t.Context(), f.path)
	must(t, err)
	served := make(chan error, 1)
	go func() { served <- f.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		f.Stop(ctx)
		must(t, <-served)
	})
	f.conn = dial(t, f.path)
	f.client = v1alpha1.NewCSIDriverProviderClient(f.conn)
	return f
}

// metric is the value of the counter or gauge that has a label of that value,
// or of the one without labels if label is empty.
func (f *fixture) metric(t *testing.T, name, label string) float64 {
	t.Helper()
	families, err := f.registry.Gather()
	must(t, err)
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			found := label == ""
			for _, pair := range metric.GetLabel() {
				found = found || pair.GetValue() == label
			}
			if found {
				return metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
			}
		}
	}
	return 0
}

// dial connects as the driver does.
func dial(t testing.TB, path string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("unix:"+path, append(options,
		grpc.WithAuthority("localhost"),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{"service": "v1alpha1.CSIDriverProvider"}], "waitForReady": true,
			"retryPolicy": {"MaxAttempts": 3, "InitialBackoff": "0.01s", "MaxBackoff": "0.01s", "BackoffMultiplier": 1.1, "RetryableStatusCodes": ["UNAVAILABLE"]}}]}`))...)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func empty(context.Context, engine.Request) (*engine.Volume, error) {
	return &engine.Volume{Versions: []engine.Version{{ID: "a", Version: "1"}}}, nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantStatus checks a failed call's code and text.
func wantStatus(t *testing.T, err error, code codes.Code, parts ...string) {
	t.Helper()
	if got := status.Code(err); got != code {
		t.Errorf("code is %v, want %v: %v", got, code, err)
	}
	for _, part := range parts {
		if !strings.Contains(status.Convert(err).Message(), part) {
			t.Errorf("%q does not say %q", status.Convert(err).Message(), part)
		}
	}
}

func TestVersionTellsTheBuild(t *testing.T) {
	f := start(t, empty)
	v, err := f.client.Version(t.Context(), &v1alpha1.VersionRequest{Version: "v1alpha1"})
	must(t, err)
	if v.GetVersion() != "v1alpha1" || v.GetRuntimeName() != "lanyard" || v.GetRuntimeVersion() != "1.2.3" {
		t.Errorf("version is %v", v)
	}
}

func TestHealthIsThatOfTheService(t *testing.T) {
	client := grpc_health_v1.NewHealthClient(start(t, empty).conn)
	for _, name := range []string{"", "v1alpha1.CSIDriverProvider"} {
		answer, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: name})
		must(t, err)
		if answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("%q is %v", name, answer.GetStatus())
		}
	}
	_, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "other"})
	wantStatus(t, err, codes.NotFound)
}

func TestProbeSucceedsAsLongAsTheSocketAnswers(t *testing.T) {
	f := start(t, empty)
	must(t, Probe(t.Context(), f.path))
	f.Stop(t.Context())
	if err := Probe(t.Context(), f.path); err == nil || !strings.Contains(err.Error(), f.path+" does not answer") {
		t.Errorf("after the stop: %v", err)
	}
	// One that takes connections and says nothing is not ready either.
	l, err := socket.Listen(t.Context(), f.path)
	must(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := Probe(ctx, f.path); err == nil {
		t.Error("a mute socket is ready")
	}
}

func TestStopFinishesMountsInFlight(t *testing.T) {
	entered, finish := make(chan struct{}), make(chan struct{})
	f := start(t, func(ctx context.Context, req engine.Request) (*engine.Volume, error) {
		close(entered)
		<-finish
		return empty(ctx, req)
	})
	answered := make(chan error, 1)
	go func() {
		_, err := f.client.Mount(context.Background(), message(nil))
		answered <- err
	}()
	<-entered
	stopped := make(chan struct{})
	go func() { f.Stop(context.Background()); close(stopped) }()

	// The socket goes first, so that nobody new arrives.
	for {
		if _, err := os.Lstat(f.path); os.IsNotExist(err) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	select {
	case <-stopped:
		t.Fatal("stopped with a mount in flight")
	default:
	}
	close(finish)
	if err := <-answered; err != nil {
		t.Errorf("the mount in flight failed: %v", err)
	}
	<-stopped
}

func TestStopCancelsMountsThatDoNotEndInTime(t *testing.T) {
	entered, ended := make(chan struct{}), make(chan struct{})
	f := start(t, func(ctx context.Context, _ engine.Request) (*engine.Volume, error) {
		close(entered)
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	})
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, _ = f.client.Mount(ctx, message(nil))
	}()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.Stop(ctx)
	select {
	case <-ended:
	default:
		t.Error("the mount still runs after Stop")
	}
	_ = f.conn.Close()
}

func TestSocketNameIsOneThatTheDriverAccepts(t *testing.T) {
	for name, accepted := range map[string]bool{
		"lanyard": true, "a-B_9": true, strings.Repeat("a", 30): true,
		"": false, strings.Repeat("a", 31): false, "a.b": false, "../a": false, "é": false, "a b": false,
	} {
		path, err := SocketPath("/run/x", name)
		if (err == nil) != accepted {
			t.Errorf("%q: %v", name, err)
		}
		if accepted && path != "/run/x/"+name+".sock" {
			t.Errorf("%q is at %s", name, path)
		}
	}
}

func TestASocketInAnEarlierDirectoryHidesALaterOne(t *testing.T) {
	first, second, other := t.TempDir(), t.TempDir(), t.TempDir()
	searched := []string{first, second}
	if path := hiddenBy(searched, second, "lanyard"); path != "" {
		t.Errorf("hidden by %s, but there is nothing", path)
	}
	stale := filepath.Join(first, "lanyard.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	must(t, err)
	l.SetUnlinkOnClose(false)
	must(t, l.Close())
	for directory, want := range map[string]string{first: "", second: stale, other: "", filepath.Join(other, "missing"): ""} {
		if path := hiddenBy(searched, directory, "lanyard"); path != want {
			t.Errorf("%s: hidden by %q, want %q", directory, path, want)
		}
	}
	link := filepath.Join(other, "link")
	must(t, os.Symlink(first, link))
	if path := hiddenBy(searched, link, "lanyard"); path != "" {
		t.Errorf("the first directory under another name is hidden by %s", path)
	}
}

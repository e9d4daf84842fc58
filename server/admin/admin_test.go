package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/lanyardhq/lanyard/internal/freeport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, opts Options) (server *Server, url string) {
	t.Helper()
	if opts.Registry == nil {
		opts.Registry = prometheus.NewRegistry()
	}
	l, err := Listen("127.0.0.1:0", opts.Profiles)
	if err != nil {
		t.Fatal(err)
	}
	server = New(opts)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		server.Stop(context.Background())
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return server, "http://" + l.Addr().String()
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(content)
}

func TestReadyIsWhatTheProviderSays(t *testing.T) {
	var failure error
	_, url := start(t, Options{Ready: func(ctx context.Context) error {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("no deadline")
		}
		return failure
	}})
	if status, body := get(t, url+"/readyz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("%d %q", status, body)
	}
	failure = errors.New("nobody answers")
	if status, body := get(t, url+"/readyz"); status != http.StatusServiceUnavailable || body != "nobody answers\n" {
		t.Errorf("%d %q", status, body)
	}
	if status, _ := get(t, url+"/livez"); status != http.StatusOK {
		t.Errorf("not live: %d", status)
	}
}

func TestMetricsAreThoseOfTheRegistry(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "lanyard_example_total", Help: "An example."})
	registry.MustRegister(counter)
	counter.Inc()
	_, url := start(t, Options{Registry: registry})
	if status, body := get(t, url+"/metrics"); status != http.StatusOK || !strings.Contains(body, "lanyard_example_total 1") {
		t.Errorf("%d %s", status, body)
	}
}

func TestProfilesAreThereOnlyWhenAskedFor(t *testing.T) {
	paths := []string{"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/heap", "/debug/pprof/symbol", "/debug/pprof/trace?seconds=0.01", "/debug/pprof/profile?seconds=1"}
	_, without := start(t, Options{})
	_, with := start(t, Options{Profiles: true})
	for _, path := range paths {
		if status, _ := get(t, without+path); status != http.StatusNotFound {
			t.Errorf("%s without the flag: %d", path, status)
		}
		if status, _ := get(t, with+path); status != http.StatusOK {
			t.Errorf("%s with the flag: %d", path, status)
		}
	}
}

func TestNothingElseIsServed(t *testing.T) {
	byAccident := "/" + rand.Text()
	http.HandleFunc(byAccident, func(http.ResponseWriter, *http.Request) { t.Error("the default mux is served") })
	_, url := start(t, Options{})
	for _, path := range []string{"/", byAccident, "/debug/vars", "/metrics/x"} {
		if status, _ := get(t, url+path); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	resp, err := http.Post(url+"/metrics", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", resp.StatusCode)
	}
}

func TestAddressesAreCheckedBeforeTheyAreListenedOn(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, test := range []struct {
		address  string
		profiles bool
		want     string // empty: accepted
	}{
		{"127.0.0.1:0", true, ""},
		{"localhost:0", true, ""},
		{"0.0.0.0:0", false, ""},
		{":0", false, ""},
		{"0.0.0.0:0", true, "loopback addresses only"},
		{":0", true, "loopback addresses only"},
		{"9879", false, "must be host:port"},
		{"127.0.0.1:99999", false, "must be host:port"},
		{taken.Addr().String(), false, "address already in use"},
	} {
		l, err := Listen(test.address, test.profiles)
		if err == nil {
			_ = l.Close()
		}
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s, profiles %v: %v", test.address, test.profiles, err)
		}
	}
}

func TestStopFinishesRequestsInFlight(t *testing.T) {
	entered, finish := make(chan struct{}), make(chan struct{})
	server, url := start(t, Options{Ready: func(context.Context) error { close(entered); <-finish; return nil }})
	answered := make(chan string, 1)
	go func() {
		resp, err := http.Get(url + "/readyz")
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		answered <- resp.Status
	}()
	<-entered
	stopped := make(chan struct{})
	go func() { server.Stop(context.Background()); close(stopped) }()
	close(finish)
	if status := <-answered; status != "200 OK" {
		t.Error(status)
	}
	<-stopped
}

func TestStopBreaksOffWhatDoesNotEnd(t *testing.T) {
	entered := make(chan struct{})
	server, url := start(t, Options{Ready: func(ctx context.Context) error { close(entered); <-ctx.Done(); return ctx.Err() }})
	go func() {
		if resp, err := http.Get(url + "/readyz"); err == nil {
			_ = resp.Body.Close()
		}
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	server.Stop(ctx)
}

func TestAnAddressInUseIsTriedAgain(t *testing.T) {
	free, err := freeport.Find(1)
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + free[0]
	taken, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	server := New(Options{Registry: registry})
	l, err := server.Open(address)
	if l != nil || err != nil {
		t.Fatalf("it listens or fails: %v, %v", l, err)
	}
	if n := testutil.ToFloat64(server.failures); n != 1 {
		t.Errorf("%v failures are counted", n)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Run(t.Context(), address, l) }()
	var body string
	for end := time.Now().Add(30 * time.Second); body == "" && time.Now().Before(end); {
		resp, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			continue
		}
		content, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		_ = resp.Body.Close()
		body = string(content)
	}
	if !strings.Contains(body, "lanyard_admin_listen_failures_total 1") {
		t.Errorf("it does not serve: %s", body)
	}
	http.DefaultClient.CloseIdleConnections()
	server.Stop(context.Background())
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestAnAddressThatStaysInUseEndsWithTheProcess(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	server := New(Options{Registry: prometheus.NewRegistry()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Run(ctx, taken.Addr().String(), nil); err != nil {
		t.Error(err)
	}
	if _, err := server.Open("no address"); !errors.Is(err, ErrAddress) {
		t.Errorf("error %v", err)
	}
}

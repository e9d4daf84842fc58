package remote

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/lanyardhq/lanyard/internal/proxy"
	"github.com/lanyardhq/lanyard/internal/proxy/proxytest"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// over returns a client over a network, of Transports of its own.
func over(t *testing.T, network Network) *http.Client {
	t.Helper()
	transport, release, err := NewTransports(Options{Calls: NewCalls(4), MaxAnswer: 100}).Acquire(Route{Network: network})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return transport.Client("test")
}

func getOver(t *testing.T, client *http.Client, address string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// serverAt is a server on the machine, and its URL under another host.
func serverAt(t *testing.T, host string) (server *httptest.Server, address string) {
	t.Helper()
	server = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	parsed, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return server, "http://" + net.JoinHostPort(host, parsed.Port())
}

func wantRefused(t *testing.T, what string, err error, says string) {
	t.Helper()
	if !IsRefused(err) || !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v, want a refusal that says %q", what, err, says)
	}
}

func TestAnAddressOfAClassIsJudgedWhenItIsConnectedTo(t *testing.T) {
	_, rebinding := serverAt(t, "rebinding.example.com")
	_, mapped := serverAt(t, "mapped.example.com")
	names := proxytest.StartNames(t, map[string][]string{
		"rebinding.example.com": {"192.0.2.1", "127.0.0.1"}, "mapped.example.com": {"::ffff:127.0.0.1"},
		"metadata.example.com": {"169.254.169.254"}, "six.example.com": {"fd00:ec2::254"},
	})
	anywhere := over(t, Network{Rule: NewDialRule([]string{"*"})})
	wantRefused(t, "metadata", getOver(t, anywhere, "http://metadata.example.com/latest"), "metadata.example.com:80 (169.254.169.254) is a cloud's metadata service")
	wantRefused(t, "metadata over IPv6", getOver(t, anywhere, "https://six.example.com/latest"), "(fd00:ec2::254) is a cloud's metadata service")
	wantRefused(t, "mapped", getOver(t, anywhere, mapped), "is a loopback address")
	// What a check of the name saw before is of no account.
	if _, err := net.DefaultResolver.LookupHost(t.Context(), "rebinding.example.com"); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, "rebinding", getOver(t, anywhere, rebinding), "(127.0.0.1) is a loopback address")
	wantRefused(t, "localhost", getOver(t, anywhere, "http://localhost:1"), "localhost:1 is this machine itself")
	wantRefused(t, "an address", getOver(t, anywhere, "http://[::ffff:127.0.0.1]:1"), "is a loopback address")
	wantRefused(t, "a number", getOver(t, anywhere, "http://2130706433:1"), "notation")

	listed := over(t, Network{Rule: NewDialRule([]string{"*", "127.0.0.1"})})
	if err := getOver(t, listed, mapped); err != nil {
		t.Errorf("a listed address: %v", err)
	}
	only := over(t, Network{Rule: NewDialRule([]string{"mapped.example.com", "10.0.0.0/8"})})
	names.Forget("metadata.example.com")
	wantRefused(t, "one that is not listed", getOver(t, only, "http://metadata.example.com"), "metadata.example.com:80 (169.254.169.254) is a cloud's")
	wantRefused(t, "an address that is not listed", getOver(t, only, "http://192.0.2.1"), "192.0.2.1:80: the operator lets classes choose mapped.example.com, 10.0.0.0/8 here (policy.classStores)")
	byName := over(t, Network{Rule: NewDialRule([]string{"mapped.example.com"})})
	names.Forget("metadata.example.com")
	wantRefused(t, "a name that is not listed", getOver(t, byName, "http://metadata.example.com"), "metadata.example.com:80: the operator lets classes choose mapped.example.com here")
	if names.Requested("metadata.example.com") {
		t.Error("a name that nothing could allow was resolved")
	}
}

// A class must not use what the operator's store has opened.
func TestConnectionsAreSharedOnlyUnderOneRule(t *testing.T) {
	_, address := serverAt(t, "double.example.com")
	proxytest.StartNames(t, map[string][]string{"double.example.com": {"127.0.0.1"}})
	transports := NewTransports(Options{Calls: NewCalls(4), MaxAnswer: 100})
	client := func(network Network) *http.Client {
		transport, release, err := transports.Acquire(Route{Network: network})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(release)
		return transport.Client("test")
	}
	if err := getOver(t, client(Network{}), address); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, "after the operator's call", getOver(t, client(Network{Rule: NewDialRule([]string{"*"})}), address), "is a loopback address")
	if err := getOver(t, client(Network{Rule: NewDialRule([]string{"*", "127.0.0.0/8"})}), address); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, "after a call under another rule", getOver(t, client(Network{Rule: NewDialRule([]string{"*"})}), address), "is a loopback address")
}

func TestARedirectLeadsNowhereElse(t *testing.T) {
	target, _ := serverAt(t, "target.example.com")
	calls := 0
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		http.Redirect(w, r, target.URL, http.StatusTemporaryRedirect)
	}))
	defer first.Close()
	parsed, err := url.Parse(first.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := over(t, Network{Rule: NewDialRule([]string{"*", "127.0.0.1:" + parsed.Port()})})
	client.CheckRedirect = nil // as a client that follows
	wantRefused(t, "the redirect", getOver(t, client, first.URL), "is a loopback address")
	if calls != 1 {
		t.Errorf("%d calls, want 1", calls)
	}
}

func TestTheRuleHoldsBehindAProxyToo(t *testing.T) {
	server, _ := serverAt(t, "")
	via := proxytest.Start(t)
	via.Route = func(string) string { return strings.TrimPrefix(server.URL, "http://") }
	proxytest.StartNames(t, map[string][]string{"public.example.com": {"192.0.2.1"}, "metadata.example.com": {"169.254.169.254"}, "inside.example.com": {"10.1.2.3"}})
	behind := func(patterns ...string) *http.Client {
		network := Network{Proxy: proxy.Settings{URL: via.URL}}
		if patterns != nil {
			network.Rule = NewDialRule(patterns)
		}
		return over(t, network)
	}
	for _, c := range []struct {
		patterns    []string
		host, wants string // part of the refusal; empty for none
	}{
		{[]string{"*"}, "public.example.com", ""},
		{[]string{"*"}, "known-to-the-proxy.example.com", ""},
		{[]string{"*.example.com"}, "known-to-the-proxy.example.com", ""},
		{[]string{"*"}, "metadata.example.com", "(169.254.169.254) is a cloud's metadata service"},
		{[]string{"*"}, "metadata.google.internal", "is a cloud's metadata service"},
		{[]string{"*"}, "169.254.169.254", "is a cloud's metadata service"},
		{[]string{"*"}, "0xa9fea9fe", "notation"},
		{[]string{"*"}, "[64:ff9b::a9fe:a9fe]", "is a cloud's metadata service"},
		{[]string{"*"}, "vault.localhost", "is this machine itself"},
		{[]string{"*"}, "localhost", "is this machine itself"},
		{[]string{"*.example.org"}, "public.example.com", "the operator lets classes choose *.example.org here"},
		{[]string{"10.0.0.0/8"}, "inside.example.com", ""},
		{[]string{"10.0.0.0/8"}, "public.example.com", "public.example.com:80 (192.0.2.1): the operator lets classes choose 10.0.0.0/8 here"},
		{[]string{"10.0.0.0/8"}, "known-to-the-proxy.example.com", "whose IP address is not known on the node"},
		{nil, "169.254.169.254", ""}, // the operator's own
	} {
		err := getOver(t, behind(c.patterns...), "http://"+c.host)
		switch {
		case c.wants != "":
			wantRefused(t, c.host, err, c.wants)
		case err != nil:
			t.Errorf("%s under %q: %v", c.host, c.patterns, err)
		}
	}
	want := []string{"169.254.169.254:80", "inside.example.com:80", "known-to-the-proxy.example.com:80", "public.example.com:80"}
	if asked := via.Requested(); !slices.Equal(asked, want) {
		t.Errorf("the proxy was asked for %q, want %q", asked, want)
	}
}

func TestTheEnvironmentsProxyIsForPersonsAlone(t *testing.T) {
	server, _ := serverAt(t, "")
	via := proxytest.Start(t)
	via.Route = func(string) string { return strings.TrimPrefix(server.URL, "http://") }
	for _, variable := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(variable, via.URL)
	}
	proxytest.StartNames(t, nil)
	for _, person := range []bool{false, true} {
		transport, release, err := NewTransports(Options{Calls: NewCalls(1), MaxAnswer: 100, Person: person}).Acquire(Route{})
		if err != nil {
			t.Fatal(err)
		}
		if err := getOver(t, transport.Client("test"), "http://store.example.com"); (err == nil) != person {
			t.Errorf("for a person: %t, error %v", person, err)
		}
		release()
	}
}

func TestGRPCKeepsToTheRuleAndTheProxy(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, &healthpb.UnimplementedHealthServer{})
	go server.Serve(listener)
	defer server.Stop()
	address := listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	proxytest.StartNames(t, map[string][]string{"double.example.com": {"127.0.0.1"}})
	via := proxytest.Start(t)
	via.Route = func(string) string { return address }

	call := func(network Network) error {
		transport, release, err := NewTransports(Options{Calls: NewCalls(1), MaxAnswer: 100}).Acquire(Route{Network: network})
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		conn, err := transport.DialGRPC(&url.URL{Scheme: "http", Host: "double.example.com:" + port}, 100)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.Call(t.Context(), "test", 10*time.Second, func(error) int { return 0 }, func(ctx context.Context) error {
			_, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
			return err
		})
	}
	answered := func(err error) bool { return err != nil && strings.Contains(err.Error(), "Unimplemented") }
	if err := call(Network{}); !answered(err) {
		t.Errorf("without a rule: %v", err)
	}
	wantRefused(t, "under a rule", call(Network{Rule: NewDialRule([]string{"*"})}), "double.example.com:"+port+" (127.0.0.1) is a loopback address")
	if err := call(Network{Rule: NewDialRule([]string{"*", "127.0.0.0/8"})}); !answered(err) {
		t.Errorf("under a rule that lists it: %v", err)
	}
	if err := call(Network{Proxy: proxy.Settings{URL: via.URL}}); !answered(err) {
		t.Errorf("through a proxy: %v", err)
	}
	if asked := via.Requested(); !slices.Equal(asked, []string{"double.example.com:" + port}) {
		t.Errorf("the proxy was asked for %q", asked)
	}
}

func TestARefusalIsNotRetried(t *testing.T) {
	client := over(t, Network{Rule: NewDialRule([]string{"*"})})
	tries := 0
	err := Backoff{Timeout: time.Minute, Retries: 5, First: time.Minute, Max: time.Minute}.Do(t.Context(), "the server", func(ctx context.Context) Outcome {
		tries++
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:1", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		return Outcome{Err: errors.New("explained by somebody else"), Retry: true}
	})
	wantRefused(t, "the call", err, "127.0.0.1:1 is a loopback address")
	if tries != 1 {
		t.Errorf("%d tries, want 1", tries)
	}
}

func TestAnAddressIsCheckedBeforeItIsResolved(t *testing.T) {
	rule := NewDialRule([]string{"*.example.com", "10.0.0.0/8"})
	for target, want := range map[string]string{
		"https://vault.example.com": "", "https://vault.example.com:8200/": "", "10.1.2.3:443": "", "https://by.address.org": "",
		"https://127.0.0.1:8200": "127.0.0.1:8200 is a loopback address, which a class must not choose",
		"http://[::1]:8200":      "[::1]:8200 is a loopback address", "[::1]:443": "[::1]:443 is a loopback address", "https://[fe80::1%25eth0]": "is a link-local address",
		"https://11.1.2.3": "11.1.2.3:443: the operator lets classes choose *.example.com, 10.0.0.0/8 here (policy.classStores)",
		"http://localhost": "localhost:80 is this machine itself", "https://0x7f.1": "0x7f.1:443 is an IP address in a notation that programs read differently; write it as 10.1.2.3", "": "", "not a target": "", "https://": "",
	} {
		var got string
		rule.Check("address", target, func(field, _ string, args ...any) { got = field + ": " + args[0].(string) }) //nolint:forcetypeassert // it is text
		if want != "" && !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
		DialRule("").Check("address", target, func(field, _ string, _ ...any) { t.Errorf("%s: without a rule: %s", target, field) })
	}
}

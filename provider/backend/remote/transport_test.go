package remote

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/fault"
)

func TestURLsAreDialledWhereTheyAre(t *testing.T) {
	for address, want := range map[string]string{
		"https://Vault.example.com":  "vault.example.com:443",
		"https://example.com:8443/v": "example.com:8443",
		"http://127.0.0.1":           "127.0.0.1:80",
		"https://[fd00::1]":          "[fd00::1]:443",
		"https://[fd00::1]:8443":     "[fd00::1]:8443",
	} {
		parsed, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := HostPort(parsed); got != want {
			t.Errorf("HostPort(%s) = %s, want %s", address, got, want)
		}
	}
}

// fetch makes a call and returns what its body holds.
func fetch(ctx context.Context, client *http.Client, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// Whoever names the vault of another and an endpoint of his own takes no slots of
// the vault.
func TestSlotsAreThoseOfWhatIsDialled(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	t.Cleanup(server.Close)
	endpoint := server.Listener.Addr().String()
	calls := NewCalls(1)
	transports := NewTransports(Options{Calls: calls, MaxAnswer: 100})
	transport, release, err := transports.Acquire(Route{Address: "kv.example.com:80", Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	client := transport.Client("test")

	elsewhere, err := calls.Acquire(t.Context(), "kv.example.com:80")
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere()
	if body, err := fetch(t.Context(), client, "http://kv.example.com/"); err != nil || body != "ok" {
		t.Errorf("got %q, %v while the slot of the address is taken", body, err)
	}
	there, err := calls.Acquire(t.Context(), endpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer there()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fetch(ctx, client, "http://kv.example.com/"); !errors.Is(err, ErrNoSlot) || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v while the slot of the endpoint is taken", err)
	}
}

func TestTheEnvironmentNamesNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://proxy.example.com:3128")
	t.Setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
	var dialled []string
	transports := NewTransports(Options{Calls: NewCalls(1), MaxAnswer: 100, Dial: func(_ context.Context, _, address string) (net.Conn, error) {
		dialled = append(dialled, address)
		return nil, errors.New("no route to host")
	}})
	transport, release, err := transports.Acquire(Route{})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for _, address := range []string{"http://store.example.com", "https://store.example.com"} {
		if _, err := fetch(t.Context(), transport.Client("test"), address); err == nil {
			t.Errorf("%s answered", address)
		}
	}
	if got := strings.Join(dialled, " "); got != "store.example.com:80 store.example.com:443" {
		t.Errorf("dialled %s", got)
	}
}

func TestRoutesShareTheirTransport(t *testing.T) {
	transports := NewTransports(Options{Calls: NewCalls(1), MaxAnswer: 100})
	var releases []func()
	acquire := func(route Route) *Transport {
		got, release, err := transports.Acquire(route)
		if err != nil {
			t.Fatal(err)
		}
		releases = append(releases, release)
		return got
	}
	one := acquire(Route{})
	if acquire(Route{}) != one || acquire(Route{TLS: TLS{ServerName: "other"}}) == one {
		t.Error("a Transport is shared by those with equal Routes, and by no others")
	}
	for _, release := range releases {
		release()
		release()
	}
	if len(transports.shared.used) != 0 {
		t.Errorf("%d are left after the last gave its own back", len(transports.shared.used))
	}
}

func TestAnswersAreBounded(t *testing.T) {
	const limit = 64 << 10
	for name, test := range map[string]struct {
		size      int
		announced bool
		too       bool
	}{
		"as large as may be":       {limit, false, false},
		"larger":                   {limit + 1, false, true},
		"announced as large":       {limit, true, false},
		"announced as larger":      {limit + 1, true, true},
		"nothing":                  {0, true, false},
		"a little, in many pieces": {10, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			given := strings.Repeat("x", test.size)
			resp := &http.Response{ContentLength: -1, Body: io.NopCloser(strings.NewReader(given))}
			if test.announced {
				resp.ContentLength = int64(test.size)
			}
			bound(t.Context(), resp, limit)
			got, err := io.ReadAll(resp.Body)
			var large *TooLargeError
			switch {
			case errors.As(err, &large) != test.too:
				t.Errorf("error %v", err)
			case test.too && err.Error() != "the answer is larger than 64 KiB":
				t.Errorf("error %v", err)
			case test.too && test.announced && len(got) > 0:
				t.Errorf("%d bytes were read of an answer that announced too much", len(got))
			case !test.too && string(got) != given:
				t.Errorf("read %d of %d bytes", len(got), test.size)
			}
		})
	}
}

func TestTLSSettings(t *testing.T) {
	for name, test := range map[string]struct {
		tls                   TLS
		byOperator, oneServer bool
		want                  string
	}{
		"nothing":                          {TLS{}, false, false, ""},
		"a class's certificate":            {TLS{CACert: "PEM"}, false, false, ""},
		"a class's file":                   {TLS{CACertFile: "/ca.pem"}, false, true, "tls.caCertFile reads a file of the node, so only the operator's configuration file may give it; put the certificate itself into tls.caCert"},
		"a class's client certificate":     {TLS{ClientCertFile: "/c", ClientKeyFile: "/k"}, false, true, "tls.clientCertFile reads a file of the node"},
		"the operator's files":             {TLS{CACertDir: "/ca", ClientCertFile: "/c", ClientKeyFile: "/k"}, true, false, ""},
		"a relative path":                  {TLS{CACertDir: "ca"}, true, false, "tls.caCertDir must be an absolute path on the node"},
		"two sources":                      {TLS{CACert: "PEM", CACertDir: "/ca"}, true, false, "tls.caCert give one of"},
		"a certificate without a key":      {TLS{ClientCertFile: "/c"}, true, false, "tls.clientCertFile give `tls.clientCertFile` and `tls.clientKeyFile` together"},
		"a name for one server":            {TLS{ServerName: "a"}, false, true, ""},
		"a name for several":               {TLS{ServerName: "a"}, true, false, "tls.serverName has no place here"},
		"no verification of several":       {TLS{InsecureSkipVerify: true}, true, false, "tls.insecureSkipVerify has no place here"},
		"no verification, with a CA":       {TLS{InsecureSkipVerify: true, CACert: "PEM"}, true, true, "tls.insecureSkipVerify a certificate authority is of no use"},
		"no verification, with one server": {TLS{InsecureSkipVerify: true}, false, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var problems strings.Builder
			test.tls.Check(test.byOperator, test.oneServer, func(field, format string, args ...any) {
				problems.WriteString(field + " " + strings.ReplaceAll(format, "%s", firstText(args)) + "\n")
			})
			if got := problems.String(); !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
				t.Errorf("problems %q, want %q", got, test.want)
			}
		})
	}
}

func firstText(args []any) string {
	if len(args) == 0 {
		return ""
	}
	text, _ := args[0].(string)
	return text
}

func TestFilesThatCannotBeReadAreRefusedByTheirField(t *testing.T) {
	for field, settings := range map[string]TLS{
		"tls.caCert": {CACert: "no certificate"}, "tls.caCertFile": {CACertFile: "/nowhere/ca.pem"},
		"tls.clientCertFile": {ClientCertFile: "/nowhere/c", ClientKeyFile: "/nowhere/k"},
	} {
		_, _, err := NewTransports(Options{Calls: NewCalls(1)}).Acquire(Route{TLS: settings})
		if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), field+": ") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestHeadersAreBounded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 2*maxHeaderBytes))
	}))
	t.Cleanup(server.Close)
	transport, release, err := NewTransports(Options{Calls: NewCalls(1), MaxAnswer: 100}).Acquire(Route{})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, err := fetch(t.Context(), transport.Client("test"), server.URL); err == nil || !strings.Contains(err.Error(), "headers exceeded") {
		t.Errorf("error %v", err)
	}
}

// Whichever product is called, the error of a handshake says which setting is about
// it.
func TestHandshakeErrorsHaveARemedy(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog, server.EnableHTTP2 = log.New(io.Discard, "", 0), true
	server.StartTLS()
	t.Cleanup(server.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	for name, test := range map[string]struct {
		tls     TLS
		address string
		want    string
	}{
		"authority": {TLS{}, server.URL, "give that in tls.caCert"},
		"host":      {TLS{CACert: authority, ServerName: "other.test"}, server.URL, "tls.serverName"},
		"no TLS":    {TLS{}, "https" + strings.TrimPrefix(plain.URL, "http"), "does not speak TLS on this port"},
	} {
		t.Run(name, func(t *testing.T) {
			transport, release, err := NewTransports(Options{Calls: NewCalls(1), MaxAnswer: 1}).Acquire(Route{TLS: test.tls})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(release)
			resp, err := transport.Client("test").Get(test.address)
			if err == nil {
				_ = resp.Body.Close()
			}
			address, parseErr := url.Parse(test.address)
			if parseErr != nil {
				t.Fatal(parseErr)
			}
			conn, dialErr := transport.DialGRPC(address, 1)
			if dialErr != nil {
				t.Fatal(dialErr)
			}
			t.Cleanup(func() { _ = conn.Close() })
			called := conn.Invoke(t.Context(), "/a.B/C", nil, nil)
			for _, failed := range []error{err, called} {
				if failed == nil || !strings.Contains(failed.Error(), test.want) {
					t.Errorf("error %v, want %q in it", failed, test.want)
				}
			}
		})
	}
}

// oftenClosed is a request's body as the AWS SDK has it: what closes it again fails.
type oftenClosed struct{ io.Reader }

func (oftenClosed) Close() error { return io.EOF }

func TestABodyThatWasClosedBeforeDoesNotEndTheAnswer(t *testing.T) {
	large := strings.Repeat("x", 8<<20)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			_, _ = io.WriteString(w, large)
		}
	}))
	defer server.Close()
	transport, giveBack, err := NewTransports(Options{Calls: NewCalls(1), MaxAnswer: 16 << 20}).Acquire(Route{})
	if err != nil {
		t.Fatal(err)
	}
	defer giveBack()
	for range 20 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, oftenClosed{strings.NewReader("{}")})
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = 2
		resp, err := transport.Client("test").Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || len(body) != len(large) {
			t.Fatalf("%d of %d bytes: %v", len(body), len(large), err)
		}
	}
}

package proxy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/internal/proxy"
	"github.com/lanyardhq/lanyard/internal/proxy/proxytest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// greeter is a server that speaks first.
func greeter(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { must(t, listener.Close()) })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "hello")
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

// through reads what the target says, and returns the error of connecting.
func through(t *testing.T, settings proxy.Settings, target string) (string, error) {
	t.Helper()
	p := proxy.New(settings)
	via, err := p.For(target)
	must(t, err)
	if via == nil {
		return "", errors.New("directly")
	}
	conn, err := p.Connect(t.Context(), (&net.Dialer{}).DialContext, via, target)
	if err != nil {
		return "", err
	}
	defer func() { must(t, conn.Close()) }()
	must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	said, err := io.ReadAll(conn)
	must(t, err)
	return string(said), nil
}

func credentialsFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credentials")
	must(t, os.WriteFile(path, []byte(text), mode))
	return path
}

func TestAConnectionGoesThroughTheProxy(t *testing.T) {
	server := greeter(t)
	for name, running := range map[string]*proxytest.Proxy{"http": proxytest.Start(t), "https": proxytest.StartTLS(t)} {
		running.Route = func(string) string { return server }
		running.Authorization = "Basic dXNlcjpwYTpzcw==" // user:pa:ss
		settings := proxy.Settings{URL: running.URL, CACertFile: running.CACertFile, CredentialsFile: credentialsFile(t, "user:pa:ss\n", 0o600)}
		said, err := through(t, settings, "store.example.com:8200")
		if err != nil || said != "hello" {
			t.Errorf("%s: %q, %v", name, said, err)
		}
		if asked := running.Requested(); !slices.Equal(asked, []string{"store.example.com:8200"}) {
			t.Errorf("%s: the proxy was asked for %q", name, asked)
		}
	}
}

func TestFailuresOfTheProxyAreToldAsItsOwn(t *testing.T) {
	server := greeter(t)
	running := proxytest.Start(t)
	running.Route = func(address string) string {
		return map[string]string{"store.example.com:443": server}[address]
	}
	running.Authorization = "Basic dXNlcjpzM2NyM3Q=" // user:s3cr3t
	good := credentialsFile(t, "user:s3cr3t", 0o600)
	secure := proxytest.StartTLS(t)
	for name, c := range map[string]struct {
		settings     proxy.Settings
		target, want string
	}{
		"no credentials":         {proxy.Settings{URL: running.URL}, "store.example.com:443", "it wants other credentials (407); see proxy.credentialsFile"},
		"wrong ones":             {proxy.Settings{URL: running.URL, CredentialsFile: credentialsFile(t, "user:s3cr3t2", 0o600)}, "store.example.com:443", "(407)"},
		"not user and password":  {proxy.Settings{URL: running.URL, CredentialsFile: credentialsFile(t, "s3cr3t", 0o600)}, "store.example.com:443", "must hold one line, USER:PASSWORD"},
		"two lines":              {proxy.Settings{URL: running.URL, CredentialsFile: credentialsFile(t, "user:s3cr3t\nX: y", 0o600)}, "store.example.com:443", "must hold one line"},
		"a file others may read": {proxy.Settings{URL: running.URL, CredentialsFile: credentialsFile(t, "user:s3cr3t", 0o644)}, "store.example.com:443", "too open"},
		"no such file":           {proxy.Settings{URL: running.URL, CredentialsFile: "/nonexistent/credentials"}, "store.example.com:443", "proxy.credentialsFile"},
		"a target it refuses":    {proxy.Settings{URL: running.URL, CredentialsFile: good}, "other.example.com:443", "it opens no connection to other.example.com:443 (403 Forbidden)"},
		"no proxy there":         {proxy.Settings{URL: "http://" + server}, "store.example.com:443", "not HTTP"},
		"nobody there":           {proxy.Settings{URL: "http://127.0.0.1:1"}, "store.example.com:443", "refused"},
		"an authority not known": {proxy.Settings{URL: secure.URL}, "store.example.com:443", "unknown authority"},
		"TLS where there is none": {
			proxy.Settings{URL: strings.Replace(running.URL, "http:", "https:", 1)}, "store.example.com:443", "does not look like a TLS handshake",
		},
	} {
		_, err := through(t, c.settings, c.target)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "the proxy ") || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if op := new(net.OpError); !errors.As(err, &op) || op.Op != "dial" {
			t.Errorf("%s: %#v is no failure to dial", name, err)
		}
	}
}

func TestAProxyThatSaysNothingIsGivenUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { must(t, listener.Close()) }()
	p := proxy.New(proxy.Settings{URL: "http://" + listener.Addr().String()})
	via, err := p.For("store.example.com:443")
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Connect(ctx, (&net.Dialer{}).DialContext, via, "store.example.com:443"); err == nil || !strings.Contains(err.Error(), "did not open a connection in time") {
		t.Errorf("%v, want that it took too long", err)
	}
}

func TestWhatIsConnectedToDirectly(t *testing.T) {
	p := proxy.New(proxy.Settings{URL: "http://proxy.example.com:3128", NoProxy: "10.0.0.0/8, .svc, vault.example.com, 192.0.2.7:8200"})
	for address, direct := range map[string]bool{
		"10.1.2.3:443": true, "11.1.2.3:443": false, "vault.vault.svc:8200": true, "vault.example.com:443": true, "a.vault.example.com:443": true,
		"example.com:443": false, "192.0.2.7:8200": true, "192.0.2.7:443": false, "localhost:8200": true, "127.0.0.1:8200": true, "[::1]:8200": true,
	} {
		via, err := p.For(address)
		if err != nil || (via == nil) != direct {
			t.Errorf("%s: %v, %v; want directly: %t", address, via, err, direct)
		}
	}
	if via, err := proxy.New(proxy.Settings{}).For("example.com:443"); via != nil || err != nil {
		t.Errorf("without a proxy: %v, %v", via, err)
	}
}

func TestTheEnvironmentHasASayOnlyWhereItIsAsked(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://user:s3cr3t@proxy.example.com:3128")
	t.Setenv("NO_PROXY", "vault.example.com")
	if p := proxy.New(proxy.Settings{}); p != nil {
		t.Error("settings without a proxy follow the environment")
	}
	via, err := proxy.New(proxy.Settings{URL: "http://own.example.com:3128"}).For("vault.example.com:443")
	if err != nil || via == nil || via.Host != "own.example.com:3128" {
		t.Errorf("settings with a proxy lead to %v, %v", via, err)
	}
	via, err = proxy.FromEnvironment().For("store.example.com:443")
	if err != nil || via == nil || via.Host != "proxy.example.com:3128" {
		t.Errorf("the environment leads to %v, %v", via, err)
	}
	if via, err = proxy.FromEnvironment().For("vault.example.com:443"); via != nil || err != nil {
		t.Errorf("NO_PROXY: %v, %v", via, err)
	}
}

func TestSettingsThatCannotBeUsed(t *testing.T) {
	for _, c := range []struct {
		settings proxy.Settings
		want     string
	}{
		{proxy.Settings{}, ""},
		{proxy.Settings{URL: "http://proxy.example.com:3128"}, ""},
		{proxy.Settings{URL: "https://[2001:db8::1]:3128/", CACertFile: "/ca", CredentialsFile: "/c", NoProxy: "x"}, ""},
		{proxy.Settings{NoProxy: "x"}, "url: is missing"},
		{proxy.Settings{URL: "http://user:s3cr3t@proxy.example.com"}, "url: must not hold a user name or password"},
		{proxy.Settings{URL: "http://user:s3cr3t@[proxy"}, "url: is not a URL"},
		{proxy.Settings{URL: "proxy.example.com:3128"}, "url: must begin with http"},
		{proxy.Settings{URL: "socks5://proxy.example.com:3128"}, "url: must begin with http"},
		{proxy.Settings{URL: "http://:3128"}, "url: names no host"},
		{proxy.Settings{URL: "http://proxy.example.com/x"}, "url: must not go beyond the port"},
		{proxy.Settings{URL: "http://proxy.example.com?x"}, "url: must not go beyond the port"},
		{proxy.Settings{URL: "http://proxy.example.com", CACertFile: "/ca"}, "caCertFile: has no effect"},
		{proxy.Settings{URL: "http://proxy.example.com", CredentialsFile: "c"}, "credentialsFile: must be an absolute path"},
	} {
		var problems []string
		c.settings.Check(func(field, text string) { problems = append(problems, field+": "+text) })
		got := strings.Join(problems, "\n")
		if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" || strings.Contains(got, "s3cr3t") {
			t.Errorf("%+v: %q, want %q", c.settings, got, c.want)
		}
	}
}

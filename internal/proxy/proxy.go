// Package proxy opens connections through an HTTP proxy, with the method CONNECT
// (RFC 9110, section 9.3.6). Which proxy that is, settings say; the process's
// environment does only where FromEnvironment is called.
//
// Start with Settings and New.
package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/lanyardhq/lanyard/internal/nodefile"
)

const (
	// connectTime bounds what the proxy takes to open a connection, with the
	// handshake before it.
	connectTime = 10 * time.Second
	// maxHeaderBytes bounds the proxy's answer.
	maxHeaderBytes = 64 << 10
	// maxFileBytes bounds a file of authorities or credentials.
	maxFileBytes = 1 << 20
)

// Settings say through which proxy connections go. The zero value is none.
type Settings struct {
	// URL is the proxy's: http://HOST:PORT or https://HOST:PORT.
	URL string `yaml:"url"`
	// CACertFile holds the authorities that a proxy of https:// is trusted by;
	// empty means the system's.
	CACertFile string `yaml:"caCertFile"`
	// CredentialsFile holds USER:PASSWORD for the proxy.
	CredentialsFile string `yaml:"credentialsFile"`
	// NoProxy lists what is connected to directly, as golang.org/x/net/http/httpproxy
	// reads it.
	NoProxy string `yaml:"noProxy"`
}

// Check reports to add what is wrong, by the field's name. It reads no file.
func (s Settings) Check(add func(field, text string)) {
	if s == (Settings{}) {
		return
	}
	const want = "must be the proxy's URL, such as http://proxy.example.com:3128"
	// The parser's own error repeats the URL, which may hold a password.
	parsed, err := url.Parse(s.URL)
	switch {
	case s.URL == "":
		add("url", "is missing; "+want)
	case err != nil:
		add("url", "is not a URL; "+want)
	case parsed.User != nil:
		add("url", "must not hold a user name or password; put USER:PASSWORD into a file, and name that in credentialsFile")
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		add("url", "must begin with http:// or https://; other kinds of proxies are not supported")
	case parsed.Hostname() == "":
		add("url", "names no host; "+want)
	case strings.Trim(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "":
		add("url", "must not go beyond the port: no path, no ?, no #; "+want)
	case parsed.Scheme == "http" && s.CACertFile != "":
		add("caCertFile", "has no effect with a proxy of http://")
	}
	for _, file := range []struct{ field, path string }{{"caCertFile", s.CACertFile}, {"credentialsFile", s.CredentialsFile}} {
		if file.path != "" && !filepath.IsAbs(file.path) {
			add(file.field, "must be an absolute path")
		}
	}
}

// Proxy decides which connections go through a proxy, and opens them. A nil Proxy
// sends none through one. It is safe for concurrent use.
type Proxy struct {
	settings Settings
	choose   func(*url.URL) (*url.URL, error)
}

// New returns the Proxy of settings that have passed Check; nil for the zero
// Settings. Its files are read for each connection, so that they may be renewed.
func New(settings Settings) *Proxy {
	if settings.URL == "" {
		return nil
	}
	config := httpproxy.Config{HTTPSProxy: settings.URL, NoProxy: settings.NoProxy}
	return &Proxy{settings: settings, choose: config.ProxyFunc()}
}

// FromEnvironment returns the Proxy of the variables HTTPS_PROXY and NO_PROXY; nil if
// there is none. Its URL may hold a user name and password.
func FromEnvironment() *Proxy {
	config := httpproxy.FromEnvironment()
	if config.HTTPSProxy == "" {
		return nil
	}
	return &Proxy{choose: config.ProxyFunc()}
}

// For returns the URL of the proxy for a host and port; nil if they are connected to
// directly.
func (p *Proxy) For(address string) (*url.URL, error) {
	if p == nil {
		return nil, nil //nolint:nilnil // no proxy is an answer
	}
	via, err := p.choose(&url.URL{Scheme: "https", Host: address})
	if err != nil {
		return nil, errors.New("the URL of the proxy cannot be read") // the cause may repeat a password
	}
	return via, nil
}

// Dial opens a connection.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Connect opens a connection to address through the proxy via, which For returned.
// dial opens that to the proxy. An error is a *net.OpError of the operation dial,
// since nothing was sent to address.
func (p *Proxy) Connect(ctx context.Context, dial Dial, via *url.URL, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	conn, err := p.connect(ctx, dial, via, address)
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New("it did not open a connection in time")
		}
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("the proxy %s: %w", via.Host, err)}
	}
	return conn, nil
}

func (p *Proxy) connect(ctx context.Context, dial Dial, via *url.URL, address string) (net.Conn, error) {
	credentials, err := p.credentials(via)
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, "tcp", hostPort(via))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // nothing to be done
	opened, err := p.request(ctx, conn, via, address, credentials)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close() //nolint:errcheck // the first error is what matters
		return nil, err
	}
	return opened, nil
}

// request makes the handshake with a proxy of https:// and asks for the connection.
func (p *Proxy) request(ctx context.Context, conn net.Conn, via *url.URL, address, credentials string) (net.Conn, error) {
	if via.Scheme == "https" {
		config, err := p.trust(via)
		if err != nil {
			return nil, err
		}
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn = secure
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{"User-Agent": {"lanyard"}}}
	if credentials != "" {
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(credentials)))
	}
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	reader := bufio.NewReader(&limited{conn, maxHeaderBytes})
	resp, err := http.ReadResponse(reader, req) //nolint:bodyclose // what follows the header is the connection
	if err != nil {
		return nil, errors.New("what it answered is not HTTP, or broke off")
	}
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusProxyAuthRequired:
		return nil, errors.New("it wants other credentials (407); see proxy.credentialsFile")
	default:
		return nil, fmt.Errorf("it opens no connection to %s (%d %s)", address, resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	// A server that speaks first may have spoken already.
	begun, err := reader.Peek(reader.Buffered())
	if err != nil {
		return nil, err
	}
	return &tunnel{Conn: conn, begun: bytes.NewReader(begun)}, nil
}

// limited reads a bounded number of bytes.
type limited struct {
	net.Conn
	left int
}

// Read implements io.Reader.
func (l *limited) Read(into []byte) (int, error) {
	if l.left <= 0 {
		return 0, errors.New("too long")
	}
	n, err := l.Conn.Read(into[:min(len(into), l.left)])
	l.left -= n
	return n, err
}

// tunnel is a connection through a proxy.
type tunnel struct {
	net.Conn
	begun *bytes.Reader // what came with the proxy's answer
}

// Read implements io.Reader.
func (t *tunnel) Read(into []byte) (int, error) {
	if t.begun.Len() > 0 {
		return t.begun.Read(into)
	}
	return t.Conn.Read(into)
}

// credentials are USER:PASSWORD for the proxy; empty for none.
func (p *Proxy) credentials(via *url.URL) (string, error) {
	if via.User != nil {
		password, _ := via.User.Password()
		return via.User.Username() + ":" + password, nil
	}
	if p.settings.CredentialsFile == "" {
		return "", nil
	}
	content, err := nodefile.ReadPrivate(p.settings.CredentialsFile, maxFileBytes)
	if err != nil {
		return "", fmt.Errorf("proxy.credentialsFile: %w", err)
	}
	text := strings.TrimRight(string(content), "\r\n")
	if user, _, ok := strings.Cut(text, ":"); !ok || user == "" || strings.ContainsAny(text, "\r\n") {
		return "", errors.New("proxy.credentialsFile: must hold one line, USER:PASSWORD")
	}
	return text, nil
}

// trust is the TLS configuration for the connection to a proxy of https://.
func (p *Proxy) trust(via *url.URL) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: via.Hostname(), NextProtos: []string{"http/1.1"}}
	if p.settings.CACertFile == "" {
		return config, nil
	}
	content, err := nodefile.Read(p.settings.CACertFile, maxFileBytes)
	if err != nil {
		return nil, fmt.Errorf("proxy.caCertFile: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("proxy.caCertFile: %s holds no certificate in PEM", p.settings.CACertFile)
	}
	return config, nil
}

// hostPort is the host and port of the proxy.
func hostPort(via *url.URL) string {
	port := via.Port()
	if port == "" {
		port = strconv.Itoa(map[string]int{"http": 80, "https": 443}[via.Scheme])
	}
	return net.JoinHostPort(via.Hostname(), port)
}

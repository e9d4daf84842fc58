package remote

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
)

// Server is one that the calls of a store pass through, for who looks at the way there.
type Server struct {
	// Setting is the setting that says where it is.
	Setting string
	// URL is where it is.
	URL string

	over *Transport
}

// Server is the server at a URL over this Transport.
func (t *Transport) Server(setting, address string) Server { return Server{setting, address, t} }

// Trial is what was found of a server. Each step needs the one before it, and the first
// that fails is the last.
type Trial struct {
	// HostPort is what is dialled.
	HostPort string
	// Proxy is the host of the proxy that leads there, which resolves the name; empty
	// without one.
	Proxy string
	// Addresses are what the name was resolved to.
	Addresses []string
	// Secure says that the server is called with TLS.
	Secure bool
	// CertificateEnds is when the server's certificate ends; zero without TLS.
	CertificateEnds time.Time
	// Date is the server's clock, and At when it was read, by this machine's; both are
	// zero if the server does not tell.
	Date, At time.Time

	// Why the step failed; nil if it did not, or was not reached.
	Resolve, Connect, Handshake, Answer error
}

// Reached says whether the server was connected to.
func (t *Trial) Reached() bool { return t.Resolve == nil && t.Connect == nil }

// Secured says whether the server was connected to, with TLS if it is called so.
func (t *Trial) Secured() bool { return t.Reached() && t.Handshake == nil }

// Try goes the way to the server as a call would: the name, the connection, the
// handshake, and one request without credentials for its clock, by now. The server's answer
// to that does not matter.
func (s Server) Try(ctx context.Context, now func() time.Time) *Trial {
	trial := &Trial{}
	to, err := url.Parse(s.URL)
	if err != nil || to.Hostname() == "" {
		trial.Resolve = fmt.Errorf("%s is not a URL", message.Excerpt(s.URL))
		return trial
	}
	address := HostPort(to)
	trial.HostPort, trial.Secure = s.over.dialled(address), to.Scheme != "http"
	if s.resolve(ctx, trial); trial.Resolve != nil {
		return trial
	}
	conn, err := s.over.dial(ctx, "tcp", address)
	if err != nil {
		trial.Connect = err
		return trial
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	if trial.Secure {
		held := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
		secure, err := s.over.trust.DialTLS(held)(ctx, "tcp", address)
		if err != nil {
			trial.Handshake = err
			return trial
		}
		if state, ok := secure.(*tls.Conn); ok && len(state.ConnectionState().PeerCertificates) > 0 {
			trial.CertificateEnds = state.ConnectionState().PeerCertificates[0].NotAfter
		}
	}
	s.readClock(ctx, trial, now)
	return trial
}

// resolve finds the proxy, or else the addresses.
func (s Server) resolve(ctx context.Context, trial *Trial) {
	via, err := s.over.dialer.proxy.For(trial.HostPort)
	if err != nil {
		trial.Resolve = err
		return
	}
	if via != nil {
		trial.Proxy = via.Host
		return
	}
	host, _, err := net.SplitHostPort(trial.HostPort)
	if err != nil {
		trial.Resolve = err
		return
	}
	trial.Addresses, trial.Resolve = net.DefaultResolver.LookupHost(ctx, host)
}

// readClock reads the server's clock from an answer's Date.
func (s Server) readClock(ctx context.Context, trial *Trial, now func() time.Time) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, s.URL, http.NoBody)
	if err != nil {
		trial.Answer = err
		return
	}
	resp, err := s.over.pool.RoundTrip(req)
	if err != nil {
		trial.Answer = err
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxHeaderBytes)) //nolint:errcheck // the answer does not matter
	_ = resp.Body.Close()                                                 //nolint:errcheck // see above
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		trial.Date, trial.At = date, now()
	}
}

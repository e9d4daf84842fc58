package status

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// Audience is that of the tokens with which the facts are asked for from elsewhere, and
// Path the nonResourceURL that their holders must have the right to get.
const (
	Audience = "lanyard-status"
	Path     = "/status"
)

// keptFor is how long collected facts are answered with, so that many who ask at once cost
// what one does.
const keptFor = time.Second

const (
	// answersAtOnce bounds the answers that are being read, each of which holds the facts as
	// they were: some MiB on a full node.
	answersAtOnce = 4
	// readTime is how long a client may take to read one.
	readTime = 10 * time.Second
)

// Options are what a Server is made of.
type Options struct {
	// Collect are the facts now.
	Collect func() *Facts
	// Allowed says whether the holder of a token, who asks from an address, may ask from
	// elsewhere than this pod or machine, with an error of package fault; nil lets nobody.
	Allowed func(ctx context.Context, from string, token secret.Bytes) error
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Server serves the facts over HTTP. It is safe for concurrent use.
type Server struct {
	opts   Options
	policy string // the page's Content-Security-Policy
	events *events
	turns  chan struct{} // answers at a time

	mu   sync.Mutex
	kept *snapshot
	drop *time.Timer
}

// snapshot are facts with what was made of them.
type snapshot struct {
	facts *Facts

	mu         sync.Mutex
	json, page []byte
}

// New returns a Server that works until Close.
func New(opts Options) *Server {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	s := &Server{opts: opts, turns: make(chan struct{}, answersAtOnce), policy: "default-src 'none'; connect-src 'self'; img-src data:; script-src " + hashOf(script) + "; style-src " + hashOf(style) +
		"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
	s.events = newEvents(func() *Facts { return s.snapshot().facts }, opts.Now)
	return s
}

// hashOf lets a browser run or apply a text of the page.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Close ends the connections that follow the facts, and waits for what is written to them.
func (s *Server) Close() {
	s.events.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drop != nil {
		s.drop.Stop()
	}
}

// Register adds the paths to a mux.
func (s *Server) Register(mux *http.ServeMux) {
	mux.Handle("GET /{$}", s.guard(s.inTurn(s.page)))
	mux.Handle("GET "+Path, s.guard(s.inTurn(s.facts)))
	mux.Handle("GET /events", s.guard(s.follow))
}

// guard answers those who may ask, with headers that keep other sites out of the answers.
func (s *Server) guard(answer http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", s.policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		if code, err := s.refusal(r); err != nil {
			if code == http.StatusUnauthorized {
				h.Set("WWW-Authenticate", "Bearer")
			}
			http.Error(w, err.Error(), code)
			return
		}
		answer(w, r)
	})
}

// inTurn gives few answers at a time, so that clients that do not read cost little.
func (s *Server) inTurn(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.turns <- struct{}{}:
			defer func() { <-s.turns }()
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many read the status at a time; try again", http.StatusServiceUnavailable)
			return
		}
		// Where the writer knows no deadlines, the server's own holds.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(readTime)) //nolint:errcheck // see above
		answer(w, r)
	}
}

// forwarded says that a header is one with which proxies say that a request is somebody
// else's.
func forwarded(header string) bool {
	return header == "Forwarded" || header == "Via" || header == "X-Real-Ip" || strings.HasPrefix(header, "X-Forwarded-") || strings.HasPrefix(header, "X-Envoy-")
}

// isLocal says that a request comes from this pod, or this machine on its network: also
// through kubectl port-forward, which connects there. Other addresses of the loopback
// network stand for others: Istio's sidecar brings what comes from elsewhere as 127.0.0.6,
// or, in versions before, as the pod itself.
// https://github.com/istio/istio/blob/master/releasenotes/notes/inbound-passthrough.yaml
func isLocal(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	for header := range r.Header {
		if forwarded(header) {
			return false
		}
	}
	at := from.Addr().Unmap()
	return at == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || at == netip.IPv6Loopback()
}

// refusal is why a request is not answered, with the HTTP status, or nil.
func (s *Server) refusal(r *http.Request) (int, error) {
	if isLocal(r) {
		// A page of another site may have its own name resolve to this address.
		if !isLiteral(r.Host) {
			return http.StatusForbidden, errors.New("over loopback the status is asked for at an IP address or at localhost, not under another name")
		}
		return 0, nil
	}
	if s.opts.Allowed == nil {
		return http.StatusForbidden, errors.New("this process serves its status over loopback alone; use kubectl port-forward, or ask on the machine itself")
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return http.StatusUnauthorized, fmt.Errorf("from elsewhere than this pod the status takes a bearer token for the audience %s; with kubectl port-forward it takes none", Audience)
	}
	err := s.opts.Allowed(r.Context(), hostOf(r), secret.NewString(strings.TrimSpace(token)))
	switch {
	case err == nil:
		return 0, nil
	case errors.Is(err, fault.ErrUnauthenticated):
		return http.StatusUnauthorized, err
	case errors.Is(err, fault.ErrDenied), errors.Is(err, fault.ErrPrecondition):
		return http.StatusForbidden, err
	}
	return http.StatusServiceUnavailable, err
}

// hostOf is the address that a request comes from.
func hostOf(r *http.Request) string {
	host, _, _ := net.SplitHostPort(r.RemoteAddr) //nolint:errcheck // a text that is none is one address too
	return host
}

// isLiteral says that a Host header has no name that a name server resolves.
func isLiteral(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// snapshot are the facts, collected within the last second.
func (s *Server) snapshot() *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := s.age(); s.kept != nil && age >= 0 && age < keptFor {
		return s.kept
	}
	s.kept = &snapshot{facts: s.opts.Collect()}
	if s.drop != nil {
		s.drop.Stop()
	}
	kept := s.kept
	s.drop = time.AfterFunc(2*keptFor, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.kept == kept {
			s.kept = nil // a full node's take some MiB
		}
	})
	return s.kept
}

func (s *Server) age() time.Duration {
	if s.kept == nil {
		return 0
	}
	return s.opts.Now().Sub(s.kept.facts.Made)
}

func (s *Server) facts(w http.ResponseWriter, _ *http.Request) {
	at := s.snapshot()
	at.mu.Lock()
	if at.json == nil {
		var err error
		if at.json, err = json.Marshal(at.facts); err != nil {
			at.mu.Unlock()
			http.Error(w, "the status cannot be written as JSON", http.StatusInternalServerError)
			return
		}
		at.json = append(at.json, '\n')
	}
	at.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(at.json) //nolint:errcheck // the client may be gone
}

func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	at := s.snapshot()
	at.mu.Lock()
	if at.page == nil {
		at.page = pageOf(at.facts)
	}
	at.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(at.page) //nolint:errcheck // the client may be gone
}

// Package admin is the HTTP listener for those who run the provider: metrics,
// probes, the status and, if asked for, profiles. It has no way to a secret and changes
// nothing. It never serves http.DefaultServeMux, to which imported packages add
// handlers on their own.
//
// Start with New and Open.
package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/bounded"
	"github.com/lanyardhq/lanyard/server/status"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/klog/v2"
)

// DefaultAddress is where the listener is unless told otherwise: out of reach
// for other machines, and on a port that the driver and the providers in
// common use leave alone.
const DefaultAddress = "127.0.0.1:9879"

const (
	readyTimeout  = 2 * time.Second
	scrapesAtOnce = 4
	// profileTime is how long a profile may take to collect and send.
	profileTime = 2 * time.Minute
)

// Options are what a Server is made of.
type Options struct {
	// Registry is served at /metrics; the server's own metrics are registered in it.
	Registry *prometheus.Registry
	// Ready says at /readyz whether the provider can be reached: nil if it
	// can. It is asked once at a time, and its ctx ends after two seconds.
	Ready func(ctx context.Context) error
	// Trouble says at /readyz what does not work of a process that is ready all the same;
	// empty for nothing. Nil never does.
	Trouble func() string
	// Profiles serves /debug/pprof/ too.
	Profiles bool
	// Status, with a function that collects the facts, serves them at /, /status and
	// /events.
	Status status.Options
}

// Server is the listener's server.
type Server struct {
	http     *http.Server
	opts     Options
	status   *status.Server // nil if there is none
	failures prometheus.Counter
}

// Listen listens on a TCP address. With profiles it must be a loopback address,
// because profiles tell more of a process than other machines should know. The error
// wraps ErrAddress if the address can never be listened on.
func Listen(address string, profiles bool) (net.Listener, error) {
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w %s: must be host:port, such as %s: %w", ErrAddress, address, DefaultAddress, err)
	}
	if profiles && !resolved.IP.IsLoopback() {
		return nil, fmt.Errorf("%w %s: profiles are served on loopback addresses only, such as %s", ErrAddress, address, DefaultAddress)
	}
	l, err := net.ListenTCP("tcp", resolved)
	if err != nil {
		return nil, fmt.Errorf("admin address: %w", err)
	}
	return l, nil
}

// ErrAddress means that an address is no address of an admin listener.
var ErrAddress = errors.New("admin address")

// New returns a Server that waits for Serve.
func New(opts Options) *Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(opts.Registry, promhttp.HandlerOpts{MaxRequestsInFlight: scrapesAtOnce}))
	alive := func(w http.ResponseWriter, _ *http.Request) { answer(w, "", nil) }
	mux.HandleFunc("GET /livez", alive)
	mux.HandleFunc("GET /healthz", alive)
	mux.Handle("GET /readyz", readiness(opts))
	write := 30 * time.Second
	if opts.Profiles {
		write = profileTime
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	server := &Server{opts: opts}
	if opts.Status.Collect != nil {
		server.status = status.New(opts.Status)
		server.status.Register(mux)
	}
	server.failures = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lanyard_admin_listen_failures_total",
		Help: "Times that the admin address could not be listened on; it is tried again.",
	})
	opts.Registry.MustRegister(server.failures)
	server.http = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      write,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          log.New(firstLine{}, "", 0),
	}
	return server
}

const (
	// maxConnections is how many connections the listener has. One more ends the oldest
	// of the client that has most.
	maxConnections = 64
	// The pauses between two tries to listen.
	minPause, maxPause = time.Second, 30 * time.Second
)

// Open listens on an address for Run. What goes wrong is logged unless it wraps
// ErrAddress: whoever serves secrets does not wait for its metrics, and Run tries again.
func (s *Server) Open(address string) (net.Listener, error) {
	l, err := Listen(address, s.opts.Profiles)
	if err == nil || errors.Is(err, ErrAddress) {
		return l, err
	}
	s.failures.Inc()
	klog.ErrorS(nil, "The admin address cannot be listened on; metrics and probes are not served until it can", "cause", err.Error())
	return nil, nil //nolint:nilnil // none yet
}

// Run serves on l, which Open returned, until Stop. While l is nil it tries to listen,
// until ctx ends.
func (s *Server) Run(ctx context.Context, address string, l net.Listener) error {
	for pause := minPause; l == nil; pause = min(2*pause, maxPause) {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		var err error
		if l, err = Listen(address, s.opts.Profiles); err != nil {
			s.failures.Inc()
			l = nil
			continue
		}
		klog.InfoS("The admin address is listened on", "admin", l.Addr().String())
	}
	return s.Serve(l)
}

// Serve answers on l, which it closes, until Stop; then the error is nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(bounded.New(l, maxConnections)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin address: %w", err)
	}
	return nil
}

// Stop takes no more requests and returns when those in flight have ended.
// When ctx ends, they are broken off.
func (s *Server) Stop(ctx context.Context) {
	if s.status != nil {
		s.status.Close()
	}
	if s.http.Shutdown(ctx) != nil {
		// There is nobody left to tell.
		_ = s.http.Close() //nolint:errcheck // see above
	}
}

// readiness asks ready for one request at a time; others wait their turn.
func readiness(opts Options) http.Handler {
	turn := make(chan struct{}, 1)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
			err, trouble := opts.Ready(ctx), ""
			if err == nil && opts.Trouble != nil {
				trouble = opts.Trouble()
			}
			answer(w, trouble, err)
		case <-ctx.Done():
			answer(w, "", errors.New("earlier probes are not answered yet"))
		}
	})
}

func answer(w http.ResponseWriter, trouble string, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	text := "ok\n"
	if trouble != "" {
		text += trouble + "\n"
	}
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		text = err.Error() + "\n"
	}
	// The client may be gone; that is its own affair.
	_, _ = io.WriteString(w, text) //nolint:errcheck // see above
}

// firstLine logs what the HTTP server has to say, without the stack of a
// panic, which shows arguments.
type firstLine struct{}

func (firstLine) Write(p []byte) (int, error) {
	line, _, _ := strings.Cut(string(p), "\n")
	klog.ErrorS(nil, "Admin listener", "cause", line)
	return len(p), nil
}

package cmd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/kmsring"
	"github.com/lanyardhq/lanyard/server/admin"
	"github.com/lanyardhq/lanyard/server/kms"
	"github.com/lanyardhq/lanyard/server/process"
	"github.com/lanyardhq/lanyard/server/socket"
	"github.com/lanyardhq/lanyard/server/status"
)

const (
	// defaultKMSSocket is where the API server finds the plugin.
	defaultKMSSocket = "/run/lanyard-kms/kms.sock"
	// defaultKMSAdmin leaves admin.DefaultAddress to a provider on the same node.
	defaultKMSAdmin = "127.0.0.1:9880"
	// kmsMemory is what a plugin's memory is held at, beside what any process
	// of Lanyard needs, in bytes: it caches nothing.
	kmsMemory = 16 << 20
	// keyCalls is the most calls in flight at one address: all Decrypts that a
	// ring lets through, with some to spare for Encrypts, probes and logins. Were
	// it less, a key that hangs would take them from the others at its address.
	keyCalls = kmsring.MaxDecrypts + 64
)

// kmsFlags are the flags of kms.
type kmsFlags struct {
	ring            string
	audit, tracing  string
	node            string
	socket          string
	peerUIDs        []uint
	probeInterval   time.Duration
	adminAddress    string
	profiles        bool
	shutdownTimeout time.Duration
	log             logFlags
}

func newKMS() *cobra.Command {
	var f kmsFlags
	c := &cobra.Command{
		Use:   "kms",
		Short: "Encrypt the API server's secrets with a key service (KMS v2)",
		Long: `Kms is a KMS v2 plugin for the Kubernetes API server: it listens on a unix
socket and encrypts and decrypts with the keys of a key ring file, one of which
writes while any number still read, until SIGTERM or SIGINT ends it. Calls in flight are finished first.

The ring file is read again when it changes, and at SIGHUP. A change that would make unreadable
what was written is refused, and a key that was not in the ring before reads at
once and writes only after the ring's settle time.

The socket is opened before the key services answer. Whether they do is what the
API server is told, not what the process lives by.`,
		Example: `  lanyard kms --ring /etc/lanyard/kms.yaml
  lanyard kms --ring /etc/lanyard/kms.yaml --socket @lanyard-kms
  lanyard kms check --ring /etc/lanyard/kms.yaml`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(c, args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			if err := f.log.apply(c.ErrOrStderr()); err != nil {
				return err
			}
			return f.serve(c.Context())
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.ring, "ring", "", "the key ring `FILE`")
	addAudit(c, &f.audit)
	addTracing(c, &f.tracing)
	flags.StringVar(&f.node, "node", "", "the `NAME` of the node in audit records and traces (default: the host's)")
	flags.StringVar(&f.socket, "socket", defaultKMSSocket, "`PATH` of the socket; @NAME for an abstract one")
	flags.UintSliceVar(&f.peerUIDs, "allow-peer-uid", nil, "`UIDS` of users besides root and the plugin's own that may connect")
	flags.DurationVar(&f.probeInterval, "probe-interval", kms.DefaultProbe, "how often the write key is tried: `TIME` between an Encrypt with a Decrypt and the next")
	flags.StringVar(&f.adminAddress, "admin-address", defaultKMSAdmin, "`HOST:PORT` for metrics, probes and the status; empty for none")
	flags.BoolVar(&f.profiles, "pprof", false, "serve profiles at the admin address, which must be a loopback address")
	flags.DurationVar(&f.shutdownTimeout, "shutdown-timeout", 5*time.Second, "`TIME` that calls in flight may take to end when the plugin stops")
	f.log.add(c)
	c.SuggestionsMinimumDistance = 2
	c.AddCommand(newKMSCheck(), newKMSMigrate(), newKMSRetire())
	return c
}

// check refuses flags that cannot work.
func (f *kmsFlags) check() error {
	if f.ring == "" {
		return usagef("--ring is missing; name the key ring file")
	}
	for _, uid := range f.peerUIDs {
		if uid >= math.MaxUint32 {
			return usagef("--allow-peer-uid: %d is no user", uid)
		}
	}
	// Below a second a probe would overlap what it costs; above a minute API
	// servers would stop writing between two.
	if f.probeInterval < time.Second || f.probeInterval > time.Minute {
		return usagef("--probe-interval must be from 1s to 1m")
	}
	if f.shutdownTimeout < 0 {
		return usagef("--shutdown-timeout must not be negative")
	}
	return checkAdminAddress(f.adminAddress, f.profiles)
}

// loadRing reads a ring file with every kind of key service. Only the node's
// own credentials are used with it, so there are no pods' tokens.
func loadRing(path string) (*kmsring.File, error) {
	return loadRingWith(path, remote.NewCalls(keyCalls))
}

// loadRingWith is loadRing with the calls that the key services share.
func loadRingWith(path string, calls *remote.Calls) (*kmsring.File, error) {
	file, err := kmsring.Load(path, keyTypes(nil, calls))
	if err != nil {
		return nil, usageError{err}
	}
	return file, nil
}

// loadRingNames reads a ring file for what compares key IDs: neither the keys'
// credentials nor their certificates need to be there.
func loadRingNames(path string) (*kmsring.Ring, error) {
	ring, err := kmsring.LoadNames(path, keyTypes(nil, nil))
	if err != nil {
		return nil, usageError{err}
	}
	return ring, nil
}

// serve runs the plugin until ctx ends.
func (f *kmsFlags) serve(ctx context.Context) error {
	if err := process.Harden(); err != nil {
		return err
	}
	shutdown := process.NewShutdown(f.shutdownTimeout)
	defer shutdown.Watch(ctx)()
	caught, release := hangups()
	defer release()
	process.LimitMemory(kmsMemory)
	calls := remote.NewCalls(keyCalls)
	file, err := loadRingWith(f.ring, calls)
	if err != nil {
		return err
	}
	registry := NewRegistry()
	registry.MustRegister(calls.Certificates)
	trail, err := openAuditFile(f.audit, f.node, registry)
	if err != nil {
		return err
	}
	defer trail.Close()
	tracer, err := openTracingFile(f.tracing, "lanyard-kms", f.node, registry)
	if err != nil {
		return err
	}
	defer tracer.Close()
	uids := make([]uint32, len(f.peerUIDs))
	for i, uid := range f.peerUIDs {
		uids[i] = uint32(uid) //nolint:gosec // checked with the flags
	}
	plugin := &kmsPlugin{flags: f, shutdown: shutdown, hangups: caught, reopen: trail.Reopen, server: kms.New(kms.Options{
		Ring: file.Ring, Probe: f.probeInterval, PeerUIDs: uids, Metrics: kms.NewMetrics(registry), Audit: trail, Tracer: tracer,
	})}
	calls.Logins = func(_ context.Context, login remote.Login) {
		plugin.server.LoggedIn(login.StoreType, login.Method, login.Err)
	}
	plugin.watcher = kmsring.NewWatcher(file, plugin.server.SetRing, registry)
	defer func() { plugin.watcher.Ring().Close() }()
	defer plugin.close()
	if err := plugin.open(ctx, registry); err != nil {
		return err
	}
	klog.InfoS("The KMS plugin is ready", "version", thisBuild().Version, "socket", plugin.listener.Path(), "ring", f.ring, "keys", file.Ring.String(), "admin", plugin.adminAddress())
	err = plugin.serve(ctx)
	klog.InfoS("The KMS plugin has stopped")
	return err
}

// kmsPlugin is what kms opens and serves on.
type kmsPlugin struct {
	flags         *kmsFlags
	shutdown      *process.Shutdown
	hangups       <-chan os.Signal
	reopen        func() // the audit log's file
	server        *kms.Server
	watcher       *kmsring.Watcher
	listener      *socket.Listener
	admin         *admin.Server
	adminListener net.Listener
}

// open listens on all before anything is served.
func (p *kmsPlugin) open(ctx context.Context, registry *prometheus.Registry) (err error) {
	if p.listener, err = socket.Listen(ctx, p.flags.socket); err != nil {
		return err
	}
	if p.flags.adminAddress == "" {
		return nil
	}
	p.admin = admin.New(admin.Options{
		Registry: registry, Ready: p.ready, Profiles: p.flags.profiles,
		Status: statusOf("kms", p.flags.node, nil, p.watcher.Watcher, false, func(f *status.Facts) { f.Ring = p.server.Facts() }),
	})
	p.adminListener, err = p.admin.Open(p.flags.adminAddress)
	return err
}

func (p *kmsPlugin) adminAddress() string {
	if p.adminListener == nil {
		return ""
	}
	return p.adminListener.Addr().String()
}

// ready says whether an API server that asks now would be content.
func (p *kmsPlugin) ready(ctx context.Context) error {
	if _, err := kms.CheckHealth(ctx, p.listener.Path()); err != nil {
		return fmt.Errorf("socket %s: %w", p.listener.Path(), err)
	}
	return nil
}

// serve answers until ctx ends or a listener fails, then finishes what is in
// flight.
func (p *kmsPlugin) serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.server.Serve(p.listener) })
	group.Go(func() error { p.server.Run(ctx); return nil })
	group.Go(func() error { p.watcher.Run(ctx); return nil })
	if p.admin != nil {
		group.Go(func() error { return p.admin.Run(ctx, p.flags.adminAddress, p.adminListener) })
	}
	group.Go(func() error { onHangup(ctx, p.hangups, p.watcher.Watcher, p.reopen); return nil })
	group.Go(func() error {
		<-ctx.Done()
		deadline, cancel := context.WithTimeout(context.Background(), p.flags.shutdownTimeout)
		defer cancel()
		ended := p.shutdown.Runs("calls at " + p.listener.Path())
		p.server.Stop(deadline)
		ended()
		if p.admin != nil {
			p.admin.Stop(deadline)
		}
		return nil
	})
	return group.Wait()
}

// close gives back what was opened, served or not.
func (p *kmsPlugin) close() {
	if p.listener != nil {
		if err := p.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			klog.ErrorS(nil, "The socket could not be closed", "cause", err.Error())
		}
	}
	if p.adminListener != nil {
		// It is closed already if it was served.
		_ = p.adminListener.Close() //nolint:errcheck // see above
	}
}

package cmd

import (
	"context"
	"io"
	"maps"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/server/admin"
	"github.com/lanyardhq/lanyard/server/csi"
	"github.com/lanyardhq/lanyard/server/process"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	socketDirectory string
	dialects        []string
	peerUIDs        []uint
	config          string
	node            string
	printConfig     bool
	adminAddress    string
	statusTokens    bool
	profiles        bool
	shutdownTimeout time.Duration
	log             logFlags
}

func newServe() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve secrets to the Secrets Store CSI driver",
		Long: `Serve is the provider for the Secrets Store CSI driver: it listens on a unix
socket for each dialect and answers the driver's mounts until SIGTERM or SIGINT
ends it. Mounts in flight are finished first.

The configuration file is read again when it changes; one that cannot be used
leaves the one before in place. SIGHUP has it read at once, and values too.`,
		Example: `  lanyard serve --config /etc/lanyard/lanyard.yaml
  lanyard serve --config /etc/lanyard/lanyard.yaml --print-config
  lanyard serve --socket-dir ./sockets --admin-address ""`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("serve takes no arguments; see %s --help", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if f.printConfig {
				return f.print(c.OutOrStdout())
			}
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
	flags.StringVar(&f.socketDirectory, "socket-dir", csi.FirstDirectory, "`DIR` in which the driver looks for providers' sockets")
	flags.StringSliceVar(&f.dialects, "dialects", []string{"lanyard"}, "provider `NAMES` to answer to, each with its own syntax of classes")
	flags.UintSliceVar(&f.peerUIDs, "allow-peer-uid", nil, "`UIDS` of users besides root and the provider's own that may connect")
	flags.StringVar(&f.config, "config", "", "the operator's configuration `FILE`; without it the defaults hold")
	flags.StringVar(&f.node, "node", "", "the `NAME` of the node in audit records and traces (default: the host's)")
	flags.BoolVar(&f.printConfig, "print-config", false, "print the configuration that holds, with the meaning of every field, and end")
	flags.StringVar(&f.adminAddress, "admin-address", admin.DefaultAddress, "`HOST:PORT` for metrics, probes and the status; empty for none")
	addStatusTokens(flags, &f.statusTokens)
	flags.BoolVar(&f.profiles, "pprof", false, "serve profiles at the admin address, which must be a loopback address")
	flags.DurationVar(&f.shutdownTimeout, "shutdown-timeout", 25*time.Second, "`TIME` that mounts in flight may take to end when the provider stops")
	f.log.add(c)
	offer(c, "dialects", slices.Sorted(maps.Keys(dialects(nil)))...)
	offerDirectories(c, "socket-dir")
	return c
}

// check refuses flags that cannot work.
func (f *serveFlags) check() error {
	known := slices.Sorted(maps.Keys(dialects(nil)))
	if len(f.dialects) == 0 {
		return usagef("--dialects is empty; known are %s", strings.Join(known, ", "))
	}
	for i, name := range f.dialects {
		if !slices.Contains(known, name) {
			return usagef("--dialects: there is no dialect %q; known are %s", name, strings.Join(known, ", "))
		}
		if slices.Contains(f.dialects[:i], name) {
			return usagef("--dialects: %s is given twice", name)
		}
	}
	for _, uid := range f.peerUIDs {
		if uid >= math.MaxUint32 {
			return usagef("--allow-peer-uid: %d is no user", uid)
		}
	}
	if f.shutdownTimeout < 0 {
		return usagef("--shutdown-timeout must not be negative")
	}
	return checkAdminAddress(f.adminAddress, f.profiles)
}

// checkAdminAddress refuses what is no address, and profiles where others than
// the node's own processes could ask for them.
func checkAdminAddress(address string, profiles bool) error {
	if address == "" {
		if profiles {
			return usagef("--pprof needs an --admin-address")
		}
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return usagef("--admin-address: must be host:port, such as %s", admin.DefaultAddress)
	}
	if ip := net.ParseIP(host); profiles && (host == "" || ip != nil && !ip.IsLoopback()) {
		return usagef("--pprof: profiles are served on loopback addresses only; give an --admin-address such as %s", admin.DefaultAddress)
	}
	return nil
}

// load reads the configuration file; without one it returns nil and the
// defaults.
func (f *serveFlags) load(from func(string) (*config.File, error)) (*config.File, config.Config, error) {
	if f.config == "" {
		return nil, config.Default(), nil
	}
	file, err := from(f.config)
	if err != nil {
		return nil, config.Config{}, usageError{withStores(err)}
	}
	return file, file.Config, nil
}

func (f *serveFlags) print(stdout io.Writer) error {
	_, holds, err := f.load(config.Load)
	if err != nil {
		return err
	}
	return config.Print(stdout, holds)
}

// serve runs the provider until ctx ends.
func (f *serveFlags) serve(ctx context.Context) error {
	if err := process.Harden(); err != nil {
		return err
	}
	shutdown := process.NewShutdown(f.shutdownTimeout)
	defer shutdown.Watch(ctx)()
	caught, release := hangups()
	defer release()
	file, holds, err := f.load(config.LoadTrusted)
	if err != nil {
		return err
	}
	memory := process.LimitMemory(int64(holds.Cache.Bytes))
	registry := NewRegistry()
	own, err := openEngine(file, holds, "lanyard", f.node, registry, func(signals telemetry) (*localEngine, error) {
		return newEngine(holds, registry, &serving{memoryTaken: memory.SetBeside, telemetry: signals})
	})
	if err != nil {
		return err
	}
	defer own.close(shutdown)
	if name := holds.Cache.VersionKeySecret; name != "" {
		own.engine.keys.Begin(name)
	}

	doors := frontDoors{shutdown: shutdown, hangups: caught, forget: own.refresh}
	defer doors.close()
	if err := doors.openSockets(ctx, f, own.engine, csi.NewMetrics(registry), int64(holds.Bounds.RequestBytes)); err != nil {
		return err
	}
	own.watch(func(changed config.Config) {
		doors.setRequestBytes(int64(changed.Bounds.RequestBytes))
		memory.SetCache(int64(changed.Cache.Bytes))
	})
	doors.watcher = own.watcher
	if err := doors.openAdmin(f, registry, statusOf("serve", f.node, own.engine, own.watcher, f.statusTokens, nil)); err != nil {
		return err
	}
	memory.Started()
	klog.InfoS("Lanyard is ready", "version", thisBuild().Version, "sockets", doors.paths(), "admin", doors.adminAddress(), "config", f.config)
	err = doors.serve(ctx)
	klog.InfoS("Lanyard has stopped")
	return err
}

// NewRegistry returns a registry for all that a process counts, with what is told of each process.
func NewRegistry() *prometheus.Registry {
	b := thisBuild()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "lanyard_build_info", Help: "1; the labels say which build this is.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "goversion": b.GoVersion},
	})
	info.Set(1)
	registry := prometheus.NewRegistry()
	registry.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

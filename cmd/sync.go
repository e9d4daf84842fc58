package cmd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/server/admin"
	"github.com/lanyardhq/lanyard/server/process"
	"github.com/lanyardhq/lanyard/server/status"
	"github.com/lanyardhq/lanyard/server/sync/settings"
)

// RunSync is the sync controller in the binary that has it; nil in the others.
var RunSync func(context.Context, settings.Settings) error

// syncBinary is the binary that has the controller.
const syncBinary = "lanyard-sync"

// syncFlags are the flags of sync.
type syncFlags struct {
	settings        settings.Settings
	config          string
	adminAddress    string
	statusTokens    bool
	profiles        bool
	shutdownTimeout time.Duration
	log             logFlags
}

func newSync() *cobra.Command {
	var f syncFlags
	c := &cobra.Command{
		Use:   "sync",
		Short: "Write Secrets without a pod, and keep them as their stores have them",
		Long: `Sync is the controller that writes native Secrets: for each SecretProviderClass
with the annotation lanyard.dev/sync: SERVICE-ACCOUNT those that its secretObjects
describe, and with --secret-syncs those of SecretSync objects. Values are read as
that service account. With --restart, workloads that ask for it are rolled out when a
mounted or synced secret of theirs changes. Of several controllers one works, the others wait.

The controller is in the binary lanyard-sync, beside lanyard in the image; this
command of lanyard starts it.`,
		Example: `  lanyard sync --config /etc/lanyard/lanyard.yaml
  lanyard sync --kubeconfig ~/.kube/config --namespace platform --secret-syncs`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("sync takes no arguments; see %s --help", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			if RunSync == nil {
				return startSyncBinary(os.Args)
			}
			if err := f.log.apply(c.ErrOrStderr()); err != nil {
				return err
			}
			return f.run(c.Context())
		},
	}
	flags, s := c.Flags(), &f.settings
	flags.StringVar(&f.config, "config", "", "the operator's configuration `FILE`; without it the defaults hold")
	flags.StringVar(&s.Kubeconfig, "kubeconfig", "", "`FILE` with the access to the API server; a pod needs none")
	flags.StringVar(&s.Namespace, "namespace", "", "the `NAMESPACE` of the leader's Lease (default: the pod's own)")
	flags.BoolVar(&s.LeaderElection, "leader-election", true, "let one of several controllers work")
	flags.DurationVar(&s.Interval, "interval", settings.DefaultInterval, "`TIME` after about which each object is looked at again")
	flags.DurationVar(&s.DriftInterval, "drift-interval", settings.DefaultDriftInterval, "`TIME` after about which a Secret is written again though its values are the same, which puts right what others changed")
	flags.IntVar(&s.Workers, "workers", settings.DefaultWorkers, "`NUMBER` of objects that are worked on at a time, shared by the namespaces")
	flags.StringSliceVar(&s.SecretTypes, "secret-types", settings.DefaultSecretTypes(), "`TYPES` that a Secret may be of")
	flags.BoolVar(&s.SecretSyncs, "secret-syncs", false, "follow SecretSync objects (secret-sync.x-k8s.io/v1alpha1), once their definition is installed")
	flags.StringVar(&s.ControllerName, "controller-name", "", "the `NAME` in secretSyncControllerName of the SecretSyncs that are this controller's")
	flags.BoolVar(&s.Restart.Enabled, "restart", false, "roll out workloads that ask for it when a secret of theirs changed")
	flags.IntVar(&s.Restart.Max, "restart-max", settings.DefaultRestartMax, "`NUMBER` of rollouts in the cluster at a time")
	flags.IntVar(&s.Restart.MaxNamespace, "restart-max-namespace", settings.DefaultRestartMaxNamespace, "`NUMBER` of rollouts in a namespace at a time")
	flags.DurationVar(&s.Restart.Pause, "restart-pause", settings.DefaultRestartPause, "`TIME` in which nothing else is rolled out for a change after a rollout that did not get ready")
	flags.StringVar(&s.Restart.Window, "restart-window", "", "`DAYS, HOURS and ZONE` in which rollouts may begin, such as \"Mon-Fri 02:00-04:00 Europe/Berlin\"; empty for always")
	flags.StringVar(&f.adminAddress, "admin-address", admin.DefaultAddress, "`HOST:PORT` for metrics, probes and the status; empty for none")
	addStatusTokens(flags, &f.statusTokens)
	flags.BoolVar(&f.profiles, "pprof", false, "serve profiles at the admin address, which must be a loopback address")
	flags.DurationVar(&f.shutdownTimeout, "shutdown-timeout", 25*time.Second, "`TIME` that what is in progress may take to end when the controller stops")
	f.log.add(c)
	return c
}

// check refuses flags that cannot work.
func (f *syncFlags) check() error {
	s := &f.settings
	switch {
	case s.Interval < settings.MinInterval:
		return usagef("--interval must be at least %v", settings.MinInterval)
	case s.DriftInterval < s.Interval:
		return usagef("--drift-interval must be at least --interval, which is %v", s.Interval)
	case s.Workers < 1 || s.Workers > settings.MaxWorkers:
		return usagef("--workers must be from 1 to %d", settings.MaxWorkers)
	case len(s.SecretTypes) == 0 || slices.Contains(s.SecretTypes, ""):
		return usagef("--secret-types must name types, such as Opaque")
	case s.Restart.Max < 1 || s.Restart.MaxNamespace < 1 || s.Restart.Pause <= 0:
		return usagef("--restart-max, --restart-max-namespace and --restart-pause must be above 0")
	case f.shutdownTimeout < 0:
		return usagef("--shutdown-timeout must not be negative")
	}
	for _, forbidden := range []string{"kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"} {
		if slices.Contains(s.SecretTypes, forbidden) {
			return usagef("--secret-types: %s is a credential of the cluster itself and is never written", forbidden)
		}
	}
	return checkAdminAddress(f.adminAddress, f.profiles)
}

// startSyncBinary becomes the binary with the controller, with the same arguments.
func startSyncBinary(args []string) error {
	own, err := os.Executable()
	if err != nil {
		return err
	}
	path := filepath.Join(filepath.Dir(own), syncBinary)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if path, err = exec.LookPath(syncBinary); err != nil {
			return usagef("the controller is in the binary %s, which is neither beside this one nor in PATH; it is part of the image and of every release", syncBinary)
		}
	}
	return syscall.Exec(path, append([]string{path}, args[1:]...), os.Environ()) //nolint:gosec // the binary beside this one
}

// run runs the controller until ctx ends.
func (f *syncFlags) run(ctx context.Context) error {
	if err := process.Harden(); err != nil {
		return err
	}
	shutdown := process.NewShutdown(f.shutdownTimeout)
	defer shutdown.Watch(ctx)()
	caught, release := hangups()
	defer release()
	file, holds, err := (&serveFlags{config: f.config}).load(config.LoadTrusted)
	if err != nil {
		return err
	}
	process.LimitToContainer()
	registry := NewRegistry()
	own, err := openEngine(file, holds, "lanyard-sync", "", registry, func(signals telemetry) (*localEngine, error) {
		return newEngine(holds, registry, &serving{withoutPods: true, kubeconfig: f.settings.Kubeconfig, telemetry: signals})
	})
	if err != nil {
		return err
	}
	defer own.close(shutdown)
	if name := holds.Cache.VersionKeySecret; name != "" {
		own.engine.keys.Begin(name)
	}

	own.watch(func(config.Config) {})

	var filled atomic.Bool
	f.settings.Engine, f.settings.Registry, f.settings.Audit, f.settings.Tracer = own.engine, registry, own.trail, own.tracer
	f.settings.Ready = func() { filled.Store(true) }
	group, ctx := errgroup.WithContext(ctx)
	var controller atomic.Pointer[func(*status.Facts)]
	f.settings.Facts = func(add func(*status.Facts)) { controller.Store(&add) }
	err = serveAdmin(ctx, group, f.adminAddress, admin.Options{
		Registry: registry, Profiles: f.profiles,
		Ready: func(context.Context) error {
			if !filled.Load() {
				return errors.New("the objects of the cluster are not known yet")
			}
			return nil
		},
		Status: statusOf("sync", "", own.engine, own.watcher, f.statusTokens, func(facts *status.Facts) {
			facts.Synced = []status.Synced{}
			if add := controller.Load(); add != nil {
				(*add)(facts)
			}
		}),
	})
	if err != nil {
		return err
	}
	own.follow(ctx, group, caught, own.refresh)
	group.Go(func() error {
		err := RunSync(ctx, f.settings)
		if err == nil && ctx.Err() == nil {
			err = errors.New("the controller ended")
		}
		return err
	})
	err = group.Wait()
	klog.InfoS("Lanyard has stopped")
	return err
}

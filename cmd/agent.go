package cmd

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/dialect/lanyard"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/server/admin"
	"github.com/lanyardhq/lanyard/server/agent"
	"github.com/lanyardhq/lanyard/server/exec"
	"github.com/lanyardhq/lanyard/server/exec/reference"
	"github.com/lanyardhq/lanyard/server/process"
)

// agentFlags are the flags of lanyard agent.
type agentFlags struct {
	classFile, class string
	config           string
	templates        string
	references       []string // the syntaxes
	target, envFile  string
	once, ready      bool
	revoke           bool
	signal, process  string
	command, url     string
	address          string
	shutdownTimeout  time.Duration
	pod              podFlags
	log              logFlags
}

func newAgent() *cobra.Command {
	var f agentFlags
	c := &cobra.Command{
		Use:   "agent",
		Short: "Keep the files of a class fresh in a pod, or on a host, without the driver",
		Long: `Agent reads what a class names, as the pod that it runs in, and writes the files
as the CSI driver does: all or none, behind one link that is switched at once. It
needs no driver and no provider on the node: in a pod, a projected volume gives it
the pod's tokens, and a volume in memory takes the files. On a host, it is a service.

Who the pod is, its token says. The class is in a file, such as a mounted ConfigMap,
or with --class alone a SecretProviderClass of the pod's namespace, which the pod's
account must be allowed to get.

With --once it writes the files and ends: an init container. Otherwise it stays and
keeps them fresh: a sidecar. A read that fails leaves the files as they are. Leases
are renewed while it runs, and with --revoke end with it.

When files have changed it sends a signal to a process, runs a command, or sends a
POST to an address of its own pod or host: once for each change, and again if that
fails, six times at most.

With --templates it renders templates as Vault Agent does, from the store vault.
With --references it writes what variables of its own environment refer to, such as
vault:secret/data/db#password, for lanyard exec --volume in the next container.

With --ready it does nothing but say by its exit code whether the files are there:
for the startup probe of the sidecar. SIGHUP has everything read at once.

Exit codes: 0 the files are written, or with --ready there, or the agent was stopped;
1 they cannot be read or written, or are not there yet; 2 wrong flags, or a file that they name cannot be used.`,
		Example: `  # An init container: write the files and end.
  lanyard agent --once --class-file /class/web.yaml --target /secrets --token vault=/tokens/vault

  # A sidecar: keep them fresh, and have nginx load them.
  lanyard agent --class-file /class/web.yaml --target /secrets --token vault=/tokens/vault \
      --notify-signal HUP --notify-process nginx

  # Its startup probe.
  lanyard agent --ready --target /secrets

  # Files that templates of Vault Agent describe.
  lanyard agent --config lanyard.yaml --templates /config/templates.yaml --target /vault/secrets --token vault=/tokens/vault

  # A file for env.valueFrom.fileKeyRef.
  lanyard agent --once --class web --env-file /env/secrets --token vault=/tokens/vault`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("agent takes no arguments (the syntaxes of --references follow a =); see %s --help", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			notifications, err := f.check()
			if err != nil {
				return err
			}
			if f.ready {
				return agent.Written(f.target)
			}
			if err := f.log.apply(c.ErrOrStderr()); err != nil {
				return err
			}
			return f.run(c, notifications)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.classFile, "class-file", "", "the `FILE` of the class; it is read again when the files are")
	flags.StringVar(&f.class, "class", "", "the `NAME` of the class: of several in the file, or without one in the cluster")
	flags.StringVar(&f.config, "config", "", "the operator's configuration `FILE`; without it there are the stores that the class defines")
	flags.StringVar(&f.templates, "templates", "", "a `FILE` with a list of templates of Vault Agent, whose texts are files too")
	flags.StringSliceVar(&f.references, "references", nil, "read what variables of the agent itself refer to, for lanyard exec --volume; `SYNTAXES` by their programs, or without any all")
	flags.Lookup("references").NoOptDefVal = strings.Join(reference.Syntaxes(), ",")
	flags.StringVar(&f.target, "target", "", "the `DIR` to write the files to; made if missing, and refused if it holds other files")
	flags.StringVar(&f.envFile, "env-file", "", "the `FILE` to write the values to as the kubelet reads variables, NAME='value'")
	flags.BoolVar(&f.once, "once", false, "write the files once and end")
	flags.BoolVar(&f.ready, "ready", false, "say by the exit code whether --target has files, and do nothing else")
	flags.BoolVar(&f.revoke, "revoke", false, "have leases end with the agent: it revokes the logins that they hang on")
	flags.StringVar(&f.signal, "notify-signal", "", "the `SIGNAL` that --notify-process gets when files have changed, such as HUP")
	flags.StringVar(&f.process, "notify-process", "", "the `NAME` of the process that gets --notify-signal")
	flags.StringVar(&f.command, "notify-command", "", "the `COMMAND` that is run when files have changed, without a shell")
	flags.StringVar(&f.url, "notify-url", "", "the `URL` of a loopback address that gets a POST when files have changed")
	flags.StringVar(&f.address, "address", "", "`HOST:PORT` for metrics and probes; empty for none")
	flags.DurationVar(&f.shutdownTimeout, "shutdown-timeout", 10*time.Second, "`TIME` that what is in flight may take to end when the agent stops")
	f.pod.add(flags)
	f.log.add(c)
	offerDirectories(c, "target")
	offer(c, "notify-signal", strings.Split(exec.SignalNames(), ", ")...)
	return c
}

// check refuses flags that cannot work.
func (f *agentFlags) check() (notifications []agent.Notification, err error) {
	notifies := f.signal != "" || f.process != "" || f.command != "" || f.url != ""
	switch {
	case f.ready && f.target == "":
		return nil, usagef("--ready needs the --target that it looks at")
	case f.ready:
		return nil, nil
	case f.target == "" && f.envFile == "":
		return nil, usagef("give --target, where the files go, or --env-file; see lanyard agent --help")
	case f.classFile == "" && f.class == "" && f.templates == "" && len(f.references) == 0:
		return nil, usagef("give --class-file, or with --class the name of a class in the cluster; see lanyard agent --help")
	case f.once && (notifies || f.address != ""):
		return nil, usagef("--once: --notify-signal, --notify-process, --notify-command, --notify-url and --address are for an agent that stays")
	case (f.signal == "") != (f.process == ""):
		return nil, usagef("--notify-signal and --notify-process: give both or neither")
	case f.shutdownTimeout < 0:
		return nil, usagef("--shutdown-timeout must not be negative")
	}
	if f.envFile != "" && f.target != "" && within(f.target, f.envFile) {
		return nil, usagef("--env-file: must not lie in --target, where the files of the class are the only ones; name another folder of the volume")
	}
	for _, syntax := range f.references {
		if !slices.Contains(reference.Syntaxes(), syntax) {
			return nil, usagef("--references must be some of %s", strings.Join(reference.Syntaxes(), ", "))
		}
	}
	if f.signal != "" {
		signal, known := exec.Signal(f.signal)
		if !known {
			return nil, usagef("--notify-signal must be one of %s", exec.SignalNames())
		}
		notifications = append(notifications, agent.BySignal(signal, f.process))
	}
	if f.command != "" {
		n, err := agent.ByCommand(f.command)
		if err != nil {
			return nil, usagef("--notify-command: %w", err)
		}
		notifications = append(notifications, n)
	}
	if f.url != "" {
		n, err := agent.ByURL(f.url)
		if err != nil {
			return nil, usagef("--notify-url: %w", err)
		}
		notifications = append(notifications, n)
	}
	return notifications, checkAdminAddress(f.address, false)
}

// within says whether a path lies in a directory.
func within(dir, path string) bool {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return true
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return true
	}
	relative, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(relative)
}

// run writes the files, and keeps them fresh until the command's context ends.
func (f *agentFlags) run(c *cobra.Command, notifications []agent.Notification) error {
	ctx := c.Context()
	if err := process.Harden(); err != nil {
		return err
	}
	shutdown := process.NewShutdown(f.shutdownTimeout)
	defer shutdown.Watch(ctx)()
	caught, release := hangups()
	defer release()
	var target *agent.Target
	if f.target != "" {
		var err error
		// The application may be another user's; the modes of files are the class's.
		if target, err = agent.OpenTarget(f.target, 0o755); err != nil {
			return usagef("--target: %w", err)
		}
	}
	file, holds, err := (&serveFlags{config: f.config}).load(config.LoadTrusted)
	if err != nil {
		return err
	}
	if file == nil {
		holds = forOneself(holds)
	}
	var templates *agentTemplates
	if f.templates != "" {
		if templates, err = readAgentTemplates(f.templates, f.target); err != nil {
			return usageError{fmt.Errorf("--templates: %w", err)}
		}
		notifications = append(notifications, templates.commands...)
	}
	references, err := reference.Find(exec.Inherited(), f.references)
	if err != nil {
		return usageError{fmt.Errorf("--references: %w", err)}
	}
	registry := NewRegistry()
	own, err := openEngine(file, holds, "lanyard-agent", "", registry, func(signals telemetry) (*localEngine, error) {
		return engineFor(holds, registry, nil, local{stays: !f.once, revoke: f.revoke, telemetry: signals})
	})
	if err != nil {
		return err
	}
	defer own.close(shutdown)
	reader := &agentReader{agentFlags: f, stdin: stdin(c), engine: own.engine, templates: templates, references: references}
	now := make(chan struct{}, 1)
	a := agent.New(agent.Options{
		Read: reader.read, Target: target, EnvFile: f.envFile, Notifications: notifications, Now: now, Registry: registry,
	})
	if f.once {
		return a.Once(ctx)
	}

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { process.KeepSmall(ctx); return nil })
	if err := serveAdmin(ctx, group, f.address, admin.Options{Registry: registry, Ready: a.Ready, Trouble: a.Trouble}); err != nil {
		return err
	}
	own.watch(func(config.Config) {})
	own.follow(ctx, group, caught, func() {
		own.refresh()
		select {
		case now <- struct{}{}:
		default:
		}
	})
	group.Go(func() error { return a.Run(ctx) })
	err = group.Wait()
	klog.InfoS("Lanyard has stopped")
	return err
}

// agentReader reads what the agent writes: tokens and a class's file are read each time, a
// class of the cluster once.
type agentReader struct {
	*agentFlags
	stdin      io.Reader
	engine     *localEngine
	templates  *agentTemplates       // nil for none
	references []reference.Reference // of the agent's own environment
	known      *classManifest        // of the cluster
}

// read reads the class, the templates' secrets and the references.
func (r *agentReader) read(ctx context.Context, outlook *engine.Outlook) (*engine.Volume, error) {
	volume := &engine.Volume{}
	if r.classFile != "" || r.class != "" || r.templates != nil {
		class, err := r.manifest(ctx)
		if err != nil {
			return nil, err
		}
		if volume, err = r.mount(ctx, class, r.pod, outlook); err != nil {
			return nil, err
		}
		if r.templates != nil {
			if volume, err = r.templates.render(volume); err != nil {
				return nil, err
			}
		}
	}
	// Some may stand for objects of the class.
	references := reference.Without(r.references, func(object string) bool {
		return slices.ContainsFunc(volume.Files, func(f engine.File) bool { return f.Path == object })
	})
	if len(references) == 0 {
		return volume, nil
	}
	parameters, err := reference.Class(references, referenceOptions())
	if err != nil {
		return nil, fmt.Errorf("--references: %w", err)
	}
	// Attributes of a volume are for the class.
	pod := r.pod
	pod.attributes = nil
	var of engine.Outlook
	more, err := r.mount(ctx, classManifest{provider: reference.Dialect, parameters: parameters}, pod, &of)
	if err != nil {
		return nil, fmt.Errorf("--references: %w", reference.InVariables(err))
	}
	if outlook.Due.IsZero() || of.Due.Before(outlook.Due) {
		outlook.Due = of.Due
	}
	outlook.Stale += of.Stale
	made := *volume
	made.Files = slices.Concat(volume.Files, more.Files)
	return &made, nil
}

// manifest is the class, with the templates' objects.
func (r *agentReader) manifest(ctx context.Context) (class classManifest, err error) {
	switch {
	case r.classFile != "":
		class, err = readClass(r.stdin, r.classFile, r.class)
	case r.class == "":
		class = classManifest{provider: lanyard.Name}
	case r.known != nil:
		class = *r.known
	default:
		if class, err = classFromCluster(ctx, r.pod, r.class, "lanyard-agent"); err == nil {
			r.known = &class
		}
	}
	if err == nil && r.templates != nil {
		class, err = r.templates.addTo(class)
	}
	return class, err
}

func (r *agentReader) mount(ctx context.Context, class classManifest, flags podFlags, outlook *engine.Outlook) (*engine.Volume, error) {
	pod, err := flags.read(class)
	if err != nil {
		return nil, err
	}
	parameters := map[string]string{}
	maps.Copy(parameters, class.parameters)
	maps.Copy(parameters, pod.attributes)
	volume, err := r.engine.Mount(ctx, engine.Request{Dialect: class.provider, Parameters: parameters, Identity: pod.identity, Outlook: outlook})
	if err != nil && r.config == "" && strings.Contains(err.Error(), "no store of that name is configured") {
		err = fmt.Errorf("%w (without --config there are only the stores that the class defines itself)", err)
	}
	return volume, err
}

package cmd

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// exitNotOK is the exit code of lanyard status where everything could be asked for or not,
// and something that it shows is not as it should be.
const exitNotOK = 3

// statusFlags are the flags of lanyard status.
type statusFlags struct {
	kubeconfig, context string
	all                 bool
	filter              statusFilter
	release, selector   string
	kubernetesOnly      bool
	secrets             bool
	providerURL         string
	watch               bool
	interval            time.Duration
	output              string

	now    func() time.Time
	after  func(time.Duration) <-chan time.Time
	limits statusLimits
}

func newStatus() *cobra.Command {
	return statusCommand(&statusFlags{now: time.Now, after: time.After, limits: defaultStatusLimits})
}

// statusCommand is the command with a clock and limits.
func statusCommand(f *statusFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what pods and synced Secrets hold, and what failed",
		Long: `Status lists the pods that mount classes and the Secrets that lanyard sync writes,
the worst first: which objects each holds, in which version and how old, when they
are read again and when their leases end, what failed, since when and why, and
which stores are down. It never reads or prints a value.

It reads SecretProviderClassPodStatuses, pods, classes, SecretSyncs, the kubelet's
events and the metadata of Secrets, and asks the provider of each node that has
such pods, the sync controller, and with -A the KMS plugins, over a port-forward
(create on pods/portforward in Lanyard's namespace, which the ClusterRoleBindings of
its chart name, or --release-namespace, and for the KMS plugins in kube-system).
docs/status.md has the roles that allow it. What cannot be read or reached is told
below the table.

The states: failed (the last mount or sync failed), stale (old values stand in for
a store that is down), behind (a newer value was read and is not delivered yet),
waiting (nothing was mounted yet), mounted (no provider tells more), ok.

With --provider-url it asks one provider, or the KMS plugin, on this machine and no
API server.

Exit codes: 0 nothing is failed, stale or behind, no store is down, and no KMS plugin
or sync controller is kept from its work, 1 nothing is, as far as could be read, 2
wrong flags, 3 something is. --watch ends with 0.`,
		Example: `  lanyard status -A
  lanyard status -n prod --problems
  lanyard status -n prod --pod web-0 -o wide
  lanyard status -A --store vault --watch
  lanyard status --provider-url http://127.0.0.1:9879`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("status takes no arguments; name a pod with --pod; see lanyard status --help")
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := c.Flags()
	addKubeconfig(flags, &f.kubeconfig, &f.context)
	flags.StringVarP(&f.filter.namespace, "namespace", "n", "", "the `NAME` of the namespace (default: that of the kubeconfig's context)")
	flags.BoolVarP(&f.all, "all-namespaces", "A", false, "all namespaces")
	flags.StringVar(&f.filter.pod, "pod", "", "only the pod of this `NAME`")
	flags.StringVar(&f.filter.class, "class", "", "only the class of this `NAME`")
	flags.StringVar(&f.filter.store, "store", "", "only what has objects of the store of this `NAME`")
	flags.BoolVar(&f.filter.problems, "problems", false, "only what is not as it should be, or waits")
	flags.StringVar(&f.release, "release-namespace", "", "the `NAME` of the namespace that Lanyard is installed in (default: the one that its ClusterRoleBindings name)")
	flags.StringVar(&f.selector, "selector", "app.kubernetes.io/name in (lanyard,lanyard-sync,lanyard-kms)", "the `LABELS` of Lanyard's own pods")
	flags.BoolVar(&f.kubernetesOnly, "kubernetes-only", false, "ask no provider: only what Kubernetes' objects say")
	flags.BoolVar(&f.secrets, "secrets", true, "list the metadata of synced Secrets, which takes the right to list Secrets")
	flags.StringVar(&f.providerURL, "provider-url", "", "the `URL` of the admin listener of one provider or KMS plugin on this machine; no API server is asked")
	flags.BoolVar(&f.watch, "watch", false, "show it again and again until SIGINT or SIGTERM")
	flags.DurationVar(&f.interval, "interval", 10*time.Second, "the `TIME` between two looks with --watch, at least 2s")
	addOutput(c, &f.output, "; wide has a line for each object", "text", "wide", "json")
	return c
}

func (f *statusFlags) run(c *cobra.Command) error {
	switch {
	case f.interval < 2*time.Second:
		return usagef("--interval: must be at least 2s")
	case f.all && f.filter.namespace != "":
		return usagef("--namespace and --all-namespaces: give one")
	case f.providerURL != "" && (f.kubeconfig != "" || f.context != "" || f.kubernetesOnly):
		return usagef("--provider-url asks no API server; leave out --kubeconfig, --context and --kubernetes-only")
	}
	look, err := f.source(c)
	if err != nil {
		return err
	}
	screen := newScreen(c.OutOrStdout())
	if !f.watch {
		report, err := look(c.Context())
		if c.Context().Err() != nil {
			return errors.New("interrupted; nothing is shown")
		}
		if err != nil {
			return err
		}
		if err := report.print(screen, f.output); err != nil {
			return err
		}
		return report.verdict()
	}
	for first := true; ; first = false {
		report, err := look(c.Context())
		switch {
		case c.Context().Err() != nil:
			return nil //nolint:nilerr // it is over
		case err != nil && first:
			return err
		case err != nil:
			fmt.Fprintf(c.ErrOrStderr(), "%s not read: %v\n", f.now().Format(time.TimeOnly), printablePassage(err.Error()))
		default:
			if err := report.printAgain(screen, f.output, first); err != nil {
				return err
			}
		}
		select {
		case <-c.Context().Done():
			return nil
		case <-f.after(f.interval):
		}
	}
}

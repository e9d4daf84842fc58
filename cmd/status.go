package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/server/status"
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

	now   func() time.Time
	after func(time.Duration) <-chan time.Time
}

func newStatus() *cobra.Command { return newStatusAt(time.Now, time.After) }

// newStatusAt is the command with a clock.
func newStatusAt(now func() time.Time, after func(time.Duration) <-chan time.Time) *cobra.Command {
	f := statusFlags{now: now, after: after}
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what pods and synced Secrets hold, and what failed",
		Long: `Status lists the pods that mount classes and the Secrets that lanyard sync writes,
the worst first: which objects each holds, in which version and how old, when they
are read again and when their leases end, what failed, since when and why, and
which stores are down. It never reads or prints a value.

It reads SecretProviderClassPodStatuses, pods, classes, SecretSyncs, the kubelet's
events and the metadata of Secrets, and asks the provider of each node that has
such pods, and the sync controller, over a port-forward (create on
pods/portforward in Lanyard's namespace). docs/status.md has the role that allows
it. What cannot be read or reached is told below the table.

The states: failed (the last mount or sync failed), stale (old values stand in for
a store that is down), behind (a newer value was read and is not delivered yet),
waiting (nothing was mounted yet), mounted (no provider tells more), ok.

With --provider-url it asks one provider on this machine and no API server.

Exit codes: 0 nothing is failed, stale or behind and no store is down, 1 nothing
is, as far as could be read, 2 wrong flags, 3 something is. --watch ends with 0.`,
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
	flags.StringVar(&f.release, "release-namespace", "", "the `NAME` of the namespace that Lanyard is installed in (default: its pods are looked for in all)")
	flags.StringVar(&f.selector, "selector", "app.kubernetes.io/name in (lanyard,lanyard-sync)", "the `LABELS` of Lanyard's own pods")
	flags.BoolVar(&f.kubernetesOnly, "kubernetes-only", false, "ask no provider: only what Kubernetes' objects say")
	flags.BoolVar(&f.secrets, "secrets", true, "list the metadata of synced Secrets, which takes the right to list Secrets")
	flags.StringVar(&f.providerURL, "provider-url", "", "the `URL` of the admin listener of one provider on this machine; no API server is asked")
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
			fmt.Fprintf(c.ErrOrStderr(), "%s not read: %v\n", f.now().Format(time.TimeOnly), err)
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

// source is how a report is made.
func (f *statusFlags) source(c *cobra.Command) (func(context.Context) (*statusReport, error), error) {
	if f.providerURL != "" {
		target, err := loopbackURL(f.providerURL)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (*statusReport, error) {
			provider := statusProvider{}
			provider.read(getLocal(ctx, target))
			if provider.Error != "" {
				return nil, fmt.Errorf("%s: %s", target, provider.Error)
			}
			return newStatusReport(f.now(), nil, []statusProvider{provider}, f.filter), nil
		}, nil
	}
	if f.filter.namespace == "" && !f.all {
		namespace, _, err := kubeSettings(f.kubeconfig, f.context).Namespace()
		if err != nil {
			return nil, usagef("the kubeconfig cannot be read: %w", err)
		}
		f.filter.namespace = namespace
	}
	cluster, err := openCluster(f.kubeconfig, f.context, "lanyard-status")
	if err != nil {
		return nil, err
	}
	forward, err := newForwarder(cluster.config)
	if err != nil {
		return nil, usageError{err}
	}
	return func(ctx context.Context) (*statusReport, error) {
		bar := newProgressBar(c.ErrOrStderr())
		defer bar.end()
		query := clusterQuery{namespace: f.filter.namespace, release: f.release, selector: f.selector, secrets: f.secrets}
		if f.kubernetesOnly {
			query.selector = ""
		}
		state, err := cluster.state(ctx, query, bar.later)
		if err != nil {
			return nil, err
		}
		var providers []statusProvider
		if !f.kubernetesOnly {
			providers = f.ask(ctx, forward, state, bar)
		}
		return newStatusReport(f.now(), state, providers, f.filter), nil
	}, nil
}

// askedAtOnce is how many providers are asked at a time.
const askedAtOnce = 8

// ask asks the providers of the nodes that have pods, and the sync controllers if Secrets
// are synced. That there is none to ask is told.
func (f *statusFlags) ask(ctx context.Context, forward *forwarder, state *clusterState, bar *progressBar) []statusProvider {
	if state.hidden {
		return nil // which is told already
	}
	nodes := state.nodes(&f.filter)
	asked := slices.DeleteFunc(slices.Clone(state.providers), func(p providerPod) bool {
		if p.program == "sync" {
			return f.filter.pod != "" || !state.syncsSecrets()
		}
		_, wanted := nodes[p.node]
		if wanted {
			nodes[p.node] = true
		}
		return !wanted
	})
	maps.DeleteFunc(nodes, func(_ string, covered bool) bool { return covered })
	if len(nodes) > 0 {
		state.notRead = append(state.notRead, fmt.Sprintf("no pod of a provider was found on nodes that have pods with classes: %s; see --selector and --release-namespace",
			message.Names(slices.Sorted(maps.Keys(nodes)), message.Printable)))
	}
	answers := make([]statusProvider, len(asked))
	var done int
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(askedAtOnce)
	for i, pod := range asked {
		group.Go(func() error {
			answers[i] = statusProvider{Namespace: pod.namespace, Pod: pod.name, Node: pod.node, Program: pod.program}
			answers[i].read(forward.get(ctx, pod.namespace, pod.name, pod.port, status.Path))
			mu.Lock()
			defer mu.Unlock()
			done++
			bar.later("providers", done, len(asked))
			return nil
		})
	}
	_ = group.Wait() //nolint:errcheck // each answer has its own error
	return answers
}

// read takes what a provider answers.
func (p *statusProvider) read(body []byte, err error) {
	var facts status.Facts
	if err == nil {
		if err = json.Unmarshal(body, &facts); err != nil {
			err = errors.New("its answer is not understood; it is of another version")
		}
	}
	if err != nil {
		p.Error = message.Passage(err.Error())
		return
	}
	p.facts, p.Program, p.Version = &facts, message.Printable(facts.Program), message.Printable(facts.Version)
	if p.Node == "" {
		p.Node = message.Printable(facts.Node)
	}
}

// loopbackURL is the address of the status of a provider on this machine. Over a network the
// facts would be in the clear, and from anybody.
func loopbackURL(text string) (string, error) {
	target, err := url.Parse(text)
	if err != nil || target.Scheme != "http" || target.Host == "" || target.User != nil {
		return "", usagef("--provider-url: must be as http://127.0.0.1:9879")
	}
	address, err := netip.ParseAddr(target.Hostname())
	if target.Hostname() != "localhost" && (err != nil || !address.IsLoopback()) {
		return "", usagef("--provider-url: %s is not this machine; use kubectl port-forward, or leave the flag out to have the providers asked through the API server", message.Printable(target.Host))
	}
	return (&url.URL{Scheme: "http", Host: target.Host, Path: status.Path}).String(), nil
}

// getLocal is the body of the answer of a provider on this machine, which no proxy and no
// redirect is between.
func getLocal(ctx context.Context, target string) ([]byte, error) {
	client := http.Client{
		Timeout: forwardTime, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer answer.Body.Close() //nolint:errcheck // nothing was written
	return answerBody(answer)
}

// screen is where a report is printed.
type screen struct {
	io.Writer
	terminal bool
	color    bool
	width    func() int // of a terminal; 0 for any
}

func newScreen(out io.Writer) *screen {
	file, ok := out.(*os.File)
	if !ok || !isTerminal(file) {
		return &screen{Writer: out, width: func() int { return 0 }}
	}
	return &screen{
		Writer: out, terminal: true,
		// https://no-color.org
		color: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		width: func() int {
			width, _, err := term.GetSize(int(file.Fd()))
			if err != nil {
				return 0
			}
			return width
		},
	}
}

// clearScreen is what a terminal clears itself by.
const clearScreen = "\x1b[H\x1b[2J\x1b[3J"

// printAgain prints one of several reports: over the one before on a terminal, after it
// elsewhere.
func (r *statusReport) printAgain(to *screen, format string, first bool) error {
	if format == "json" {
		return printJSONLine(to, r)
	}
	var text strings.Builder
	switch {
	case to.terminal:
		text.WriteString(clearScreen)
	case !first:
		text.WriteString("\n")
	}
	fmt.Fprintf(&text, "%s\n", r.Time.Format(time.DateTime))
	if err := r.print(&screen{&text, to.terminal, to.color, to.width}, format); err != nil {
		return err
	}
	_, err := io.WriteString(to, text.String())
	return err
}

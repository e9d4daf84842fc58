package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/server/admin"
	"github.com/lanyardhq/lanyard/server/status"
)

// source is how a report is made.
func (f *statusFlags) source(c *cobra.Command) (func(context.Context) (*statusReport, error), error) {
	if f.providerURL != "" {
		target, err := loopbackURL(f.providerURL)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (*statusReport, error) {
			provider, budget := statusProvider{}, newAnswerBudget(f.limits, f.now())
			provider.read(budget, func(use func(io.Reader) error) error { return getLocal(ctx, target, use) }, func(*engine.VolumeFacts) bool { return true })
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
		query := clusterQuery{filter: &f.filter, release: f.release, selector: f.selector, secrets: f.secrets}
		if f.kubernetesOnly {
			query.selector = ""
		}
		state, err := cluster.state(ctx, query, bar.later)
		if err != nil {
			return nil, err
		}
		var providers []statusProvider
		if !f.kubernetesOnly {
			providers = f.query(ctx, forward, state, bar)
		}
		return newStatusReport(f.now(), state, providers, f.filter), nil
	}, nil
}

// maxQueries is how many providers are queried at a time.
const maxQueries = 16

// query queries the providers of the nodes that have pods, the sync controllers if Secrets are
// synced, and the KMS plugins if everything is looked at. What they tell is believed of what
// the API server knows to be theirs.
func (f *statusFlags) query(ctx context.Context, forward *forwarder, state *clusterState, bar *progressBar) []statusProvider {
	ctx, cancel := context.WithTimeoutCause(ctx, f.limits.time, errAllTime)
	defer cancel()
	targets := f.targets(state)
	answers := make([]statusProvider, len(targets))
	budget := newAnswerBudget(f.limits, f.now())
	var done, refused int
	var liars []string
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(maxQueries)
	for i := range targets {
		group.Go(func() error {
			pod, otherwise := &targets[i], 0
			answers[i] = statusProvider{Namespace: pod.namespace, Pod: pod.name, Node: pod.node, Program: pod.program}
			answers[i].read(budget, func(use func(io.Reader) error) error {
				return forward.get(ctx, pod.namespace, pod.name, pod.port, status.Path, use)
			}, func(volume *engine.VolumeFacts) bool {
				take, other := state.vouches(pod, volume)
				if other {
					otherwise++
				}
				return take
			})
			mu.Lock()
			defer mu.Unlock()
			if otherwise > 0 {
				refused, liars = refused+otherwise, append(liars, pod.namespace+"/"+pod.name)
			}
			done++
			bar.later("providers", done, len(targets))
			return nil
		})
	}
	_ = group.Wait() //nolint:errcheck // each answer has its own error
	if refused > 0 {
		slices.Sort(liars)
		state.notRead = append(state.notRead, fmt.Sprintf("facts of %s were not taken: the API server knows their pods under another name, in another namespace or on another node than these providers report: %s",
			count(refused, "volume"), message.Names(liars, printableName)))
	}
	return answers
}

// targets are the pods of Lanyard to query. A node without one is reported.
func (f *statusFlags) targets(state *clusterState) []providerPod {
	if state.hidden {
		return nil // which is told already
	}
	nodes := state.nodes(&f.filter)
	targets := slices.DeleteFunc(slices.Clone(state.providers), func(p providerPod) bool {
		switch p.program {
		case programSync:
			return f.filter.pod != "" || !state.syncsSecrets()
		case programKMS:
			return !f.filter.wholeCluster()
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
			message.Names(slices.Sorted(maps.Keys(nodes)), printableName)))
	}
	return targets
}

// read takes what a provider answers. get hands on the body.
func (p *statusProvider) read(budget *answerBudget, get func(use func(io.Reader) error) error, take func(*engine.VolumeFacts) bool) {
	if budget.spent() {
		p.Error = errAllRead.Error()
		return
	}
	var facts *providerFacts
	err := get(func(body io.Reader) (err error) {
		facts, err = budget.readFacts(body, take)
		return err
	})
	if err != nil {
		p.Error = printablePassage(err.Error())
		return
	}
	p.Version, p.Stores, p.volumes = facts.version, facts.stores, facts.volumes
	p.started = facts.started
	p.Ring, p.Problems, p.synced = facts.ring, facts.problems, facts.synced
	p.Program, p.Node = cmp.Or(p.Program, facts.program), cmp.Or(p.Node, facts.node)
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

// getLocal hands on the body of the answer of a provider on this machine, which no proxy
// and no redirect is between.
func getLocal(ctx context.Context, target string, use func(io.Reader) error) error {
	client := http.Client{
		Timeout: forwardTime, Transport: &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: headBytes},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w; the provider's flag --admin-address says where it listens: by default --provider-url is http://%s", errors.Unwrap(err), admin.DefaultAddress)
	}
	if err != nil {
		return errors.Unwrap(err)
	}
	defer answer.Body.Close() //nolint:errcheck // nothing was written
	return useAnswer(answer, use)
}

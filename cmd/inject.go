package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/server/admin"
	"github.com/lanyardhq/lanyard/server/inject"
	"github.com/lanyardhq/lanyard/server/inject/certificate"
	"github.com/lanyardhq/lanyard/server/inject/webhook"
	"github.com/lanyardhq/lanyard/server/process"
)

// injectFlags are the flags of inject.
type injectFlags struct {
	options     inject.Options
	pullPolicy  string
	agentConfig string
	quantities  map[string]*string

	dryRun    bool
	output    string
	namespace string

	address         string
	service         string
	secret          string
	webhook         string
	certFile        string
	keyFile         string
	kubeconfig      string
	adminAddress    string
	profiles        bool
	shutdownDelay   time.Duration
	shutdownTimeout time.Duration
	log             logFlags
}

// Names of the objects of the webhook, as the chart with its defaults makes them.
const defaultInjectName = "lanyard-inject"

func newInject() *cobra.Command {
	var f injectFlags
	c := &cobra.Command{
		Use:   "inject [FILE|DIR|-]...",
		Short: "Change pods that ask for it, so that they get secrets",
		Long: `Inject is the webhook that API servers ask about new pods. A pod with the
annotation lanyard.dev/inject gets the files of its SecretProviderClass, or their
values in variables; with --dialects pods of other webhooks are understood too. A
pod that asks for what cannot be is refused, with all that is wrong and what to do.
The webhook sees no value and has no right to read any.

Its certificate is its own: replicas share it in a Secret, and the authority is
written into the MutatingWebhookConfiguration. With --tls-cert-file and
--tls-key-file it is somebody else's, such as cert-manager's, and read again when it changes.

With --dry-run nothing is served: the pods of manifests are changed as the webhook
would change them, and the difference is printed. No cluster is needed.

Exit codes of --dry-run: 0 printed, 1 a pod is refused, 2 the input cannot be used or
makes no pods.`,
		Example: `  lanyard inject --dry-run deployment.yaml
  kustomize build . | lanyard inject --dry-run --dialects vault-agent --vault-address https://vault.example.com:8200 -o yaml -
  lanyard inject --namespace lanyard --audience vault`,
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case f.dryRun && len(args) == 0:
				return usagef("nothing to change; name files, directories or - for standard input; see %s --help", c.CommandPath())
			case !f.dryRun && len(args) > 0:
				return usagef("the webhook takes no files; give --dry-run to see what becomes of them")
			}
			return nil
		},
		ValidArgsFunction: manifests,
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			f.options.Agent = func(given inject.Given) []string { return agentWould(given, true) }
			if f.dryRun {
				return f.runDry(c, args)
			}
			if err := f.log.apply(c.ErrOrStderr()); err != nil {
				return err
			}
			return f.serve(c.Context())
		},
	}
	flags, o := c.Flags(), &f.options
	flags.BoolVar(&f.dryRun, "dry-run", false, "print what the webhook would change of the pods in manifests")
	addOutput(c, &f.output, " of --dry-run: the difference, or the manifests as they would be", "diff", "yaml")
	flags.StringVar(&f.namespace, "namespace", "", "the `NAMESPACE` of the webhook (default: the pod's own), or with --dry-run of manifests that name none")

	flags.StringVar(&o.Image, "image", defaultImage(), "the `IMAGE` that agents and lanyard-exec come from")
	flags.StringVar(&f.pullPolicy, "image-pull-policy", string(core.PullIfNotPresent), "when nodes pull the image: `POLICY` Always, IfNotPresent or Never")
	flags.BoolVar(&o.ImageVolumes, "image-volumes", false, "mount lanyard-exec from the image, which takes Kubernetes 1.33 with the feature ImageVolume and nodes that can; else an init container copies it")
	flags.StringSliceVar(&o.Audiences, "audience", nil, "`AUDIENCES` of the tokens that agents get where a pod names none")
	flags.StringVar(&f.agentConfig, "agent-config", "", "the configuration `FILE` of agents, with the operator's stores; it is written into the pods, so it holds no credential")
	flags.StringSliceVar(&o.Dialects, "dialects", nil, "the `DIALECTS` that are understood beside Lanyard's own annotations: vault-agent, bank-vaults, akv2k8s")
	flags.StringVar(&o.Vault.Address, "vault-address", "", "the `URL` of Vault for pods of other webhooks that name none")
	flags.StringVar(&o.Vault.Namespace, "vault-namespace", "", "the `NAMESPACE` of Vault for them")
	flags.StringVar(&o.Vault.AuthPath, "vault-auth-path", "kubernetes", "the `PATH` of Vault's auth method for them")
	flags.StringVar(&o.Vault.Audience, "vault-audience", "", "the `AUDIENCE` of the tokens that log them in; empty for that of the API server, as those webhooks have it")
	flags.StringVar(&o.Vault.CACertSecret, "vault-ca-secret", "", "the `SECRET`, in the namespace of each pod, with the authority of Vault as ca.crt")
	flags.StringVar(&o.AKVClass, "akv-class", "akv2k8s", "the `NAME` of the SecretProviderClass of each namespace that has an object for each of its AzureKeyVaultSecrets, where a pod names none")
	flags.StringSliceVar(&o.Exempt, "exempt-namespaces", []string{"kube-system"}, "`NAMESPACES` whose pods are never changed, beside the webhook's own")
	f.quantities = map[string]*string{}
	defaults := inject.DefaultResources()
	for _, q := range quantities {
		value := defaults.Requests
		if q.limit {
			value = defaults.Limits
		}
		text := ""
		if set, ok := value[q.of]; ok {
			text = set.String()
		}
		f.quantities[q.flag] = flags.String(q.flag, text, "`QUANTITY` that agents have; empty for none")
	}

	flags.StringVar(&f.address, "address", ":8443", "`HOST:PORT` that API servers call")
	flags.StringVar(&f.service, "service", defaultInjectName, "the `NAME` of the Service that API servers call, which the certificate is for")
	flags.StringVar(&f.secret, "secret", defaultInjectName, "the `NAME` of the Secret in which replicas share their certificate")
	flags.StringVar(&f.webhook, "webhook", defaultInjectName, "the `NAME` of the MutatingWebhookConfiguration that gets the authority")
	flags.StringVar(&f.certFile, "tls-cert-file", "", "certificate `FILE` that somebody else renews")
	flags.StringVar(&f.keyFile, "tls-key-file", "", "key `FILE` of that certificate")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "`FILE` with the access to the API server; a pod needs none")
	flags.StringVar(&f.adminAddress, "admin-address", admin.DefaultAddress, "`HOST:PORT` for metrics and probes; empty for none")
	flags.BoolVar(&f.profiles, "pprof", false, "serve profiles at the admin address, which must be a loopback address")
	flags.DurationVar(&f.shutdownDelay, "shutdown-delay", 5*time.Second, "`TIME` in which a webhook that stops still answers, until nobody calls it any more")
	flags.DurationVar(&f.shutdownTimeout, "shutdown-timeout", 20*time.Second, "`TIME` that answers in progress may take to end when the webhook stops")
	f.log.add(c)
	return c
}

// released is the version of a release, whose image there is.
var released = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+$`)

// defaultImage is the image of this version.
func defaultImage() string {
	const repository = "ghcr.io/lanyardhq/lanyard"
	if version := thisBuild().Version; released.MatchString(version) {
		return repository + ":" + version
	}
	return repository + ":latest"
}

// quantities are the flags of agents' resources.
var quantities = []struct {
	flag  string
	limit bool
	of    core.ResourceName
}{
	{"agent-cpu-request", false, core.ResourceCPU}, {"agent-memory-request", false, core.ResourceMemory},
	{"agent-cpu-limit", true, core.ResourceCPU}, {"agent-memory-limit", true, core.ResourceMemory},
}

// check completes the options and refuses flags that cannot work.
func (f *injectFlags) check() error {
	o := &f.options
	o.PullPolicy = core.PullPolicy(f.pullPolicy)
	if !slices.Contains([]core.PullPolicy{core.PullAlways, core.PullIfNotPresent, core.PullNever}, o.PullPolicy) {
		return usagef("--image-pull-policy must be Always, IfNotPresent or Never")
	}
	for _, dialect := range o.Dialects {
		if !slices.Contains(inject.Dialects(), dialect) {
			return usagef("--dialects: %s is none of %v", dialect, inject.Dialects())
		}
	}
	o.Resources = core.ResourceRequirements{Requests: core.ResourceList{}, Limits: core.ResourceList{}}
	for _, q := range quantities {
		if *f.quantities[q.flag] == "" {
			continue
		}
		parsed, err := resource.ParseQuantity(*f.quantities[q.flag])
		if err != nil {
			return usagef("--%s: must be a quantity such as 100m or 64Mi", q.flag)
		}
		list := o.Resources.Requests
		if q.limit {
			list = o.Resources.Limits
		}
		list[q.of] = parsed
	}
	if f.agentConfig != "" {
		file, err := config.Load(f.agentConfig)
		if err != nil {
			return usageError{withStores(err)}
		}
		if err := opensElsewhere(file.Config); err != nil {
			return usageError{file.Explain(err)}
		}
		text, err := os.ReadFile(f.agentConfig)
		if err != nil {
			return usageError{err}
		}
		o.AgentConfig = string(text)
	}
	switch {
	case o.Image == "":
		return usagef("--image is empty")
	case (f.certFile == "") != (f.keyFile == ""):
		return usagef("--tls-cert-file and --tls-key-file: give both or none")
	case f.shutdownDelay < 0 || f.shutdownTimeout < 0:
		return usagef("--shutdown-delay and --shutdown-timeout must not be negative")
	case f.dryRun:
		return nil
	}
	return checkAdminAddress(f.adminAddress, f.profiles)
}

// serve answers API servers until ctx ends.
func (f *injectFlags) serve(ctx context.Context) error {
	if err := process.Harden(); err != nil {
		return err
	}
	process.LimitToContainer()
	namespace := f.namespace
	if namespace == "" {
		own, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
		if err != nil {
			return usagef("--namespace: is missing, and this is no pod that has one; to see what becomes of manifests, give --dry-run and their files")
		}
		namespace = string(own)
	}
	f.options.Exempt = append(f.options.Exempt, namespace)
	look := certificate.FromFiles(f.certFile, f.keyFile)
	if f.certFile == "" {
		access, err := clientcmd.BuildConfigFromFlags("", f.kubeconfig)
		if err != nil {
			return usageError{err}
		}
		access.Timeout = 10 * time.Second
		cluster, err := certificate.InCluster(access, namespace, f.secret, f.webhook)
		if err != nil {
			return err
		}
		look = certificate.FromCluster(cluster, []string{f.service + "." + namespace + ".svc"})
	}
	keeper := &certificate.Keeper{Look: look}
	registry := NewRegistry()
	server := webhook.New(webhook.Options{Inject: f.options, Certificate: keeper.Get, Metrics: registry, Now: time.Now})
	keeper.Changed = server.CertificateEnds
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.address)
	if err != nil {
		return fmt.Errorf("--address: %w", err)
	}
	shutdown := process.NewShutdown(f.shutdownDelay + f.shutdownTimeout)
	defer shutdown.Watch(ctx)()

	// What serves ends later than ctx: nobody is refused because the Service has not heard yet.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var group errgroup.Group
	failed := make(chan struct{})
	group.Go(func() error { keeper.Run(serving); return nil })
	group.Go(func() error {
		defer close(failed)
		return server.Serve(listener)
	})
	var metrics *admin.Server
	if f.adminAddress != "" {
		metrics = admin.New(admin.Options{Registry: registry, Profiles: f.profiles, Ready: func(context.Context) error {
			if ctx.Err() != nil {
				return errors.New("the webhook is stopping")
			}
			return keeper.Ready(time.Now())
		}})
		opened, err := metrics.Open(f.adminAddress)
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		group.Go(func() error { return metrics.Run(serving, f.adminAddress, opened) })
	}
	klog.InfoS("Lanyard's webhook is listening", "address", listener.Addr().String(), "dialects", f.options.Dialects)
	select {
	case <-ctx.Done():
		time.Sleep(f.shutdownDelay)
	case <-failed:
	}
	bounded, cancel := context.WithTimeout(serving, f.shutdownTimeout)
	defer cancel()
	server.Stop(bounded)
	if metrics != nil {
		metrics.Stop(bounded)
	}
	stop()
	err = group.Wait()
	klog.InfoS("Lanyard has stopped")
	return err
}

// injectOptions are those of a check that knows nothing of the operator: whatever a webhook
// may be told is assumed.
func injectOptions() inject.Options {
	return inject.Options{
		Image: defaultImage(), Audiences: []string{"any"}, Resources: inject.DefaultResources(), Dialects: inject.Dialects(),
		Vault: inject.Vault{Address: "https://vault", AuthPath: "kubernetes"}, AKVClass: "any",
	}
}

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	secretsstore "sigs.k8s.io/secrets-store-csi-driver/pkg/secrets-store"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/integration/issuer"
)

// providerCommand as the first argument measures a provider that is running,
// whichever that is, and holds it to nothing.
const providerCommand = "provider"

// providerOptions are the flags of the provider command.
type providerOptions struct {
	socket, class             string
	namespace, serviceAccount string
	tokens                    map[string]string // files by audience
	pods                      int
	vault, listen             string
	delay                     time.Duration
	quick                     bool
	block                     time.Duration // how long one block of repeat mounts is
}

func parseProviderOptions(args []string, stderr io.Writer) (providerOptions, error) {
	o := providerOptions{tokens: map[string]string{}, block: 400 * time.Millisecond}
	flags := flag.NewFlagSet("bench "+providerCommand, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.socket, "socket", "", "the provider's socket `file`, named after the provider: .../vault.sock")
	flags.StringVar(&o.class, "class", "", "the `file` of a SecretProviderClass; lanyard needs none, and then renders 20 templates")
	flags.StringVar(&o.namespace, "namespace", "", "the pods' `namespace` (default: the class's own, else default)")
	flags.StringVar(&o.serviceAccount, "service-account", "default", "the `name` of the pods' service account")
	flags.Func("token", "a service account token as `AUDIENCE=FILE`, as kubectl create token makes it; may be repeated", func(value string) error {
		audience, file, ok := strings.Cut(value, "=")
		if !ok {
			return errors.New("must be AUDIENCE=FILE")
		}
		o.tokens[audience] = file
		return nil
	})
	flags.IntVar(&o.pods, "pods", pollPods, "how `many` pods are polled")
	flags.StringVar(&o.vault, "vault", "", "count the calls to the Vault at this `URL`, by a proxy that the provider is to use in its place")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8210", "the `address` of that proxy")
	flags.DurationVar(&o.delay, "delay", 0, "the `time` that the proxy adds to each request")
	flags.BoolVar(&o.quick, "quick", false, "take a fifth of the samples")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case filepath.Ext(o.socket) != ".sock":
		return o, errors.New("-socket: name the provider's socket, a file such as /var/run/secrets-store-csi-providers/vault.sock")
	case o.pods < 1:
		return o, errors.New("-pods: must be at least 1")
	}
	var err error
	o.socket, err = filepath.Abs(o.socket)
	return o, err
}

func runProvider(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseProviderOptions(args, stderr)
	if err != nil {
		return err
	}
	l, err := newLab(options{quick: o.quick}, stderr)
	if err != nil {
		return err
	}
	measured, err := measureProvider(ctx, l, o)
	if err := errors.Join(err, l.close()); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s, %d files for each mount, on %s\n\n", measured.who, measured.files, describeMachine(""))
	return printProvider(stdout, measured.figures)
}

// printProvider prints figures that have no targets.
func printProvider(w io.Writer, figures []figure) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "\tmeasured\tfloor\tcalls to Vault")
	for _, f := range figures {
		cells := f.cells()
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", f.What, cells[1], cells[2], cells[5])
	}
	return table.Flush()
}

// foreign is a provider that this program has not started.
type foreign struct {
	provider, floor *server
	proxy           *faultproxy.Proxy // nil if calls are not counted
	requests        []*v1alpha1.MountRequest

	block time.Duration

	who     string // name and version, as the provider says if it says so
	files   int
	figures []figure
}

// measureProvider begins with what the provider has not seen yet, so that the
// first figures are those of a provider that was just started.
func measureProvider(ctx context.Context, l *lab, o providerOptions) (_ *foreign, err error) {
	f := &foreign{who: strings.TrimSuffix(filepath.Base(o.socket), ".sock"), block: o.block}
	if f.requests, err = o.requests(l); err != nil {
		return nil, err
	}
	if o.vault != "" {
		if f.proxy, err = faultproxy.Start(faultproxy.Options{Target: o.vault, Listen: o.listen}); err != nil {
			return nil, err
		}
		defer f.proxy.Close()
		f.proxy.SetDelay(o.delay)
	}
	if f.provider, err = dial(ctx, o.socket); err != nil {
		return nil, err
	}
	defer f.provider.stop()
	version, err := f.provider.client.Version(ctx, &v1alpha1.VersionRequest{Version: "v1alpha1"})
	if err == nil {
		f.who = version.GetRuntimeName() + " " + version.GetRuntimeVersion()
	}
	l.progress("measuring %s", f.who)

	response, err := f.first(ctx)
	if err != nil {
		return nil, err
	}
	if f.floor, err = l.startFloor(ctx, response); err != nil {
		return nil, err
	}
	defer f.floor.stop()
	for _, step := range []func(context.Context, *lab) error{f.polls, f.repeats, f.many} {
		if err := step(ctx, l); err != nil {
			return nil, err
		}
	}
	return f, f.memory(ctx, o.socket)
}

// requests are those of the pods, and before them one of a further pod.
func (o providerOptions) requests(l *lab) ([]*v1alpha1.MountRequest, error) {
	name := strings.TrimSuffix(filepath.Base(o.socket), ".sock")
	parameters, namespace, err := readClass(o.class, name)
	if err != nil {
		return nil, err
	}
	type token struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expirationTimestamp"`
	}
	tokens := map[string]token{}
	for audience, file := range o.tokens {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("-token: %w", err)
		}
		tokens[audience] = token{strings.TrimSpace(string(text)), time.Now().Add(time.Hour)}
	}
	encoded := []byte{}
	if len(tokens) > 0 {
		if encoded, err = json.Marshal(tokens); err != nil {
			return nil, err
		}
	}
	requests := make([]*v1alpha1.MountRequest, 1+o.pods)
	for i := range requests {
		pod := fmt.Sprintf("%s-bench-%d", o.serviceAccount, i)
		who := issuer.Claims{
			Namespace: cmp.Or(o.namespace, namespace, "default"), ServiceAccount: o.serviceAccount, Pod: pod, PodUID: "uid-of-" + pod,
		}
		if requests[i], err = l.requestOf(who, string(encoded), parameters); err != nil {
			return nil, err
		}
	}
	return requests, nil
}

// readClass reads the parameters and the namespace of the class in a file, which
// must be one of the provider's. Without a file it is 20 templates, which are
// Lanyard's and need no store.
func readClass(file, provider string) (parameters map[string]string, namespace string, err error) {
	if file == "" {
		if provider != "lanyard" {
			return nil, "", fmt.Errorf("-class: name the file of a SecretProviderClass of the provider %s", provider)
		}
		var objects strings.Builder
		for i := range pollSecrets {
			fmt.Fprintf(&objects, "- {path: template-%02d, template: \"%064d\"}\n", i, i)
		}
		return map[string]string{"objects": objects.String()}, "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, "", fmt.Errorf("-class: %w", err)
	}
	var class struct {
		Metadata struct {
			Namespace string `json:"namespace"`
		} `json:"metadata"`
		Spec struct {
			Provider   string            `json:"provider"`
			Parameters map[string]string `json:"parameters"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &class); err != nil {
		return nil, "", fmt.Errorf("-class: %s: %w", file, err)
	}
	if class.Spec.Provider != provider {
		return nil, "", fmt.Errorf("-class: %s is a class of the provider %q, and the socket is that of %q", file, class.Spec.Provider, provider)
	}
	return class.Spec.Parameters, class.Metadata.Namespace, nil
}

// dial returns the driver's client for a provider that is running.
func dial(ctx context.Context, socket string) (*server, error) {
	s := &server{builder: secretsstore.NewPluginClientBuilder([]string{filepath.Dir(socket)})}
	var err error
	if s.client, err = s.builder.Get(ctx, strings.TrimSuffix(filepath.Base(socket), ".sock")); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// counted runs what is measured and returns the calls to Vault meanwhile, nil if
// they are not counted.
func (f *foreign) counted(run func() error) (*calls, error) {
	if f.proxy == nil {
		return nil, run()
	}
	forget(f.proxy)
	err := run()
	seen := settled(func() calls {
		logins := f.proxy.Count("", "auth/")
		return calls{Logins: logins - f.proxy.Count("", "auth/token/"), Reads: f.proxy.Count("", "") - logins}
	})
	return &seen, err
}

// first is the first mount, whose answer the floor then gives.
func (f *foreign) first(ctx context.Context) (*v1alpha1.MountResponse, error) {
	var response *v1alpha1.MountResponse
	one := figure{What: "first mount", Unit: "ms"}
	var err error
	one.Calls, err = f.counted(func() error {
		start := time.Now()
		var err error
		response, err = f.provider.client.Mount(ctx, f.requests[0])
		one.Value = ms(time.Since(start))
		return err
	})
	if err != nil {
		return nil, err
	}
	f.files = len(response.GetFiles())
	if f.files == 0 {
		return nil, errors.New("the provider has answered without files: give a class that has some")
	}
	f.figures = append(f.figures, one)
	return response, nil
}

// polls mounts all other pods, twice.
func (f *foreign) polls(ctx context.Context, _ *lab) error {
	pods := f.requests[1:]
	for _, what := range []string{"first", "second"} {
		one := figure{What: fmt.Sprintf("%d pods, %d in flight: %s poll", len(pods), pollInFlight, what), Unit: "ms"}
		var err error
		one.Calls, err = f.counted(func() error {
			took, err := f.provider.poll(ctx, pods, f.files)
			one.Value = ms(took)
			return err
		})
		if err != nil {
			return err
		}
		floor, err := f.floor.poll(ctx, pods, f.files)
		if err != nil {
			return err
		}
		one.Floor = ms(floor)
		f.figures = append(f.figures, one)
	}
	return nil
}

// repeats mounts one pod again and again, in blocks of a time and not of a
// number, because providers differ a thousandfold.
func (f *foreign) repeats(ctx context.Context, l *lab) error {
	measured := map[*server][]float64{}
	run := func(s *server) func() error {
		return func() error {
			for start := time.Now(); time.Since(start) < f.block; {
				took, err := s.latencies(ctx, f.requests[0], f.files, 1)
				if err != nil {
					return err
				}
				measured[s] = append(measured[s], took...)
			}
			return nil
		}
	}
	if err := alternate(l.samples(20), run(f.provider), run(f.floor)); err != nil {
		return err
	}
	seen, err := f.counted(func() error {
		_, err := f.provider.mount(ctx, f.requests[0], f.files)
		return err
	})
	if err != nil {
		return err
	}
	provider, floor := summarize("ms", measured[f.provider]), summarize("ms", measured[f.floor])
	f.figures = append(f.figures,
		figure{What: "repeat mount: p50", Unit: "ms", Value: provider.P50, Floor: floor.P50, Calls: seen},
		figure{What: "the same: p99", Unit: "ms", Value: provider.P99, Floor: floor.P99})
	return nil
}

// many mounts all pods again and again.
func (f *foreign) many(ctx context.Context, l *lab) error {
	const inFlight = 32
	measured := map[*server][]float64{}
	run := func(s *server) func() error {
		return func() error {
			rate, err := s.rate(ctx, f.requests, f.files, inFlight, f.block)
			measured[s] = append(measured[s], rate)
			return err
		}
	}
	if err := alternate(l.samples(10), run(f.provider), run(f.floor)); err != nil {
		return err
	}
	provider, floor := summarize("", measured[f.provider]), summarize("", measured[f.floor])
	f.figures = append(f.figures, figure{What: "repeat mounts, 32 in flight", Unit: "mounts/s", Value: provider.P50, Floor: floor.P50})
	return nil
}

// memory is that of the process that has the socket. Another user's, and one
// that this program cannot see, is left out.
func (f *foreign) memory(ctx context.Context, socket string) error {
	pid, err := ownerOf(ctx, socket)
	if err != nil {
		return err
	}
	m, err := memoryOf(pid)
	if err != nil {
		return nil //nolint:nilerr // it is somebody else's
	}
	f.figures = append(f.figures, figure{What: "resident memory after it", Unit: "MiB", Value: m.resident, Note: m.note()})
	return nil
}

// ownerOf is the process that listens at a socket.
func ownerOf(ctx context.Context, socket string) (int, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return 0, err
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var owner *syscall.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		owner, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err := errors.Join(err, failed); err != nil {
		return 0, err
	}
	return int(owner.Pid), nil
}

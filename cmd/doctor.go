package cmd

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/server/csi"
)

// doctorFlags are the flags of lanyard doctor.
type doctorFlags struct {
	config, ring        string
	node                bool
	socketDir           string
	dialects            []string
	kmsSocket           string
	kubeconfig, context string
	timeout             time.Duration
	bundle              string
	release, driver     string // namespaces
	output              string
	pod                 podFlags
	now                 func() time.Time
}

func newDoctor() *cobra.Command {
	f := doctorFlags{now: time.Now}
	c := &cobra.Command{
		Use:   "doctor [CLASSFILE]...",
		Short: "Say what is wrong with an installation, and what fixes it",
		Long: `Doctor looks at everything that must be right, and prints for each ok, warn, FAIL or
unknown, with the cause and the command that fixes it. It changes nothing, and no
check keeps another from running. docs/doctor.md explains each.

Without --config it looks at a cluster, as kubectl reaches it: the driver and its
settings, the audiences of tokens that stores and classes need, the provider on each
node, sockets, the configuration, rights, admission policies, the sync controller, the
webhook, versions, and the pods that wait for their secrets.

With --config it looks at that configuration's stores from where it runs: files, names,
connections, TLS, clocks, the health of each store and a login there. The login is
as a pod: with tokens of --token, or with --kubeconfig or --context with those that the API server gives
you for --service-account in --namespace. Classes that are given are read as that pod, and what they
hold is thrown away. With --node this machine is a node: its sockets, files and
directories are looked at too. --ring adds the keys of the KMS plugin.

Of DaemonSets that look like Lanyard or the driver it takes those for which something
speaks that tenants cannot make; --release-namespace and --driver-namespace say which.

--bundle writes what was found, versions, the configuration, classes, events, logs and
metrics into an archive for who helps you. Secrets are not read for it. Known fields with
values of their form stay, and what could be a secret is left out of free text.

Exit codes: 0 nothing failed, 1 something did, 2 wrong flags, arguments or files.`,
		Example: `  lanyard doctor
  lanyard doctor --bundle lanyard-support.tar.gz
  kubectl exec -n lanyard ds/lanyard -- /lanyard doctor --node --config /etc/lanyard/config/lanyard.yaml
  lanyard doctor --config lanyard.yaml --context prod -n shop --service-account web web.yaml
  lanyard doctor --node --config /etc/lanyard/lanyard.yaml --ring /etc/lanyard/kms.yaml -o json`,
		ValidArgsFunction: manifests,
		RunE:              f.run,
	}
	flags := c.Flags()
	flags.StringVar(&f.config, "config", "", "the operator's configuration `FILE`, whose stores are looked at from here")
	flags.BoolVar(&f.node, "node", false, "this machine is a node, or a provider's pod: look at its sockets, files and directories")
	flags.StringVar(&f.socketDir, "socket-dir", csi.FirstDirectory, "`DIR` in which the driver looks for providers' sockets")
	flags.StringSliceVar(&f.dialects, "dialects", []string{"lanyard"}, "provider `NAMES` that must answer on this node")
	flags.StringVar(&f.ring, "ring", "", "the key ring `FILE` of the KMS plugin, to try its keys")
	flags.StringVar(&f.kmsSocket, "kms-socket", defaultKMSSocket, "`PATH` of the KMS plugin's socket; @NAME for an abstract one")
	flags.DurationVar(&f.timeout, "timeout", 10*time.Second, "`TIME` that each check may take")
	flags.StringVar(&f.bundle, "bundle", "", "a new `FILE` to write a support archive to (.tar.gz)")
	flags.StringVar(&f.release, "release-namespace", "", "the `NAME` of the namespace that Lanyard is installed in (default: its DaemonSets are looked for in all)")
	flags.StringVar(&f.driver, "driver-namespace", "", "the `NAME` of the namespace that the Secrets Store CSI driver is installed in (default: it is looked for in all)")
	addKubeconfig(flags, &f.kubeconfig, &f.context)
	f.pod.add(flags)
	addTextOrJSON(c, &f.output)
	offer(c, "dialects", slices.Sorted(maps.Keys(dialects(nil)))...)
	offerDirectories(c, "socket-dir")
	return c
}

func (f *doctorFlags) check(classes []string) error {
	switch {
	case f.timeout < 100*time.Millisecond || f.timeout > time.Hour:
		return usagef("--timeout must be from 100ms to 1h")
	case f.local() && (f.release != "" || f.driver != ""):
		return usagef("--release-namespace and --driver-namespace are of a cluster, which is not looked at with --config or --ring")
	case f.local():
		return nil
	case f.node:
		return usagef("--node needs --config, the configuration of the provider on this node")
	case len(classes) > 0:
		return usagef("a class needs --config, the configuration under which it is read")
	case f.pod.serviceAccount != "" || f.pod.namespace != "" || len(f.pod.tokens) > 0:
		return usagef("--namespace, --service-account and --token need --config: they say who logs in at its stores")
	}
	return nil
}

// local says whether doctor looks at stores from here, and not at a cluster.
func (f *doctorFlags) local() bool { return f.config != "" || f.ring != "" }

func (f *doctorFlags) run(c *cobra.Command, classFiles []string) error {
	if err := f.check(classFiles); err != nil {
		return err
	}
	var bundle *doctorBundle
	if f.bundle != "" {
		var err error
		if bundle, err = createBundle(f.bundle); err != nil {
			return err
		}
		defer bundle.abandon()
	}
	look := f.lookAtCluster
	if f.local() {
		look = f.lookAtNode
	}
	report, err := look(c, classFiles, bundle)
	if err != nil {
		return err
	}
	if c.Context().Err() != nil {
		return errors.New("interrupted; not everything was looked at")
	}
	if err := f.print(c.OutOrStdout(), &report); err != nil {
		return err
	}
	if bundle != nil {
		if err := bundle.finish(&report); err != nil {
			return err
		}
	}
	return report.summary()
}

func (f *doctorFlags) print(w io.Writer, report *doctorReport) error {
	if f.output == "json" {
		return printJSON(w, report)
	}
	return report.printText(w)
}

func (f *doctorFlags) lookAtNode(c *cobra.Command, classFiles []string, bundle *doctorBundle) (doctorReport, error) {
	d := doctorNode{
		config: f.config, onNode: f.node, socketDir: f.socketDir, dialects: f.dialects, ring: f.ring, kmsSocket: f.kmsSocket,
		timeout: f.timeout, now: f.now, attributes: f.pod.attributes,
	}
	for _, path := range classFiles {
		class, err := readClass(stdin(c), path, "")
		if err != nil {
			return doctorReport{}, err
		}
		d.classes = append(d.classes, class)
	}
	var first classManifest
	if len(d.classes) > 0 {
		first = d.classes[0]
	}
	pod, err := f.pod.read(first)
	if err != nil {
		return doctorReport{}, err
	}
	d.pod, d.hasTokens = pod.identity, len(f.pod.tokens) > 0
	var person local
	if (f.kubeconfig != "" || f.context != "") && !d.hasTokens {
		if person.access, err = apiServer(f.kubeconfig, f.context, "lanyard-doctor"); err != nil {
			return doctorReport{}, err
		}
		d.hasTokens = true
	}
	bar := newProgressBar(c.ErrOrStderr())
	defer bar.end()
	defer d.open(c.Context(), person, func(done, total int) { bar.later("servers", done, total) })()
	report := newDoctorReport(runDoctorChecks(c.Context(), nodeChecks, &d, f.timeout, func(done, total int) { bar.later("checks", done, total) }))
	if bundle != nil {
		bundle.addNode(&d)
	}
	return report, nil
}

func (f *doctorFlags) lookAtCluster(c *cobra.Command, _ []string, bundle *doctorBundle) (doctorReport, error) {
	access, err := openCluster(f.kubeconfig, f.context, "lanyard-doctor")
	if err != nil {
		return doctorReport{}, err
	}
	reader, err := openClusterReader(access, f.timeout, f.now)
	if err != nil {
		return doctorReport{}, err
	}
	bar := newProgressBar(c.ErrOrStderr())
	defer bar.end()
	cluster := doctorCluster{installed: doctorInstallers{namespace: f.release}, driver: doctorInstallers{namespace: f.driver}}
	reader.read(c.Context(), &cluster, func(done, total int) { bar.later("resources", done, total) })
	report := newDoctorReport(judge(c.Context(), &cluster, f.timeout))
	if bundle != nil {
		bundle.addCluster(c.Context(), reader, &cluster)
	}
	return report, nil
}

// judge runs the checks of a cluster.
func judge(ctx context.Context, cluster *doctorCluster, within time.Duration) []doctorFinding {
	return runDoctorChecks(ctx, clusterChecks, cluster, within, func(int, int) {})
}

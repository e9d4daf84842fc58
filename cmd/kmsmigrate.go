package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/lanyardhq/lanyard/server/kms/migrate"
)

// kmsMigrateFlags are the flags of kms migrate.
type kmsMigrateFlags struct {
	kubeconfig string
	context    string
	encryption string
	resources  []string
	rate       float64
	workers    int
	pageSize   int64
	checkpoint string
	dryRun     bool
	output     string
}

func newKMSMigrate() *cobra.Command {
	var f kmsMigrateFlags
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Have everything rewritten that is still under an old key",
		Long: `Migrate asks the API server to write every object of the encrypted resources
again as it is. The API server skips what is under the key that it writes with
now, so the count of rewritten objects is the count of those that were not.

Only metadata is read, and no value leaves the API server. Nothing that somebody
changes at the same time is written over. It may be interrupted at any moment;
with --checkpoint the next run goes on where this one was.

Wait 3 minutes after a change of the write key before you begin. All is done
when a run rewrites nothing.

It needs the rights to list and patch the resources.

Exit codes: 0 nothing remains, 1 something remains or could not be done, 2 wrong
flags or files.`,
		Example: `  lanyard kms migrate
  lanyard kms migrate --encryption-config encryption.yaml --checkpoint migration.json
  lanyard kms migrate --resources secrets,configmaps --dry-run`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("kms migrate takes no arguments; see %s --help", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.check(c.Flags().Changed("resources")); err != nil {
				return err
			}
			return f.run(c)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "`FILE` to reach the API server with; without it $KUBECONFIG, ~/.kube/config or the pod's own")
	flags.StringVar(&f.context, "context", "", "`NAME` of the kubeconfig's context, if not its current one")
	flags.StringVar(&f.encryption, "encryption-config", "", "EncryptionConfiguration `FILE` whose resources are meant; its keys are not looked at")
	flags.StringSliceVar(&f.resources, "resources", []string{"secrets"}, "`RESOURCES` as in an EncryptionConfiguration: secrets, deployments.apps, *.apps, *.*")
	flags.Float64Var(&f.rate, "rate", 50, "the most `OBJECTS` to rewrite in a second")
	flags.IntVar(&f.workers, "workers", 8, "the most `CALLS` in flight")
	flags.Int64Var(&f.pageSize, "page-size", 500, "`OBJECTS` to list at a time")
	flags.StringVar(&f.checkpoint, "checkpoint", "", "`FILE` that remembers what is done until all is")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only count the objects; which of them are stale is known only by rewriting them")
	flags.StringVarP(&f.output, "output", "o", "text", "output `FORMAT`: text or json")
	offer(c, "output", "text", "json")
	return c
}

func (f *kmsMigrateFlags) check(named bool) error {
	switch {
	case f.encryption != "" && named:
		return usagef("--encryption-config and --resources both say which resources; give one of them")
	case f.rate <= 0 || f.rate > 10000:
		return usagef("--rate must be above 0 and at most 10000")
	case f.workers < 1 || f.workers > 128:
		return usagef("--workers must be from 1 to 128")
	case f.pageSize < 1 || f.pageSize > 10000:
		return usagef("--page-size must be from 1 to 10000")
	case f.output != "text" && f.output != "json":
		return usagef("--output must be text or json")
	}
	return nil
}

func (f *kmsMigrateFlags) run(c *cobra.Command) error {
	names, err := f.names()
	if err != nil {
		return err
	}
	config, err := f.client()
	if err != nil {
		return err
	}
	objects, err := metadata.NewForConfig(config)
	if err != nil {
		return usageError{err}
	}
	resources, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return usageError{err}
	}
	found, err := migrate.Resolve(resources, names)
	if err != nil {
		return err
	}
	var checkpoint *migrate.Checkpoint
	if f.checkpoint != "" {
		if checkpoint, err = migrate.OpenCheckpoint(f.checkpoint, config.Host); err != nil {
			return usageError{err}
		}
	}
	bar := newProgressBar(c.ErrOrStderr())
	report := migrate.Run(c.Context(), migrate.Options{
		Client: objects, Rate: f.rate, Workers: f.workers, PageSize: f.pageSize,
		DryRun: f.dryRun, Checkpoint: checkpoint, Progress: func(p migrate.Progress) { bar.show(p.Resource, p.Done, p.Total) },
	}, found)
	bar.end()
	if err := f.print(c.OutOrStdout(), report); err != nil {
		return err
	}
	return f.conclude(c.ErrOrStderr(), report, checkpoint)
}

// client reaches the API server as kubectl would.
func (f *kmsMigrateFlags) client() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: f.context}).ClientConfig()
	if err != nil {
		return nil, usagef("no API server is known: %w; name a kubeconfig with --kubeconfig", err)
	}
	config.UserAgent = "lanyard-kms-migrate/" + thisBuild().Version
	// The rate is held by the migration itself.
	config.QPS, config.Burst = -1, 0
	return config, nil
}

// names are the resources that are meant.
func (f *kmsMigrateFlags) names() ([]string, error) {
	if f.encryption == "" {
		return f.resources, nil
	}
	data, err := readFileMost(f.encryption)
	if err != nil {
		return nil, unreadable(f.encryption, err)
	}
	var file struct {
		Kind      string `yaml:"kind"`
		Resources []struct {
			Resources []string `yaml:"resources"`
		} `yaml:"resources"`
	}
	// What the parser says may quote the file, which may hold keys.
	if err := yaml.Unmarshal(data, &file); err != nil || file.Kind != "EncryptionConfiguration" {
		return nil, usagef("%s: is not an EncryptionConfiguration", f.encryption)
	}
	var names []string
	for _, one := range file.Resources {
		names = append(names, one.Resources...)
	}
	if len(names) == 0 {
		return nil, usagef("%s: names no resources", f.encryption)
	}
	return names, nil
}

func (f *kmsMigrateFlags) print(w io.Writer, report migrate.Report) error {
	if f.output == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(report)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RESOURCE\tOBJECTS\tREWRITTEN\tCURRENT\tCHANGED\tGONE\tSKIPPED\tFAILED")
	for _, r := range report.Resources {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", r.Resource, r.Objects, r.Rewritten, r.Current, r.Changed, r.Gone, r.Skipped, r.Failed)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, r := range report.Resources {
		if r.Problem != "" {
			fmt.Fprintf(w, "%s: %s\n", r.Resource, r.Problem)
		}
		for _, failed := range r.Failures {
			fmt.Fprintf(w, "%s %s: %s\n", r.Resource, failed.Object, failed.Reason)
		}
		if more := r.Failed - len(r.Failures); more > 0 {
			fmt.Fprintf(w, "%s: and %d more\n", r.Resource, more)
		}
	}
	return nil
}

// conclude says what is to be done next.
func (f *kmsMigrateFlags) conclude(w io.Writer, report migrate.Report, checkpoint *migrate.Checkpoint) error {
	switch {
	case report.Interrupted && checkpoint != nil:
		return errors.New("interrupted; the same command goes on where this one was")
	case report.Interrupted:
		return errors.New("interrupted; what was rewritten stays so, run it again")
	case !report.Complete():
		return errors.New("not everything could be rewritten; do not retire the old key, mend what is listed and run it again")
	case f.dryRun:
		_, err := fmt.Fprintln(w, "nothing was rewritten; which objects are stale is known only by rewriting them")
		return err
	}
	if err := checkpoint.Remove(); err != nil {
		return err
	}
	if n := report.Rewritten(); n > 0 {
		_, err := fmt.Fprintf(w, "%s rewritten; run it once more, and retire the old key when it finds none\n", count(n, "object"))
		return err
	}
	_, err := fmt.Fprintln(w, "nothing was under an old key")
	return err
}

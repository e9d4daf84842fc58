package cmd

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/internal/atomicfile"
	"github.com/lanyardhq/lanyard/provider/kmsring"
	"github.com/lanyardhq/lanyard/server/kms/migrate"
)

// kmsRetireFlags are the flags of kms retire.
type kmsRetireFlags struct {
	objects kmsObjectFlags
	ring    string
	socket  string
	name    string
	dryRun  bool
	output  string
}

func newKMSRetire() *cobra.Command {
	var f kmsRetireFlags
	c := &cobra.Command{
		Use:   "retire KEY",
		Short: "Retire a key of the ring if nothing is encrypted under it any more",
		Long: `Retire has the API server read every object of the encrypted resources out of
etcd and reads from its metrics with which keys that was done. If all was done
with the ring's write key, it sets the state of KEY in the ring file to retired
and changes nothing else there. If not, or if the plugin does not write with the
ring's write key yet, it says so, and changes nothing.

All resources that are encrypted must be named, with --encryption-config or
--resources: one that is not counted may need the key.

Run it on a control plane node, when lanyard kms migrate has found nothing to
rewrite, and bring the ring file to the others. It must reach one API server
alone, not a load balancer, and needs the rights to list and get the resources
and to get /metrics. Only metadata leaves the API server.

Exit codes: 0 the key is retired or could be, 1 something still needs it or it
could not be found out, 2 wrong flags or files.`,
		Example: `  lanyard kms retire vault-2025 --ring /etc/lanyard/kms.yaml --encryption-config encryption.yaml
  lanyard kms retire vault-2025 --ring /etc/lanyard/kms.yaml --resources secrets,configmaps --dry-run`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("kms retire takes one argument, the name of the key in the ring; see %s --help", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.check(c.Flags().Changed("resources")); err != nil {
				return err
			}
			return f.run(c, args[0])
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.ring, "ring", "", "the key ring `FILE`")
	flags.StringVar(&f.socket, "socket", defaultKMSSocket, "`PATH` of the plugin's socket; @NAME for an abstract one")
	flags.StringVar(&f.name, "name", "lanyard", "the provider's `NAME` in the EncryptionConfiguration")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only count, and leave the ring file as it is")
	addTextOrJSON(c, &f.output)
	f.objects.add(c)
	return c
}

func (f *kmsRetireFlags) check(named bool) error {
	switch {
	case f.ring == "":
		return usagef("--ring is missing; name the key ring file")
	case f.objects.encryption == "" && !named:
		return usagef("which resources are encrypted must be known, because those that are not counted may need the key: give --encryption-config with the file of the API server, or all of them with --resources")
	}
	return f.objects.check(named)
}

// kmsRetireReport is what kms retire has found.
type kmsRetireReport struct {
	Key string `json:"key"`
	// Retired says that the ring file has been changed.
	Retired bool `json:"retired"`
	// WritesWith is the hash of the key ID that the plugin names.
	WritesWith string `json:"writesWith"`
	// Needing is how many objects need another key, or could not be read.
	Needing   int             `json:"needing"`
	Resources []migrate.Count `json:"resources"`
}

func (f *kmsRetireFlags) run(c *cobra.Command, name string) error {
	locking, cancel := context.WithTimeout(c.Context(), lockTime)
	defer cancel()
	unlock, err := atomicfile.Lock(locking, f.ring)
	if err != nil {
		return usageError{err}
	}
	defer unlock()
	data, err := readFile(f.ring)
	if err != nil {
		return unreadable(f.ring, err)
	}
	// What would be wrong with it is said before anything is counted.
	retired, err := kmsring.Retire(data, name)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", f.ring, err)}
	}
	ring, err := loadRingNames(f.ring)
	if err != nil {
		return err
	}
	defer ring.Close()
	keyID, err := writesWithRing(c.Context(), f.socket, f.ring, ring)
	if err != nil {
		return fmt.Errorf("key %s is not retired: %w", name, err)
	}
	report := kmsRetireReport{Key: name, WritesWith: migrate.HashOf(keyID)}
	if report.Resources, err = f.count(c.Context(), c.ErrOrStderr(), report.WritesWith); err != nil {
		return err
	}
	for _, count := range report.Resources {
		report.Needing += count.Beside(report.WritesWith) + count.Failed
	}
	if report.Needing == 0 && !f.dryRun {
		if err := atomicfile.ReplaceUnchanged(f.ring, data, retired); err != nil {
			return err
		}
		report.Retired = true
	}
	if err := f.print(c.OutOrStdout(), report); err != nil {
		return err
	}
	return f.conclude(c.ErrOrStderr(), report)
}

// count counts at the API server, after that has been held against the plugin.
func (f *kmsRetireFlags) count(ctx context.Context, progress io.Writer, writesWith string) ([]migrate.Count, error) {
	names, err := f.objects.names()
	if err != nil {
		return nil, err
	}
	others, err := f.objects.otherPlugins(f.name)
	if err != nil {
		return nil, err
	}
	opts, config, err := f.objects.options("lanyard-kms-retire")
	if err != nil {
		return nil, err
	}
	server, err := migrate.NewServer(config)
	if err != nil {
		return nil, usageError{err}
	}
	resources, err := migrate.Resolve(ctx, server, names)
	if err != nil {
		return nil, err
	}
	metrics := migrate.Metrics(server.Metrics)
	named, err := metrics.Names(ctx, f.name)
	switch {
	case err != nil:
		return nil, err
	case named == "":
		return nil, fmt.Errorf("the API server at %s has no KMS v2 provider named %s in its EncryptionConfiguration; give its name with --name", config.Host, f.name)
	case named != writesWith:
		return nil, fmt.Errorf("the API server at %s writes with another key than the plugin at %s names; it asks every minute, so wait a little; if that does not help they are of different nodes, and a ring differs", config.Host, f.socket)
	}
	var foreign []string
	for _, other := range others {
		// One plugin may be reached by two paths, and one ring be at two plugins.
		hash, err := metrics.Names(ctx, other)
		if err != nil {
			return nil, err
		}
		if hash != named {
			foreign = append(foreign, other)
		}
	}
	bar := newProgressBar(progress)
	opts.Progress = bar.objects
	counts, err := migrate.CountKeys(ctx, opts, metrics, foreign, resources)
	bar.end()
	return counts, err
}

func (f *kmsRetireFlags) print(w io.Writer, report kmsRetireReport) error {
	if f.output == "json" {
		return printJSON(w, report)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RESOURCE\tOBJECTS\tWRITE KEY\tOTHER KEYS\tGONE\tFAILED")
	for _, r := range report.Resources {
		qualifier := ""
		if r.AtMost {
			qualifier = "at most "
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%s%d\t%d\t%d\n", r.Resource, r.Objects, r.Keys[report.WritesWith], qualifier, r.Beside(report.WritesWith), r.Gone, r.Failed)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, r := range report.Resources {
		printFailures(w, r.Resource, r.Failures, r.Failed)
	}
	return nil
}

// otherProviders are those besides --name that read with another key than the
// one that is written with.
func (f *kmsRetireFlags) otherProviders(report kmsRetireReport) []string {
	found := map[string]bool{}
	for _, r := range report.Resources {
		for hash, providers := range r.Providers {
			for _, provider := range providers {
				if hash != report.WritesWith && provider != f.name {
					found[provider] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// conclude says what is to be done next.
func (f *kmsRetireFlags) conclude(w io.Writer, report kmsRetireReport) error {
	qualifier := ""
	if slices.ContainsFunc(report.Resources, func(r migrate.Count) bool { return r.AtMost && r.Beside(report.WritesWith) > 0 }) {
		qualifier = "at most "
	}
	verb, by := "are", ""
	if others := f.otherProviders(report); len(others) > 0 {
		by = " (read by provider " + strings.Join(others, ", ") + " too"
		if f.objects.encryption == "" {
			by += "; if that is another plugin's, give --encryption-config, which tells them apart"
		}
		by += ")"
	}
	if report.Needing == 1 {
		verb = "is"
	}
	switch {
	case report.Needing > 0:
		return fmt.Errorf("key %s is not retired: %s%s %s still encrypted under an older key%s; run lanyard kms migrate until it rewrites nothing, then retry", report.Key, qualifier, count(report.Needing, "object"), verb, by)
	case !report.Retired:
		_, err := fmt.Fprintf(w, "nothing needs key %s; it can be retired\n", report.Key)
		return err
	}
	_, err := fmt.Fprintf(w, "key %s is retired in %s; bring the file to the other control plane nodes, and keep the key as long as you keep backups of etcd\n", report.Key, f.ring)
	return err
}

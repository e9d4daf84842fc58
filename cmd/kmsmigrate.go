package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/server/kms/migrate"
)

// kmsMigrateFlags are the flags of kms migrate.
type kmsMigrateFlags struct {
	objects    kmsObjectFlags
	ring       string
	socket     string
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

Wait 3 minutes after API servers write with the new key before you begin. With
--ring, on a control plane node, it is refused to begin while the plugin there
does not write with the ring's write key. All is done when a run, not one that
went on where another was, rewrites nothing.

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
	flags.StringVar(&f.ring, "ring", "", "the key ring `FILE` whose write key the plugin must write with")
	flags.StringVar(&f.socket, "socket", defaultKMSSocket, "`PATH` of the plugin's socket, with --ring; @NAME for an abstract one")
	flags.StringVar(&f.checkpoint, "checkpoint", "", "`FILE` that remembers what is done until all is")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only count the objects; which of them are stale is known only by rewriting them")
	addTextOrJSON(c, &f.output)
	f.objects.add(c)
	return c
}

func (f *kmsMigrateFlags) check(named bool) error {
	return f.objects.check(named)
}

func (f *kmsMigrateFlags) run(c *cobra.Command) error {
	names, err := f.objects.names()
	if err != nil {
		return err
	}
	opts, config, err := f.objects.options("lanyard-kms-migrate")
	if err != nil {
		return err
	}
	server, err := migrate.NewServer(config)
	if err != nil {
		return usageError{err}
	}
	if err := f.settled(c.Context()); err != nil {
		return err
	}
	found, err := migrate.Resolve(c.Context(), server, names)
	if err != nil {
		return err
	}
	if f.checkpoint != "" {
		if opts.Checkpoint, err = migrate.OpenCheckpoint(f.checkpoint, config.Host); err != nil {
			return usageError{err}
		}
	}
	bar := newProgressBar(c.ErrOrStderr())
	opts.DryRun, opts.Progress = f.dryRun, bar.objects
	report := migrate.Run(c.Context(), opts, found)
	bar.end()
	if err := f.print(c.OutOrStdout(), report); err != nil {
		return err
	}
	return f.conclude(c.ErrOrStderr(), report, opts.Checkpoint)
}

// settled refuses to begin while the plugin does not write with the ring's write
// key: all would be found to be under the key that it writes with, the old one.
func (f *kmsMigrateFlags) settled(ctx context.Context) error {
	if f.ring == "" {
		return nil
	}
	ring, err := loadRingNames(f.ring)
	if err != nil {
		return err
	}
	defer ring.Close()
	if _, err := writesWithRing(ctx, f.socket, f.ring, ring); err != nil {
		return fmt.Errorf("nothing was rewritten: %w", err)
	}
	return nil
}

func (f *kmsMigrateFlags) print(w io.Writer, report migrate.Report) error {
	if f.output == "json" {
		return printJSON(w, report)
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
		printFailures(w, r.Resource, r.Failures, r.Failed)
	}
	return nil
}

// printFailures names the first of the objects of a resource that failed.
func printFailures(w io.Writer, resource string, failures []migrate.Failure, failed int) {
	for _, one := range failures {
		fmt.Fprintf(w, "%s %s: %s\n", resource, one.Object, one.Reason)
	}
	if more := failed - len(failures); more > 0 {
		fmt.Fprintf(w, "%s: and %d more\n", resource, more)
	}
}

// conclude says what is to be done next.
func (f *kmsMigrateFlags) conclude(w io.Writer, report migrate.Report, checkpoint *migrate.Checkpoint) error {
	switch {
	case report.Interrupted && checkpoint != nil:
		return errors.New("interrupted; the same command goes on where this one was")
	case report.Interrupted:
		return errors.New("interrupted; what was rewritten stays so, run it again")
	case !report.Complete():
		return errors.New("not everything could be rewritten; do not retire the old key, fix what is listed and run it again")
	case f.dryRun:
		_, err := fmt.Fprintln(w, "nothing was rewritten; which objects are stale is known only by rewriting them")
		return err
	}
	if err := checkpoint.Remove(); err != nil {
		return err
	}
	var err error
	n, skipped := report.Rewritten(), report.Skipped()
	switch {
	case skipped > 0:
		_, err = fmt.Fprintf(w, "%s rewritten; %s the run before had done, and the write key may have changed since: run it once more, and retire the old key when that finds none\n", count(n, "object"), count(skipped, "object"))
	case n > 0:
		_, err = fmt.Fprintf(w, "%s rewritten; run it once more, and retire the old key when it finds none\n", count(n, "object"))
	default:
		_, err = fmt.Fprintln(w, "nothing was under another key than the one that the API server writes with")
	}
	return err
}

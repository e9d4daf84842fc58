package cmd

import (
	"context"
	"fmt"
	"os"
	"os/user"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store/sealed"
)

func newAudit() *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "Check the trail of who read what",
		Long: `Audit works on the files of audit records that serve, kms, sync, seal, unseal and
reseal write where the operator wants them.`,
		Example: `  lanyard audit verify --key /etc/lanyard/audit-key /var/log/lanyard/audit.log*`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(c, args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newAuditVerify())
	return c
}

// verifyFlags are the flags of audit verify.
type verifyFlags struct {
	key, output string
	last        string
}

func newAuditVerify() *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify --key FILE FILE...",
		Short: "Find the first audit record that is missing or was changed",
		Long: `Verify checks the chain of audit records that were written with
audit.chainKeyFile: that each is as it was written, and follows the one before.
Give all files of one trail, audit.log, audit.log.1 and so on, in any order.

Records at the front may be missing because their file was rotated away; the first
number is printed. That records are missing at the end, files alone cannot show:
--last gives a record that is known to have been written. What verify prints at its
end is for the next time; a number alone, from the metric lanyard_audit_sequence,
shows less: as many records may have been written since.

Exit codes: 0 the chain is whole, 1 a record is missing or was changed, 2 wrong
flags or files.`,
		Example: `  lanyard audit verify --key /etc/lanyard/audit-key /var/log/lanyard/audit.log*
  lanyard audit verify --key audit-key --last 120931:"$HASH" -o json audit.log.1 audit.log`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("no file is named; see %s --help", c.CommandPath())
			}
			return nil
		},
		RunE: f.run,
	}
	c.Flags().StringVar(&f.key, "key", "", "the `FILE` with the key of the chain")
	c.Flags().StringVar(&f.last, "last", "", "the `NUMBER` of a record that is known to have been written, or NUMBER:HASH")
	addTextOrJSON(c, &f.output)
	return c
}

func (f *verifyFlags) run(c *cobra.Command, files []string) error {
	if f.key == "" {
		return usagef("--key is missing; give the file that audit.chainKeyFile names")
	}
	var known audit.Known
	if f.last != "" {
		var err error
		if known, err = audit.ParseKnown(f.last); err != nil {
			return usagef("--last: %w", err)
		}
	}
	report, err := audit.Verify(f.key, files, known)
	if err != nil {
		return usageError{err}
	}
	if f.output == "json" {
		if err := printJSON(c.OutOrStdout(), report); err != nil {
			return err
		}
	} else if report.Records > 0 {
		lost := ""
		if report.Lost > 0 {
			lost = fmt.Sprintf("; %d more could not be written in their time", report.Lost)
		}
		fmt.Fprintf(c.OutOrStdout(), "records %d to %d are whole%s\n", report.First, report.Last, lost)
		if report.Problem == nil {
			fmt.Fprintf(c.OutOrStdout(), "for the next time: --last %d:%s\n", report.Last, report.Hash)
		}
	}
	switch p := report.Problem; {
	case p == nil:
		return nil
	case p.Line == 0:
		return fmt.Errorf("%s: %s", shown(p.File), p.Text)
	default:
		return fmt.Errorf("%s:%d: %s", shown(p.File), p.Line, p.Text)
	}
}

// addAudit adds the flag of commands that have no configuration of the operator's.
func addAudit(c *cobra.Command, file *string) {
	c.Flags().StringVar(file, "audit", "", "write audit records as this `FILE` says, which has what stands under audit in the operator's configuration")
}

// openAuditFile opens the trail that a file describes; nil if none is named.
func openAuditFile(file, node string, registry prometheus.Registerer) (*audit.Log, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // a nil Log writes nothing
	}
	settings, err := config.LoadAudit(file)
	if err != nil {
		return nil, usagef("--audit: %w", err)
	}
	log, err := audit.New(audit.Options{Settings: settings, Node: node, Metrics: registry})
	if err != nil {
		return nil, usagef("--audit: %s: %w", file, err)
	}
	return log, nil
}

// personTrail is the trail of what a person's command does with sealed values.
type personTrail struct {
	log  *audit.Log
	user string
}

// openPersonTrail opens the trail of a command whose own output is standard output.
func openPersonTrail(file string) (*personTrail, error) {
	log, err := openAuditFile(file, "", nil)
	if err != nil {
		return nil, err
	}
	t := &personTrail{log: log, user: fmt.Sprint(os.Getuid())}
	if log.Stdout() {
		log.Close()
		return nil, usagef("--audit: %s: stdout: has the command's own output; give file.path or webhook.url", file)
	}
	if who, err := user.Current(); err == nil {
		t.user = fmt.Sprintf("%s (%s)", who.Username, who.Uid)
	}
	return t, nil
}

func (t *personTrail) close() { t.log.Close() }

// record records what was done with a value for a scope, and returns err, or why the record
// could not be written.
func (t *personTrail) record(ctx context.Context, event audit.Event, scope seal.Scope, key, file string, err error) error {
	if !t.log.On() {
		return err
	}
	r := audit.Record{
		Event: event, Result: audit.OK, User: t.user, KeyID: key, File: file,
		Cluster: scope.Cluster.String(), Namespace: scope.Namespace.String(), ServiceAccount: scope.ServiceAccount.String(), Object: scope.Object.String(),
	}
	if err != nil {
		r.Result, r.Cause = fault.Of(sealed.KindOf(err)).Word, err.Error()
		t.log.Note(&r)
		return err
	}
	return t.log.Record(ctx, &r)
}

// seals is a function that seals, with a record of each value.
func (t *personTrail) seals(event audit.Event, file string, with func(context.Context, seal.Scope, secret.Bytes) (string, error)) func(context.Context, seal.Scope, secret.Bytes) (string, error) {
	return func(ctx context.Context, scope seal.Scope, value secret.Bytes) (string, error) {
		text, err := with(ctx, scope, value)
		key := ""
		if made, wrong := seal.Parse(text); err == nil && wrong == nil {
			key = made.KeyID().String()
		}
		return text, t.record(ctx, event, scope, key, file, err)
	}
}

// opens is a function that opens, with a record of each value.
func (t *personTrail) opens(file string, with func(context.Context, *seal.Sealed) (secret.Bytes, error)) func(context.Context, *seal.Sealed) (secret.Bytes, error) {
	return func(ctx context.Context, found *seal.Sealed) (secret.Bytes, error) {
		value, err := with(ctx, found)
		if err := t.record(ctx, audit.Unseal, found.Scope(), found.KeyID().String(), file, err); err != nil {
			return secret.Bytes{}, err
		}
		return value, nil
	}
}

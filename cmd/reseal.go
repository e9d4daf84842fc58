package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/manifest"
	"github.com/lanyardhq/lanyard/provider/manifest/reseal"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// resealFlags are the flags of reseal.
type resealFlags struct {
	keyRing, openKey string
	public, key      string
	narrow           reseal.Narrowing
	notAfter         string
	workers          int
	dryRun           bool
	output           string
	audit            string
	signatures       resigning

	move *reseal.Moving // of seal move; nil for reseal
	yes  bool           // of seal move
}

func newReseal() *cobra.Command {
	var flags resealFlags
	c := &cobra.Command{
		Use:   "reseal [--key-ring FILE] [--open-key FILE] {--public FILE | --key FILE} PATH...",
		Short: "Seal the values in files again, to a new key or more narrowly",
		Long: `Open every sealed value in the files, with a key ring, a key of a key service or
both, and seal it again: to a public key, or with a key of a key service. Of
directories, all YAML and JSON files are taken, hidden ones left out. Only the
values' texts change; comments, order and formatting stay, and so do values in
comments. With -, standard input is written to standard output with its values
resealed, and the report goes to standard error. Key services are asked with your own credentials.

The scope stays as it is, or becomes narrower: --namespace and its like make a
part exact that was any, and refuse a value that is sealed for another name;
--not-after shortens. No scope is ever made wider.

A signed value needs --sign-with, the key of its sealer or of one who trusts that
sealer (--sealer), so that no signature is lost. An unsigned value gets none
unless --sign-unsigned says so: who signs vouches for what stands there.

A value that is under the new key already, and of a key service under its newest
version, is left as it is, so that the command
may be interrupted anywhere and run again. Each file is written whole or not at
all, and not if somebody changed it meanwhile. A value that cannot be opened is
reported and stays; the others are sealed all the same.

Exit codes: 0 every value is under the new key, 1 some are not, 2 wrong flags or
files.`,
		Example: `  # after lanyard keygen --rotate
  lanyard reseal --key-ring ring.yaml --public public.yaml deploy/

  # from a key ring to a key service
  lanyard reseal --key-ring ring.yaml --key seal-key.yaml deploy/

  # after a rotation of the key service's key
  lanyard reseal --open-key seal-key.yaml --key seal-key.yaml deploy/

  # what would be done, as JSON
  lanyard reseal --key-ring ring.yaml --public public.yaml --dry-run -o json deploy/

  # bind values for any service account to one, and let them end with the year
  lanyard reseal --key-ring ring.yaml --public public.yaml --service-account web \
    --not-after 2026-12-31T00:00:00Z web.yaml`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("no file or directory is named; see %s --help", c.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: manifests,
		RunE:              flags.run,
	}
	flags.keyFlags(c)
	c.Flags().StringVar(&flags.narrow.Cluster, "cluster", "", "narrow values for any cluster to this `NAME`")
	c.Flags().StringVarP(&flags.narrow.Namespace, "namespace", "n", "", "narrow values for any namespace to this `NAME`")
	c.Flags().StringVar(&flags.narrow.ServiceAccount, "service-account", "", "narrow values for any service account to this `NAME`")
	c.Flags().BoolVar(&flags.narrow.ExactObjects, "exact-names", false, "narrow values that open as any object to the object in whose place they stand")
	c.Flags().StringVar(&flags.notAfter, "not-after", "", "let values that are open for longer end at this `TIME`: 2026-12-31T00:00:00Z, or from now 12h or 90d")
	flags.runFlags(c)
	return c
}

// keyFlags adds the flags for the keys before and after.
func (f *resealFlags) keyFlags(c *cobra.Command) {
	c.Flags().StringVar(&f.keyRing, "key-ring", "", "open with this private key ring `FILE`")
	c.Flags().StringVar(&f.openKey, "open-key", "", "open with the key of a key service that this `FILE` names; it may wrap the key ring too")
	c.Flags().StringVar(&f.public, "public", "", "seal to this public key `FILE`")
	c.Flags().StringVar(&f.key, "key", "", "seal with the key of a key service that this `FILE` names")
}

// runFlags adds the flags for how it is done.
func (f *resealFlags) runFlags(c *cobra.Command) {
	f.signatures.flags(c)
	c.Flags().IntVar(&f.workers, "workers", min(2*runtime.GOMAXPROCS(0), 128), "the most `VALUES` that are open at once")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "open every value and write nothing")
	addAudit(c, &f.audit)
	addTextOrJSON(c, &f.output)
}

func (f *resealFlags) run(c *cobra.Command, paths []string) error {
	switch {
	case f.keyRing == "" && f.openKey == "":
		return usagef("--key-ring is missing; give the private key ring that the values were sealed to, or with --open-key the file that names their key of a key service")
	case f.public == "" && f.key == "":
		return usagef("--public is missing; give the public key file to seal to, or with --key the file that names a key of a key service")
	case f.public != "" && f.key != "":
		return usagef("--public and --key are two ways to seal; give one of them")
	case len(paths) > 1 && slices.Contains(paths, manifest.Stdin):
		return usagef("standard output can have the text of one input alone; give no other names beside -")
	case f.workers < 1 || f.workers > 128:
		return usagef("--workers must be from 1 to 128")
	}
	if f.notAfter != "" {
		var problem string
		if f.narrow.NotAfter, problem = parseNotAfter(f.notAfter, time.Now()); problem != "" {
			return usagef("--not-after: %s", problem)
		}
	}
	keys, _, closeKeys, err := openKeys(f.keyRing, f.openKey, "--open-key")
	if err != nil {
		return usageError{err}
	}
	defer closeKeys()
	signed, err := f.signatures.read()
	if err != nil {
		return err
	}
	to, err := openSealKey(f.public, f.key, signed...)
	if err != nil {
		return usageError{err}
	}
	defer to.close()
	trail, err := openPersonTrail(f.audit)
	if err != nil {
		return err
	}
	defer trail.close()
	files, err := reseal.Find(stdin(c), paths)
	if err != nil {
		return usageError{err}
	}
	if c.Context().Err() != nil {
		return errInterrupted
	}
	if f.move != nil && !f.dryRun {
		if err := confirm(c, fmt.Sprintf("Seal the values of %s for %s? Who could open them before cannot open what is written.", count(len(files), "file"), f.destination()), f.yes); err != nil {
			return err
		}
	}
	scope, note := f.narrow.Apply, (func(seal.Scope) string)(nil)
	if f.move != nil {
		scope, note = f.move.Apply, f.move.Note
	}
	bar := newProgressBar(c.ErrOrStderr())
	report := reseal.Run(c.Context(), reseal.Options{
		Open: trail.opens("", opener(keys, &f.signatures)),
		Seal: trail.seals(audit.Reseal, "", to.seal),
		Current: func(ctx context.Context, sealed *seal.Sealed) (bool, error) {
			if !f.signatures.current(sealed) {
				return false, nil
			}
			return to.current(ctx, sealed)
		},
		Scope:    scope,
		Note:     note,
		Cluster:  to.cluster,
		Together: f.move != nil,
		Workers:  f.workers,
		DryRun:   f.dryRun,
		Stdout:   c.OutOrStdout(),
		Progress: func(done, total int) { bar.show("values", done, total) },
	}, files)
	bar.end()
	reportTo := c.OutOrStdout()
	if slices.Contains(paths, manifest.Stdin) && !f.dryRun {
		reportTo = c.ErrOrStderr() // standard output has the resealed text
	}
	if err := f.print(reportTo, report); err != nil {
		return err
	}
	printNotes(c.ErrOrStderr(), report)
	return f.conclude(c.ErrOrStderr(), report)
}

// opener opens values as the holder of the keys, whatever they are sealed for.
func opener(keys seal.Keys, signatures *resigning) func(context.Context, *seal.Sealed) (secret.Bytes, error) {
	return func(ctx context.Context, sealed *seal.Sealed) (secret.Bytes, error) {
		if err := signatures.check(sealed); err != nil {
			return secret.Bytes{}, err
		}
		as, object, now := meeting(sealed.Scope(), time.Now())
		return sealed.Open(ctx, keys, as, object, now)
	}
}

// print tells what failed, or everything in JSON.
func (f *resealFlags) print(w io.Writer, report reseal.Report) error {
	if f.output == "json" {
		return printJSON(w, report)
	}
	for _, file := range report.Files {
		if file.Problem != "" {
			if _, err := fmt.Fprintf(w, "%s: %s\n", shown(file.Path), shown(file.Problem)); err != nil {
				return err
			}
			continue
		}
		for _, value := range file.Values {
			if value.State != reseal.Failed {
				continue
			}
			if _, err := fmt.Fprintf(w, "%s%s\n", placeOf(file, value), shown(value.Reason)); err != nil {
				return err
			}
		}
	}
	done := "resealed"
	if f.move != nil {
		done = "moved"
	}
	if report.DryRun {
		done = "to be " + done
	}
	_, err := fmt.Fprintf(w, "%s %s, %d current already, %d failed, in %s\n", count(report.Resealed, "value"), done, report.Current, report.Failed, count(len(report.Files), "file"))
	return err
}

// printNotes tells what to know of values that did not fail.
func printNotes(w io.Writer, report reseal.Report) {
	for _, file := range report.Files {
		for _, value := range file.Values {
			if value.Note != "" {
				fmt.Fprintf(w, "%snote: %s\n", placeOf(file, value), value.Note)
			}
		}
	}
}

// placeOf is where a value stands, before what is said of it.
func placeOf(file reseal.File, value reseal.Value) string {
	object := ""
	if value.Object != "" {
		object = "object " + message.Printable(value.Object) + ": "
	}
	return fmt.Sprintf("%s:%d: %s", shown(file.Path), value.Line, object)
}

// shown is text for a terminal, whole: names in a repository are others' choice.
func shown(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// conclude says what is to be done next.
func (f *resealFlags) conclude(w io.Writer, report reseal.Report) error {
	switch {
	case report.Interrupted:
		return errors.New("interrupted; every file is whole, run it again for the rest")
	case !report.Complete() && f.move != nil:
		return errors.New("not every value was moved; fix what is listed and run it again")
	case !report.Complete():
		return errors.New("not every value is under the new key; do not retire the old one, fix what is listed and run it again")
	case report.Resealed+report.Current == 0:
		return usagef("there are no sealed values in these files")
	case report.DryRun:
		fmt.Fprintln(w, "nothing was written")
	}
	return nil
}

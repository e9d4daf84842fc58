package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/internal/atomicfile"
	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/manifest"
	"github.com/lanyardhq/lanyard/provider/manifest/classfile"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// pinFlags are the flags of lanyard pin.
type pinFlags struct {
	class, version, config string
	unpin, dryRun          bool
}

func newPin() *cobra.Command {
	var f pinFlags
	c := &cobra.Command{
		Use:   "pin CLASSFILE OBJECT",
		Short: "Have a class read one version of a secret",
		Long: `Pin writes into a class that an object is read at one version, and --unpin that
it is read at the current one again. A bad rotation is so taken back, and the way
back undone, with one commit each. lanyard history lists the versions.

The file is changed in place. Only the object's version changes, and everything
else stays as it is, comments and layout included. Each dialect is written in its
own way: version in a native class, version= in the secretPath of vault and openbao,
objectVersion or objectVersionLabel of aws, objectVersion of azure, and the end of
the resourceName of gcp. No store is asked whether it has the version.

OBJECT is the path of the object's file, its name, or the store's name for the
secret. Several files that are made of one entry are pinned together.

Exit codes: 0 the class is as you want it, 1 the object cannot be pinned, or the
class would have a problem that it has not now, 2 wrong flags, arguments or files.`,
		Example: `  lanyard pin web.yaml db/password --version 6
  lanyard pin web.yaml db/password --version 6 --dry-run
  lanyard pin web.yaml db/password --unpin`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("pin takes two arguments, the file of the class and the object; see lanyard pin --help")
			}
			return nil
		},
		ValidArgsFunction: classAndObjects(1),
		RunE:              func(c *cobra.Command, args []string) error { return f.run(c, args[0], args[1]) },
	}
	flags := c.Flags()
	flags.StringVar(&f.class, "class", "", "the `NAME` of the class, if the file holds several")
	flags.StringVar(&f.version, "version", "", "the `VERSION` to stay at, as lanyard history lists it, or a label of one")
	flags.BoolVar(&f.unpin, "unpin", false, "follow the current version again")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print what would change, and write nothing")
	flags.StringVar(&f.config, "config", "", "the operator's configuration `FILE`, to check the class with; without it what the class leaves to the configuration is not checked")
	return c
}

func (f *pinFlags) run(c *cobra.Command, file, object string) error {
	switch {
	case f.unpin && f.version != "":
		return usagef("--version and --unpin exclude each other")
	case !f.unpin && f.version == "":
		return usagef("--version is missing; give the version to stay at, or --unpin")
	case !f.unpin && !dialect.IsVersion(f.version):
		return usagef("--version: %s is no version of any store", message.Printable(f.version))
	}
	e, wrong, _, err := checkEngine(f.config)
	switch {
	case err != nil:
		return err
	case len(wrong) > 0:
		return usageError{refuseFindings(c.ErrOrStderr(), "the configuration has", wrong)}
	}
	defer e.Close()
	if !f.dryRun {
		ctx, cancel := context.WithTimeout(c.Context(), lockTime)
		defer cancel()
		unlock, err := atomicfile.Lock(ctx, file)
		if err != nil {
			return usagef("%w", err)
		}
		defer unlock()
	}
	in, data, err := manifest.ReadFile(file)
	if err != nil {
		return unreadable(file, err)
	}
	edited, done, err := f.edit(e, in, object)
	if err != nil {
		return err
	}
	switch {
	case done.before == f.version:
		fmt.Fprintf(c.ErrOrStderr(), "%s: %s already; nothing is changed\n", file, strings.Split(done.describe(f.version, false), ";")[0])
		return nil
	case f.dryRun:
		err = printDiff(c.OutOrStdout(), file, string(in.Text), string(edited))
	default:
		err = atomicfile.ReplaceUnchanged(file, data, in.Encode(edited))
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "%s: %s\n", file, done.describe(f.version, f.dryRun))
	for _, note := range done.notes {
		fmt.Fprintln(c.ErrOrStderr(), "note: "+note)
	}
	return nil
}

// pinned is what became of an object.
type pinned struct {
	label  string
	before string // the version that it named
	notes  []string
}

// describe says what the object does with this version, and did before.
func (p pinned) describe(version string, would bool) string {
	is, was := "is pinned to version "+version, "was pinned to version "+message.Printable(p.before)
	switch {
	case version == "" && would:
		is = "would follow the current version"
	case version == "":
		is = "follows the current version"
	case would:
		is = "would be pinned to version " + version
	}
	if p.before == "" {
		was = "followed the current version"
	}
	return p.label + " " + is + "; it " + was + " before"
}

// edit returns the text of the file with the object's version changed.
func (f *pinFlags) edit(e *localEngine, in manifest.Input, object string) ([]byte, pinned, error) {
	documents, err := manifest.Documents(in.Text)
	if err != nil {
		return nil, pinned{}, unreadable(in.Name, err)
	}
	classes := manifest.Classes(documents)
	chosen, err := manifest.Choose(classes, f.class)
	if err != nil {
		return nil, pinned{}, usagef("%s %w", in.Name, err)
	}
	class, how, err := readPinned(e, in.Name, classes[chosen])
	if err != nil {
		return nil, pinned{}, err
	}
	place, err := oneEntry(class, object)
	if err != nil {
		return nil, pinned{}, usagef("%s: %w", in.Name, err)
	}
	o := class.Objects[place]
	done := pinned{label: objectLabel(o), before: how.NamedBy(o)}
	if err := e.CanName(class, o); err != nil {
		return nil, done, fmt.Errorf("%s: %s cannot be pinned: %w", in.Name, done.label, err)
	}
	if done.before == f.version {
		return in.Text, done, nil
	}
	edited, err := classfile.Pin(in.Text, f.class, dialects(e.dialectSettings)[classes[chosen].Provider()], how, class.Number(place)-1, f.version)
	if err != nil {
		return nil, done, fmt.Errorf("%s: %s: %w", in.Name, done.label, err)
	}
	if err := f.newProblems(e, in, edited); err != nil {
		return nil, done, err
	}
	var together, apart []string
	for i, other := range class.Objects {
		switch {
		case i == place:
		case class.Number(i) == class.Number(place):
			together = append(together, objectLabel(other))
		case other.Store == o.Store && other.Key == o.Key && other.Key != "":
			apart = append(apart, objectLabel(other))
		}
	}
	if len(together) > 0 {
		done.notes = append(done.notes, "the same entry makes these too: "+strings.Join(together, ", "))
	}
	if len(apart) > 0 {
		done.notes = append(done.notes, "these are of the same secret, and stay as they are: "+strings.Join(apart, ", "))
	}
	return edited, done, nil
}

// readPinned reads a class, and how its dialect names versions.
func readPinned(e *localEngine, file string, class manifest.Class) (*spec.Class, dialect.Pin, error) {
	parse, known := dialects(e.dialectSettings)[class.Provider()]
	if !known {
		return nil, dialect.Pin{}, usagef("%s: class %s is of provider %s, which Lanyard does not serve", file, message.Printable(class.Name()), message.Printable(class.Provider()))
	}
	parameters, err := class.Parameters()
	if err != nil {
		return nil, dialect.Pin{}, usagef("%s cannot be read as a SecretProviderClass: %w", file, err)
	}
	read, err := parse(parameters)
	if err != nil {
		return nil, dialect.Pin{}, fmt.Errorf("%s: the class has problems; correct them first (lanyard check): %w", file, err)
	}
	return read, pins[class.Provider()], nil
}

// objectLabel is what messages call an object.
func objectLabel(o spec.Object) string { return message.Printable(o.ID()) }

// oneEntry is the place of the first object of the entry that a person means.
func oneEntry(class *spec.Class, name string) (int, error) {
	found := class.Named(name)
	for _, place := range found {
		if class.Number(place) != class.Number(found[0]) {
			return 0, fmt.Errorf("several objects are called %s; name one by its path: %s", message.Printable(name), labels(class, found))
		}
	}
	if len(found) == 0 {
		all := make([]int, len(class.Objects))
		for i := range all {
			all[i] = i
		}
		return 0, fmt.Errorf("no object is called %s; the class has %s", message.Printable(name), labels(class, all))
	}
	return found[0], nil
}

// labels names objects by their paths, each once.
func labels(class *spec.Class, places []int) string {
	var names []string
	for _, place := range places {
		if name := objectLabel(class.Objects[place]); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// newProblems is an error if the edited file has problems that it had not before.
func (f *pinFlags) newProblems(e *localEngine, in manifest.Input, edited []byte) error {
	problems := func(text []byte) []manifest.Finding {
		checker := &manifest.Checker{Dialects: dialects(e.dialectSettings), Check: e.Check, Cluster: e.Config().Cluster, Configured: f.config != "", Now: time.Now()}
		checker.File(in.Name, text)
		return checker.Findings
	}
	known := map[string]bool{}
	where := func(p manifest.Finding) string { return p.Class + "\n" + p.Field + "\n" + p.Message }
	for _, p := range problems(in.Text) {
		known[where(p)] = true
	}
	var added []error
	for _, p := range problems(edited) {
		if p.Severity == manifest.Error && !known[where(p)] {
			added = append(added, errors.New(p.String()))
		}
	}
	return errors.Join(added...)
}

// printDiff prints what differs between two texts, as diff -u does, in one hunk.
func printDiff(w io.Writer, file, before, after string) error {
	was, is := strings.SplitAfter(before, "\n"), strings.SplitAfter(after, "\n")
	first := 0
	for first < min(len(was), len(is)) && was[first] == is[first] {
		first++
	}
	same := 0
	for same < min(len(was), len(is))-first && was[len(was)-1-same] == is[len(is)-1-same] {
		same++
	}
	const context = 3
	from, tail := max(first-context, 0), min(context, same)
	endWas, endIs := len(was)-same, len(is)-same
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n@@ -%d,%d +%d,%d @@\n", file, file, from+1, endWas+tail-from, from+1, endIs+tail-from)
	lines := func(mark string, of []string) {
		for _, line := range of {
			if line != "" {
				b.WriteString(mark + ended(line))
			}
		}
	}
	lines(" ", was[from:first])
	lines("-", was[first:endWas])
	lines("+", is[first:endIs])
	lines(" ", was[endWas:endWas+tail])
	_, err := io.WriteString(w, b.String())
	return err
}

package cmd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/manifest"
)

func newCheck() *cobra.Command {
	var configFile, output string
	var publics []string
	var strictly bool
	c := &cobra.Command{
		Use:   "check [FILE|DIR|-]...",
		Short: "Say what is wrong with classes and configuration, without a cluster",
		Long: `Check SecretProviderClasses in YAML or JSON files, and the operator's
configuration file. Nothing is read from a store and nothing is changed.

Every problem is printed with its file, line and column, so that editors and CI
find the place, also inside the YAML of a class's parameters. Objects of other
kinds and the classes of other providers are passed over. A directory is
searched for .yaml, .yml and .json files, without hidden ones; - is standard
input.

Sealed values are held against their class: whether the text is whole, has not
expired, is sealed for the class's namespace and the object's name, and whether all of
them are for one service account; with --public, or with --config where its key ring is,
also whether somebody has their key.

Pods, Deployments and the like that ask for secrets are held against what lanyard inject
accepts, and its agents take; those in the dialects of other webhooks are warned of. So are
annotations for secrets that are misspelt, or stand on a Deployment in place of its pods.

With --config the classes are checked as a node with this configuration would
see them. Files that the configuration names and that are only on the node, such
as key rings and certificates, may be missing here: a note names them. Without it, nothing is said of stores that
the classes do not define themselves, but a warning for a name that is close to one that they define.

What the provider of a class ignores, Lanyard ignores as well, such as a parameter or field
that it does not know. Each such part is a warning, which --strict makes a problem.

Exit codes: 0 all is well or there are warnings alone, 1 problems were found, 2 the input cannot be used or
holds no class.`,
		Example: `  lanyard check web.yaml
  lanyard check --strict --config lanyard.yaml deploy/
  lanyard check --public public.yaml deploy/
  kustomize build . | lanyard check --output json -`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 && configFile == "" {
				return usagef("nothing to check; name files, directories or - for standard input; see %s --help", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			return runCheck(c, configFile, output, publics, strictly, args)
		},
	}
	c.Flags().StringVar(&configFile, "config", "", "the operator's configuration `FILE`")
	c.Flags().StringArrayVar(&publics, "public", nil, "a public key `FILE` that values may be sealed to; any other is reported. Give it again for each further key")
	c.Flags().BoolVar(&strictly, "strict", false, "refuse what has no effect, such as an unknown parameter, which is else a warning")
	addTextOrJSON(c, &output)
	return c
}

func runCheck(c *cobra.Command, configFile, output string, publics []string, strictly bool, inputs []string) error {
	files, refused, err := readInputs(stdin(c), inputs, secretWords...)
	if err != nil {
		return err
	}
	checker := &manifest.Checker{Configured: configFile != "", Strict: strictly, Now: time.Now()}
	e, wrong, elsewhere, err := checkEngine(configFile)
	if err != nil {
		return err
	}
	if e != nil {
		defer e.Close()
		checker.Dialects, checker.Check, checker.Cluster = dialects(e.dialectSettings), e.Check, e.Config().Cluster
		if checker.Key, err = keysThatOpen(publics, e.written); err != nil {
			return err
		}
		checker.Pods = podChecker(strictly)
		for _, f := range files {
			checker.File(f.Name, f.Text)
		}
	}
	findings := slices.Concat(wrong, refused, checker.Findings)
	if err := printFindings(c.OutOrStdout(), output, findings); err != nil {
		return err
	}
	if len(elsewhere) > 0 {
		if _, err := fmt.Fprintf(c.ErrOrStderr(), "note: not on this machine, so not checked: %s\n", message.Names(elsewhere, message.Printable)); err != nil {
			return err
		}
	}
	err = conclude(c.ErrOrStderr(), checker, inputs, wrong, findings)
	if err != nil && len(refused) > 0 {
		return usageError{err} // as each command that reads one file
	}
	return err
}

// checkEngine returns an engine under the configuration file, or what is wrong
// with the file, and the files of the node that are not on this machine.
func checkEngine(path string) (*localEngine, []manifest.Finding, []string, error) {
	if path == "" {
		return checkEngineUnder(nil)
	}
	opened, err := os.Open(path)
	if err != nil {
		return nil, nil, nil, unreadable(path, err)
	}
	opened.Close() //nolint:errcheck,gosec // opened only to tell a missing file from a wrong one
	file, err := config.Load(path)
	if err != nil {
		return configFindings(withStores(err))
	}
	return checkEngineUnder(file)
}

// withStores adds what is wrong with the stores of a configuration file to what else is.
func withStores(err error) error {
	var wrong *config.Error
	if errors.As(err, &wrong) {
		return wrong.WithStores(opensElsewhere)
	}
	return err
}

// checkEngineUnder is checkEngine for a configuration that is read; nil stands for the
// defaults.
func checkEngineUnder(file *config.File) (*localEngine, []manifest.Finding, []string, error) {
	settings := config.Default()
	settings.Policy.ReadObjects = true // who does not say what the operator allows is told nothing of it
	if file != nil {
		settings = file.Config
	}
	here, elsewhere := withoutFilesOfTheNode(settings)
	e, err := engineFor(here, prometheus.NewRegistry(), nil, local{elsewhere: true})
	if err != nil && file != nil {
		return configFindings(file.Explain(err))
	}
	if err == nil {
		e.written = settings
	}
	return e, nil, elsewhere, err
}

// opensElsewhere says what is wrong with the stores of a configuration for another machine.
func opensElsewhere(settings config.Config) error {
	here, _ := withoutFilesOfTheNode(settings)
	e, err := engineFor(here, prometheus.NewRegistry(), nil, local{elsewhere: true})
	if err == nil {
		e.Close()
	}
	return err
}

func configFindings(err error) (*localEngine, []manifest.Finding, []string, error) {
	var wrong *config.Error
	if !errors.As(err, &wrong) {
		return nil, nil, nil, err
	}
	return nil, manifest.Configuration(wrong.Path, wrong.Problems), nil, nil
}

// readInputs reads what the arguments name. Of the files below a folder it takes
// those that mention a class, or one of the words. A file that is not text becomes a finding.
func readInputs(stdin io.Reader, names []string, words ...string) (inputs []manifest.Input, refused []manifest.Finding, err error) {
	err = manifest.Each(stdin, names, append([]string{manifest.Kind}, words...), func(in manifest.Input, err error) error {
		var notText manifest.NotTextError
		switch {
		case errors.As(err, &notText):
			refused = append(refused, manifest.NotText(in.Name, notText))
		case err != nil:
			return unreadable(in.Name, err)
		default:
			inputs = append(inputs, in)
		}
		return nil
	})
	var path *fs.PathError
	if errors.As(err, &path) {
		err = unreadable(path.Path, path)
	}
	return inputs, refused, err
}

func printFindings(w io.Writer, output string, findings []manifest.Finding) error {
	if output == "json" {
		if findings == nil {
			findings = []manifest.Finding{}
		}
		return printJSON(w, findings)
	}
	for _, f := range findings {
		if _, err := fmt.Fprintln(w, f); err != nil {
			return err
		}
	}
	return nil
}

// conclude prints the summary of a check that found nothing, and returns it as
// the error of one that did.
func conclude(w io.Writer, checker *manifest.Checker, inputs []string, wrong, findings []manifest.Finding) error {
	if len(wrong) > 0 && len(inputs) > 0 {
		return fmt.Errorf("%s in the configuration; fix it first, the classes were not checked", count(len(wrong), "problem"))
	}
	if len(inputs) > 0 && checker.Classes == 0 && checker.Workloads == 0 && len(findings) == 0 {
		if checker.OtherProviders > 0 {
			return usagef("nothing to check in %s: %s of other providers", strings.Join(inputs, ", "), count(checker.OtherProviders, "class"))
		}
		return usagef("no SecretProviderClass in %s", strings.Join(inputs, ", "))
	}
	checked := count(checker.Classes, "class") + " checked"
	if len(inputs) == 0 {
		checked = "configuration checked"
	}
	notes := ""
	if checker.Workloads > 0 {
		checked = count(checker.Classes, "class") + " and " + count(checker.Workloads, "workload") + " checked"
	}
	if checker.OtherProviders > 0 {
		notes += fmt.Sprintf("; %s of other providers passed over", count(checker.OtherProviders, "class"))
	}
	if checker.Unresolved > 0 {
		notes += fmt.Sprintf("; %s left to the operator's configuration, which --config gives", count(checker.Unresolved, "store"))
	}
	n := problems(findings)
	if warnings := len(findings) - n; warnings > 0 {
		notes = ", " + count(warnings, "warning") + notes
	}
	if n > 0 {
		return fmt.Errorf("%s, %s%s", checked, count(n, "problem"), notes)
	}
	_, err := fmt.Fprintf(w, "%s, no problems%s\n", checked, notes)
	return err
}

// count is a number with its noun.
func count(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "s"):
		noun += "e"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

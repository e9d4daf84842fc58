package cmd

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/provider/manifest"
)

func newConvert() *cobra.Command {
	var configFile, output string
	c := &cobra.Command{
		Use:   "convert FILE|DIR|-...",
		Short: "Turn classes of other providers into native ones",
		Long: `Convert turns the SecretProviderClasses of the dialects that Lanyard speaks into
native ones, provider: lanyard, which make the same files. The files are printed
whole: only a class's provider and parameters change, and everything else keeps
its place, other objects, metadata, secretObjects and comments included. What the
class gains, and what is left out because it had no effect, is printed on standard
error, or with --output json together with the file.

With --config the class is written for nodes with this configuration: what the
configuration says of a store already is left out. Without it, a class that does
not say where its store is leaves that to the configuration.

A file with a class that has problems is not converted: all of them are printed,
as lanyard check does. Pods that set volumeAttributes of the old syntax have to
be changed along with their class.

Exit codes: 0 converted, 1 a class cannot be converted, 2 the input cannot be
used or holds no class.`,
		Example: `  lanyard convert vault-class.yaml > class.yaml
  kubectl get secretproviderclass web -o yaml | lanyard convert --config lanyard.yaml -`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("nothing to convert; name files, directories or - for standard input; see %s --help", c.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: manifests,
		RunE: func(c *cobra.Command, args []string) error {
			return runConvert(c, configFile, output, args)
		},
	}
	c.Flags().StringVar(&configFile, "config", "", "the operator's configuration `FILE`")
	addTextOrJSON(c, &output)
	return c
}

// convertedFile is a file as --output json prints it. Its fields are only added
// to.
type convertedFile struct {
	File     string                `json:"file"`
	Classes  []manifest.Conversion `json:"classes"`
	Manifest string                `json:"manifest"`
}

func runConvert(c *cobra.Command, configFile, output string, args []string) error {
	files, refused, err := readInputs(stdin(c), args)
	switch {
	case err != nil:
		return err
	case len(refused) > 0:
		return usageError{refuseFindings(c.ErrOrStderr(), "nothing is converted:", refused)}
	}
	e, wrong, _, err := checkEngine(configFile)
	if err != nil {
		return err
	}
	if len(wrong) > 0 {
		return refuseFindings(c.ErrOrStderr(), "the configuration has", wrong)
	}
	defer e.Close()
	classes, err := checked(c.ErrOrStderr(), e, configFile, files, "nothing is converted:")
	switch {
	case err != nil:
		return err
	case classes == 0:
		return usagef("no SecretProviderClass of these providers in %s", strings.Join(args, ", "))
	}
	converter := &manifest.Converter{Dialects: dialects(e.dialectSettings), Configured: configFile != "", Stores: e.written.Stores}
	converted := make([]convertedFile, len(files))
	for i, f := range files {
		text, conversions, err := converter.File(f.Name, f.Text)
		if err != nil {
			return err
		}
		converted[i] = convertedFile{File: f.Name, Classes: conversions, Manifest: string(text)}
		if conversions == nil {
			converted[i].Classes = []manifest.Conversion{}
		}
		files[i].Text = text
	}
	if _, err := checked(c.ErrOrStderr(), e, configFile, files, "the native class would have problems that this one has not:"); err != nil {
		return err
	}
	return printConverted(c.OutOrStdout(), c.ErrOrStderr(), output, converted)
}

// checked returns how many classes the files hold, or everything that is wrong
// with them.
func checked(stderr io.Writer, e *localEngine, configFile string, files []manifest.Input, outcome string) (classes int, err error) {
	checker := &manifest.Checker{
		Dialects: dialects(e.dialectSettings), Check: e.Check, Cluster: e.Config().Cluster,
		Configured: configFile != "", Now: time.Now(),
	}
	for _, f := range files {
		checker.File(f.Name, f.Text)
	}
	if problems(checker.Findings) > 0 {
		return 0, refuseFindings(stderr, outcome, checker.Findings)
	}
	return checker.Classes, nil
}

func refuseFindings(stderr io.Writer, outcome string, findings []manifest.Finding) error {
	if err := printFindings(stderr, "text", findings); err != nil {
		return err
	}
	return fmt.Errorf("%s %s", outcome, count(problems(findings), "problem"))
}

// problems is how many of the findings are more than warnings.
func problems(findings []manifest.Finding) (n int) {
	for _, f := range findings {
		if f.Severity == manifest.Error {
			n++
		}
	}
	return n
}

func printConverted(stdout, stderr io.Writer, output string, files []convertedFile) error {
	if output == "json" {
		return printJSON(stdout, files)
	}
	for i, f := range files {
		if i > 0 && !strings.HasPrefix(f.Manifest, "---") {
			fmt.Fprintln(stdout, "---") // an error comes from what follows
		}
		if _, err := io.WriteString(stdout, ended(f.Manifest)); err != nil {
			return err
		}
		for _, class := range f.Classes {
			printConversion(stderr, f.File, class)
		}
		if len(f.Classes) == 0 {
			fmt.Fprintf(stderr, "%s: nothing to convert, it holds native classes only\n", f.File)
		}
	}
	return nil
}

// ended ends a file's last line.
func ended(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n"
}

func printConversion(w io.Writer, file string, class manifest.Conversion) {
	fmt.Fprintf(w, "%s: class %s: converted from %s, %s\n", file, class.Class, class.From, count(class.Objects, "object"))
	for _, text := range class.LeftOut {
		fmt.Fprintf(w, "  left out: %s\n", text)
	}
	for _, text := range class.Gains {
		fmt.Fprintf(w, "  gained: %s\n", text)
	}
}

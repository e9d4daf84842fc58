package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	jsonyaml "sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/internal/atomicfile"
	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/manifest"
	"github.com/lanyardhq/lanyard/provider/migration"
	"github.com/lanyardhq/lanyard/provider/spec"
)

func newMigrate() *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Plan the way from another provider",
		Long: `Plan the way from HashiCorp's vault-csi-provider, openbao-csi-provider, the AWS
provider, the Azure Key Vault provider or Google's provider, whose classes Lanyard
takes as they are.`,
		Example: `  lanyard migrate plan`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(c, args[0])
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newMigratePlan())
	return c
}

// migrateFlags are the flags of migrate plan.
type migrateFlags struct {
	files               []string
	kubeconfig, context string
	output              string
	valuesOnly          bool
	out                 string
	yes                 bool
}

func newMigratePlan() *cobra.Command {
	var f migrateFlags
	c := &cobra.Command{
		Use:   "plan",
		Short: "Say what becomes of an installed provider and its classes",
		Long: `Plan reads what is installed of HashiCorp's vault-csi-provider, openbao-csi-provider,
the AWS provider (ASCP), the Azure Key Vault provider and Google's, add-ons of AKS,
EKS and GKE included: their DaemonSets with flags and environment, the driver, the
CSIDriver, SecretProviderClasses, and the workloads and pods that mount them. It
prints what is to be done by hand, a values.yaml for Lanyard's chart with a comment on each value
that says what it was, the classes and pods that would not be served with these
values, what will be different, the steps in their order, and what to look at
afterwards.

It reads a cluster, as kubectl would, or with --file what files hold, such as the
output of kubectl get. Nothing is written to the cluster, and no store is called. In
a cluster it needs the right to list what it reads; docs/install.md has the role.

Exit codes: 0 nothing is left to do but the steps, 1 something must be seen to before
them, or could not be read, 2 wrong flags or files, or none of these providers.`,
		Example: `  lanyard migrate plan
  lanyard migrate plan --values-only --out values.yaml
  kubectl get daemonsets,csidrivers,secretproviderclasses,deployments -A -o yaml | lanyard migrate plan --file -
  lanyard migrate plan --file provider.yaml --file classes/ --output json`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("migrate plan takes no arguments; name files with --file; see %s --help", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := c.Flags()
	flags.StringArrayVarP(&f.files, "file", "f", nil, "read this `FILE`, directory, or - for standard input, and no cluster. Give it again for each further one")
	addKubeconfig(flags, &f.kubeconfig, &f.context)
	flags.BoolVar(&f.valuesOnly, "values-only", false, "print only the values.yaml; the rest of what must be seen to is printed on standard error")
	flags.StringVar(&f.out, "out", "", "with --values-only, write the values to `FILE`; at a terminal you are asked before another one is replaced")
	flags.BoolVar(&f.yes, "yes", false, "replace the file of --out without a question")
	addOutput(c, &f.output, "", "text", "json", "yaml")
	return c
}

func (f *migrateFlags) run(c *cobra.Command) error {
	switch {
	case len(f.files) > 0 && (f.kubeconfig != "" || f.context != ""):
		return usagef("--file reads no cluster; leave out --kubeconfig and --context")
	case f.out != "" && !f.valuesOnly:
		return usagef("--out is for --values-only; redirect the plan itself")
	case f.valuesOnly && c.Flags().Changed("output"):
		return usagef("--values-only prints YAML; leave out --output")
	}
	in := installed{}
	var err error
	if len(f.files) > 0 {
		err = in.readFiles(stdin(c), f.files)
	} else {
		err = in.readCluster(c, f.kubeconfig, f.context)
	}
	if err != nil {
		return err
	}
	if in.Empty() {
		for _, finding := range in.findings {
			fmt.Fprintln(c.ErrOrStderr(), noteLine(finding))
		}
		return usagef("none of the providers vault, openbao, aws, azure and gcp is in what was read, nor a class of theirs")
	}
	plan, err := in.plan()
	if err != nil {
		return err
	}
	if f.valuesOnly {
		if err := f.write(c, plan.Values); err != nil {
			return err
		}
		for _, note := range slices.Concat(plan.ByHand, plan.NotYet, plan.Refused) {
			fmt.Fprintln(c.ErrOrStderr(), noteLine(note))
		}
	} else if err := printPlan(c.OutOrStdout(), f.output, plan); err != nil {
		return err
	}
	if !plan.Settled() {
		return fmt.Errorf("%d to do by hand, %d not there yet, %d refused; see to these before the steps", len(plan.ByHand), len(plan.NotYet), len(plan.Refused))
	}
	return nil
}

// write writes the values to the file, or prints them.
func (f *migrateFlags) write(c *cobra.Command, values string) error {
	if f.out == "" {
		_, err := io.WriteString(c.OutOrStdout(), values)
		return err
	}
	err := atomicfile.Create(f.out, []byte(values), 0o644)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	// What a link, a pipe or a device leads to is nothing to replace.
	if info, err := os.Stat(f.out); err == nil && !info.Mode().IsRegular() {
		return usagef("--out: %s is no regular file; leave --out out, and redirect what is printed", message.Printable(f.out))
	}
	before, err := os.ReadFile(f.out)
	if err != nil || bytes.Equal(before, []byte(values)) {
		return err
	}
	if err := confirm(c, fmt.Sprintf("Replace %s? It holds something else.", message.Printable(f.out)), f.yes); err != nil {
		return err
	}
	return atomicfile.ReplaceUnchanged(f.out, before, []byte(values))
}

// installed is what is installed, with the classes as the checker wants them.
type installed struct {
	migration.Installation
	classes  []manifest.Input
	findings []migration.Note
}

// readFiles reads the objects of files.
func (in *installed) readFiles(from io.Reader, names []string) error {
	err := manifest.Each(from, names, []string{"kind"}, func(input manifest.Input, err error) error {
		var notText manifest.NotTextError
		switch {
		case errors.As(err, &notText):
			in.findings = append(in.findings, migration.Note{Place: input.Name, Text: notText.Error()})
			return nil
		case err != nil:
			return unreadable(input.Name, err)
		}
		return in.text(input)
	})
	var path *fs.PathError
	if errors.As(err, &path) {
		err = unreadable(path.Path, path)
	}
	return err
}

// text takes in the objects of one text.
func (in *installed) text(input manifest.Input) error {
	documents, err := manifest.Documents(input.Text)
	var problems strict.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			in.findings = append(in.findings, migration.Note{Place: fmt.Sprintf("%s:%d", input.Name, max(p.Line, 1)), Text: p.Text})
		}
	} else if err != nil {
		return unreadable(input.Name, err)
	}
	for _, object := range manifest.Objects(documents) {
		err := in.Add(object.Kind(), func(target any) error {
			text, err := yaml.Marshal(object.Root)
			if err != nil {
				return err
			}
			return jsonyaml.Unmarshal(text, target)
		})
		if err != nil {
			in.findings = append(in.findings, migration.Note{
				Place: fmt.Sprintf("%s:%d", input.Name, object.Root.Line),
				Text:  fmt.Sprintf("is no %s as Kubernetes takes it, and was not read%s", message.Printable(object.Kind()), wrongField(err)),
			})
		}
	}
	classes := manifest.Classes(documents)
	for _, class := range classes {
		parameters, err := class.Parameters()
		if err != nil {
			continue // the checker tells what is wrong
		}
		in.AddClass(migration.Class{Namespace: class.Namespace(), Name: class.Name(), Provider: class.Provider(), Parameters: parameters})
	}
	if len(classes) > 0 {
		in.classes = append(in.classes, input)
	}
	return nil
}

// wrongField names the field that has another form than the API server would take.
func wrongField(err error) string {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) || wrong.Field == "" {
		return ""
	}
	return ": " + message.Printable(strings.TrimPrefix(wrong.Field, ".")) + " must not be a " + wrong.Value
}

// plan plans, and checks every class and pod as a node with the plan's values would.
func (in *installed) plan() (*migration.Plan, error) {
	plan, err := in.Plan(dialects(func() config.Dialects { return config.Default().Dialects }))
	if err != nil {
		return nil, err
	}
	plan.Refused = append(plan.Refused, in.findings...)
	file, err := config.Parse("values.yaml", []byte(plan.Config))
	var wrong *config.Error
	if errors.As(err, &wrong) {
		configured(plan, wrong)
		return plan, nil
	} else if err != nil {
		return nil, err
	}
	e, problems, _, err := checkEngineUnder(file)
	if err != nil {
		return nil, err
	}
	if e == nil {
		for _, finding := range problems {
			plan.Refused = append(plan.Refused, migration.Note{Object: "config", Text: finding.Field + ": " + finding.Message})
		}
		return plan, nil
	}
	defer e.Close()
	in.check(plan, e)
	return plan, nil
}

// configured notes what is wrong with the values themselves, which hold what somebody gave
// to the other provider.
func configured(plan *migration.Plan, wrong *config.Error) {
	for _, p := range wrong.Problems {
		plan.Refused = append(plan.Refused, migration.Note{Object: "config", Text: p.Field + ": " + p.Text})
	}
}

// check notes the classes and pods that are refused.
func (in *installed) check(plan *migration.Plan, e *localEngine) {
	checker := &manifest.Checker{Dialects: map[string]spec.Dialect{}, Configured: true, Check: e.Check, Cluster: e.Config().Cluster, Now: time.Now()}
	maps.Copy(checker.Dialects, dialects(e.dialectSettings))
	// What is native has nothing to migrate, and what is of others no plan.
	maps.DeleteFunc(checker.Dialects, func(name string, _ spec.Dialect) bool { return !migration.Plans(name) })
	for _, input := range in.classes {
		checker.File(input.Name, input.Text)
	}
	for _, finding := range checker.Findings {
		place := fmt.Sprintf("%s:%d:%d", finding.File, finding.Line, finding.Column)
		if finding.File == "" {
			place = "" // of a cluster
		}
		note := migration.Note{Object: classOf(finding), Place: place, Text: finding.Short()}
		if finding.Severity == manifest.Warning {
			plan.Different = append(plan.Different, note)
		} else {
			plan.Refused = append(plan.Refused, note)
		}
	}
	for _, pod := range in.Pods() {
		if checker.Dialects[pod.Class.Provider] == nil {
			continue
		}
		note := func(list *[]migration.Note, what string, before, now []string) {
			for _, text := range now {
				if !slices.Contains(before, text) {
					*list = append(*list, migration.Note{Object: pod.Object, Text: "with the volumeAttributes of its volume, " + pod.Class.String() + " " + what + ": " + text})
				}
			}
		}
		provider, class := pod.Class.Provider, pod.Class.Parameters
		note(&plan.Refused, "has a problem", problemsOf(e.Check(provider, class)), problemsOf(e.Check(provider, pod.Parameters)))
		note(&plan.Different, "says what has no effect", idle(checker.Dialects[provider], class), idle(checker.Dialects[provider], pod.Parameters))
	}
}

// idle is what has no effect in parameters.
func idle(dialect spec.Dialect, parameters map[string]string) (texts []string) {
	if class, _ := dialect(parameters); class != nil { //nolint:errcheck // what is wrong is told beside it
		texts = problemsOf(class.Idle)
	}
	return texts
}

func problemsOf(err error) (texts []string) {
	var problems spec.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			texts = append(texts, p.String())
		}
	} else if err != nil {
		texts = append(texts, err.Error())
	}
	return texts
}

// classOf names the class of a finding; empty if it has no name, and its place says which.
func classOf(f manifest.Finding) string {
	if f.Class == "" {
		return ""
	}
	return message.Printable(migration.Class{Namespace: f.Namespace, Name: f.Class}.String())
}

package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/dialect/lanyard"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/manifest"
	"github.com/lanyardhq/lanyard/server/exec"
	"github.com/lanyardhq/lanyard/server/exec/reference"
)

// execFlags are the flags of lanyard exec.
type execFlags struct {
	exec.Flags
	classFile string
	class     string
	socket    string
	config    string
	print     bool
	pod       podFlags
}

// exitCodeError ends the program with the exit code of another.
type exitCodeError struct {
	code int
	err  error // what is to be said; nil for nothing
}

func (e exitCodeError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

func newExec() *cobra.Command {
	var f execFlags
	c := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARGUMENT ...]",
		Short: "Run a command with secrets in its environment",
		Long: `Exec puts values into variables of its environment and then becomes the command:
no process stays between, and signals and the exit code are the command's own.
The values never lie in etcd, in a manifest or in the runtime's configuration.

With --volume they are the files of a class's volume, which the node's provider
has filled; the pod needs no credentials of any store. With --class-file they are
read here, as lanyard mount reads them; so they are with --class alone, the name of a
SecretProviderClass of the pod's namespace, which the pod's account must be allowed to
get.

Variables get values by --env, by --all, and where their text is lanyard:OBJECT or
holds ${lanyard:OBJECT}. Texts are also understood that bank-vaults, secret-init and
akv2k8s take for references, such as vault:secret/data/db#password; --references
says which. With --volume, lanyard agent --references has written their values, or a
class that --print-class makes of this environment; otherwise they are read here, with the pod's tokens and the stores of --config, and
with the addresses and roles in the variables of these programs (VAULT_ADDR, ...).
All values are there or the command is not started.

With --watch exec stays as the parent, passes every signal on, waits for orphaned
processes, and starts the command again, or signals it, when a value changes.

Exit codes: the command's own; 126 and 127 if it cannot be started, 1 if a value
is missing, 2 for wrong flags.`,
		Example: `  lanyard exec --volume /secrets --env PGPASSWORD=db/password -- /app/server
  DATABASE_URL='postgres://app:${lanyard:db/password}@db/app' lanyard exec --volume /secrets -- /app/server
  PGPASSWORD=vault:secret/data/db#password lanyard exec --config lanyard.yaml --token vault=/tokens/vault -- /app/server
  lanyard exec --class-file web.yaml --config lanyard.yaml --all --prefix APP_ -- env
  lanyard exec --class web --config lanyard.yaml --token vault=/tokens/vault --env PGPASSWORD=db/password -- /app/server`,
		Args: func(_ *cobra.Command, args []string) error {
			if f.print && len(args) == 0 {
				return nil
			}
			return asUsage(exec.CheckArgs(args))
		},
		RunE: f.run,
	}
	f.AddTo(c.Flags())
	c.Flags().StringVar(&f.classFile, "class-file", "", "the `FILE` of a class whose values are read here")
	c.Flags().StringVar(&f.class, "class", "", "the `NAME` of the class: of several in the file, without one in the cluster, or of the one that --print-class prints")
	c.Flags().StringVar(&f.socket, "socket", "", "the socket `FILE` of a running provider that reads the values")
	c.Flags().StringVar(&f.config, "config", "", "the operator's configuration `FILE`, where the command reads values itself")
	c.Flags().BoolVar(&f.print, "print-class", false, "print the class that makes the files of the references in the variables, and run nothing")
	f.pod.add(c.Flags())
	offerDirectories(c, "volume")
	return c
}

// asUsage is an error of wrong flags or arguments.
func asUsage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

func (f *execFlags) run(c *cobra.Command, args []string) error {
	options, err := f.Options()
	if err != nil {
		return usageError{err}
	}
	// What is wrong with references is told when they are read.
	references, wrong := reference.Find(exec.Inherited(), options.References)
	switch {
	case f.print && (f.Volume != "" || f.classFile != "" || len(args) > 0):
		return usagef("--print-class runs no command and reads nothing; leave --volume, --class-file and the command out")
	case f.print && wrong != nil:
		return wrong
	case f.print:
		return f.printClass(c.OutOrStdout(), references)
	case f.Volume != "" && (f.classFile != "" || f.class != ""):
		return usagef("give --volume, the directory of a mounted class, or --class-file or --class; see %s --help", c.CommandPath())
	case f.Volume != "" && (f.socket != "" || f.config != ""):
		return usagef("--socket and --config are for classes and references that are read here; the volume has its values already")
	case f.socket != "" && f.config != "":
		return usagef("--socket and --config: give one; a running provider has its own configuration")
	case f.Volume == "" && f.classFile == "" && f.class == "" && (options.All || len(options.Set) > 0 || len(references) == 0 && wrong == nil):
		return usagef("give --volume, the directory of a mounted class, or --class-file or --class, or have references in variables; see %s --help", c.CommandPath())
	}
	values := exec.Values(exec.Volume{Dir: f.Volume})
	if f.Volume == "" {
		read := &readValues{pod: &f.pod, configured: f.config != "" || f.socket != ""}
		if read.class, err = f.manifest(c); err != nil {
			return err
		}
		if read.mounter, err = newMounter(f.socket, f.config); err != nil {
			return err
		}
		if own, ok := read.mounter.(embedded); ok && own.engine.Config().Audit.Required {
			own.close()
			return usagef("--config: audit.required: exec keeps no audit trail of what it reads itself; give it --volume, or a file without audit.required")
		}
		defer read.mounter.close()
		values = read
	}
	code, err := f.Run(c.Context(), args, exec.Inherited(), values, c.ErrOrStderr())
	var start *exec.StartError
	switch {
	case errors.As(err, &start):
		return exitCodeError{start.ExitCode(), err}
	case err != nil:
		return err
	case code != 0:
		return exitCodeError{code: code}
	}
	return nil
}

// manifest is the class of the file, or of the cluster; nil if there are references alone.
func (f *execFlags) manifest(c *cobra.Command) (*classManifest, error) {
	var class classManifest
	var err error
	switch {
	case f.classFile != "":
		class, err = readClass(stdin(c), f.classFile, f.class)
	case f.class != "":
		class, err = classFromCluster(c.Context(), f.pod, f.class, "lanyard-exec")
	default:
		return nil, nil //nolint:nilnil // there is no class
	}
	return &class, err
}

// printClass prints the class of the references, as it would be written by hand.
func (f *execFlags) printClass(w io.Writer, references []reference.Reference) error {
	if len(references) == 0 {
		return errors.New("no variable holds a reference; run it with the variables of the container")
	}
	parameters, err := reference.Class(references, referenceOptions())
	if err != nil {
		return err
	}
	class, err := lanyard.Parse(parameters)
	if err != nil {
		return err
	}
	if parameters, err = lanyard.Write(class, nil); err != nil {
		return err
	}
	metadata := map[string]string{"name": cmp.Or(f.class, "references")}
	if f.pod.namespace != "" {
		metadata["namespace"] = f.pod.namespace
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	return encoder.Encode(struct {
		APIVersion string            `yaml:"apiVersion"`
		Kind       string            `yaml:"kind"`
		Metadata   map[string]string `yaml:"metadata"`
		Spec       any               `yaml:"spec"`
	}{"secrets-store.csi.x-k8s.io/v1", manifest.Kind, metadata, struct {
		Provider   string            `yaml:"provider"`
		Parameters map[string]string `yaml:"parameters"`
	}{reference.Dialect, parameters}})
}

// referenceOptions let references use what this process has.
func referenceOptions() reference.Options {
	return reference.Options{Variable: os.Getenv, ReadFile: os.ReadFile}
}

// readValues are those of a class, of references, or of both, that are read here, once for
// each environment.
type readValues struct {
	mounter mounter
	class   *classManifest // nil if there are references alone
	pod     *podFlags
	// configured says that the stores are the operator's, and not only those of variables
	// and of the class.
	configured bool
	files      []engine.File // of the class
	refers     []engine.File // of the references
}

// Begin reads the class and the references anew.
func (v *readValues) Begin(ctx context.Context, references []reference.Reference) error {
	v.files, v.refers = nil, nil
	var problems []error
	if v.class != nil {
		files, err := v.mount(ctx, *v.class, *v.pod)
		v.files, problems = files, append(problems, err)
	}
	// What a class that failed would have is not known.
	references = reference.Without(references, func(object string) bool {
		return v.class != nil && (len(v.files) == 0 || v.file(v.files, object) != nil)
	})
	if len(references) > 0 {
		parameters, err := reference.Class(references, referenceOptions())
		if err == nil {
			// Attributes of a volume are for the class of the volume.
			pod := *v.pod
			pod.attributes = nil
			v.refers, err = v.mount(ctx, classManifest{name: "references", provider: reference.Dialect, parameters: parameters}, pod)
			err = reference.InVariables(err)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("references in variables (--references says which texts are some): %w%s", err, v.hint(err)))
		}
	}
	return errors.Join(problems...)
}

// hint says where the store of a reference comes from, if there is none.
func (v *readValues) hint(err error) string {
	if v.configured || !strings.Contains(err.Error(), "no store of that name is configured") {
		return ""
	}
	return ", in the file of --config, or set the variable with its address, such as VAULT_ADDR"
}

func (v *readValues) mount(ctx context.Context, class classManifest, flags podFlags) ([]engine.File, error) {
	pod, err := flags.read(class)
	if err != nil {
		return nil, err
	}
	volume, err := v.mounter.mount(ctx, class, pod)
	if err != nil {
		return nil, err
	}
	return volume.Files, nil
}

func (v *readValues) file(files []engine.File, path string) *engine.File {
	if at := slices.IndexFunc(files, func(f engine.File) bool { return f.Path == path }); at >= 0 {
		return &files[at]
	}
	return nil
}

// Value is the content of a file of the class.
func (v *readValues) Value(object string) ([]byte, error) {
	if v.class == nil {
		return nil, fmt.Errorf("%s is an object of a class; give --volume, --class-file or --class", message.Printable(object))
	}
	if file := v.file(v.files, object); file != nil {
		return file.Contents, nil
	}
	return nil, fmt.Errorf("the class makes no file %s; it makes %s", message.Printable(object),
		message.Names(v.files, func(f engine.File) string { return message.Printable(f.Path) }))
}

// Reference is what was read for a reference, or the object of the class that stands for it.
func (v *readValues) Reference(r reference.Reference) ([]byte, error) {
	if file := v.file(v.refers, r.File()); file != nil {
		return file.Contents, nil
	}
	object, named := r.Object()
	if !named {
		return nil, fmt.Errorf("%s has no value", r)
	}
	return v.Value(object)
}

// Objects are the files of the class.
func (v *readValues) Objects() ([]string, error) {
	var all []string
	for _, f := range v.files {
		all = append(all, f.Path)
	}
	slices.Sort(all)
	return all, nil
}

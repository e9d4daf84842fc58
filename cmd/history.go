package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// historyFlags are the flags of lanyard history.
type historyFlags struct {
	class, config, versionKey string
	kubeconfig, context       string
	output                    string
	pod                       podFlags
}

func newHistory() *cobra.Command {
	var f historyFlags
	c := &cobra.Command{
		Use:   "history CLASSFILE|NAMESPACE/CLASS [OBJECT...]",
		Short: "List the versions of a class's secrets, and who holds which",
		Long: `History lists, for each object of a class or for those that you name, the versions
that its store knows: which one the class reads, the time at which each was made,
whether it can be read, and the store's own labels. It never prints values.

The class is a file, or NAMESPACE/CLASS from the API server. The versions are listed
as a pod would list them, with the service account of --service-account. The tokens
are those of --token, or with a cluster those that the API server gives you for that
account (create on serviceaccounts/token). Listing needs a right in the store that
reading does not: docs/operations.md has it for each store.

With a cluster (NAMESPACE/CLASS, --kubeconfig or --context) it also lists what pods
(SecretProviderClassPodStatus), and the Secrets that lanyard sync has written of the
class, hold now: those with one value together. Lanyard shows a version as a
keyed digest, from which nobody learns the value. With the installation's key of
versions (--version-key, or cache.versionKeyFile of --config) history reads the newest
20 versions of each secret and says which of them each digest is; without it, only
who holds the same as whom.

Store, type and rights are those of the class and of --config. Without --config there
are only the stores that the class defines itself.

Exit codes: 0 all was listed, 1 something could not be listed, 2 wrong flags,
arguments or files.`,
		Example: `  lanyard history web.yaml --config lanyard.yaml --service-account web --token vault=/tmp/token
  lanyard history prod/web db/password --config lanyard.yaml --service-account web
  lanyard history prod/web --config lanyard.yaml --service-account web --version-key ./key -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("history takes the file of a class, or NAMESPACE/CLASS; see lanyard history --help")
			}
			return nil
		},
		ValidArgsFunction: classAndObjects(1 << 10),
		RunE:              func(c *cobra.Command, args []string) error { return f.run(c, args[0], args[1:]) },
	}
	flags := c.Flags()
	flags.StringVar(&f.class, "class", "", "the `NAME` of the class, if the file holds several")
	flags.StringVar(&f.config, "config", "", "the operator's configuration `FILE`")
	flags.StringVar(&f.versionKey, "version-key", "", "a private `FILE` with the installation's key of versions, as the field key of its Secret holds it")
	f.pod.add(flags)
	addKubeconfig(flags, &f.kubeconfig, &f.context)
	addTextOrJSON(c, &f.output)
	return c
}

func (f *historyFlags) run(c *cobra.Command, from string, names []string) error {
	namespace, name, inCluster := classInCluster(from)
	var cluster *clusterClient
	var err error
	if inCluster || f.kubeconfig != "" || f.context != "" {
		if cluster, err = openCluster(f.kubeconfig, f.context, "lanyard-history"); err != nil {
			return err
		}
	}
	var class classManifest
	switch {
	case inCluster && f.class != "":
		return usagef("--class is for a file that holds several; %s names the class", from)
	case inCluster && f.pod.namespace != "" && f.pod.namespace != namespace:
		return usagef("--namespace: the class is in namespace %s", message.Printable(namespace))
	case inCluster:
		class, err = cluster.class(c.Context(), namespace, name)
	default:
		class, err = readClass(stdin(c), from, f.class)
	}
	if err != nil {
		return err
	}
	pod, err := f.pod.read(class)
	if err != nil {
		return err
	}
	person := local{versionKey: f.versionKey}
	if cluster != nil && len(f.pod.tokens) == 0 {
		person.access = cluster.config
	}
	e, err := loadEngineFor(f.config, person)
	if err != nil {
		return err
	}
	defer e.Close()
	request := engine.HistoryRequest{
		Request:   engine.Request{Dialect: class.provider, Parameters: map[string]string{}, Identity: pod.identity},
		Published: cluster != nil && e.Config().Cache.VersionKeyFile != "",
	}
	maps.Copy(request.Parameters, class.parameters)
	maps.Copy(request.Parameters, pod.attributes)
	if parse := dialects(e.dialectSettings)[request.Dialect]; parse != nil {
		if read, err := parse(request.Parameters); err == nil { // else the engine tells it
			if request.Objects, err = chosen(read, names); err != nil {
				return err
			}
		}
	}
	bar := newProgressBar(c.ErrOrStderr())
	request.Progress = func(done, total int) { bar.later("secrets", done, total) }
	found, err := e.History(c.Context(), request)
	bar.end()
	if c.Context().Err() != nil {
		return errors.New("interrupted; not everything was listed")
	}
	if err != nil {
		if f.config == "" && strings.Contains(err.Error(), "no store of that name is configured") {
			fmt.Fprintln(c.ErrOrStderr(), "note: without --config there are only the stores that the class defines itself")
		}
		return err
	}
	report := newHistoryReport(class, pod.identity.Namespace, found)
	var problems []error
	if failed := report.failed(); failed > 0 {
		problems = append(problems, fmt.Errorf("the versions of %d of %s could not be listed", failed, count(len(found), "object")))
	}
	if cluster != nil {
		holders, err := cluster.holders(c.Context(), pod.identity.Namespace, class.name)
		problems = append(problems, err)
		report.hold(found, holders, request.Published)
	}
	if err := report.print(c.OutOrStdout(), f.output); err != nil {
		return err
	}
	return errors.Join(problems...)
}

// classInCluster says whether the argument names a class in a cluster, and which. What
// is a file is no such name.
func classInCluster(from string) (namespace, name string, ok bool) {
	if _, err := os.Stat(from); !errors.Is(err, fs.ErrNotExist) {
		return "", "", false
	}
	namespace, name, ok = strings.Cut(from, "/")
	for _, ending := range []string{".yaml", ".yml", ".json"} {
		ok = ok && !strings.HasSuffix(name, ending)
	}
	return namespace, name, ok && namespace != "" && !strings.HasPrefix(namespace, ".") && name != "" && !strings.Contains(name, "/")
}

// chosen chooses the objects that are named; all without names.
func chosen(class *spec.Class, names []string) (func(place int) bool, error) {
	if len(names) == 0 {
		return nil, nil //nolint:nilnil // nil takes all
	}
	var places []int
	for _, name := range names {
		found := class.Named(name)
		if found == nil {
			_, err := oneEntry(class, name)
			return nil, usageError{err}
		}
		places = append(places, found...)
	}
	return func(place int) bool { return slices.Contains(places, place) }, nil
}

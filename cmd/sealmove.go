package cmd

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/provider/manifest/reseal"
)

func newSealMove() *cobra.Command {
	flags := resealFlags{move: &reseal.Moving{}}
	c := &cobra.Command{
		Use:   "move [--key-ring FILE] [--open-key FILE] {--public FILE | --key FILE} PATH...",
		Short: "Seal the values in files for another cluster, namespace, service account or object",
		Long: `Open every sealed value in the files, with a key ring, a key of a key service or both, and
seal it for another workload: of another cluster, with --public or --key of that cluster, of
another namespace or service account, or under the name of the object in whose place it now
stands. What is not named stays as it is. A part that is any stays any, and a note says so where
it is named.

Whoever holds the key ring can do so, and nobody else: a sealed value does not open anywhere but
where it was sealed for. Names in the files themselves, such as metadata.namespace, are yours to
change.

A file is written only if all of its values can be moved; what cannot be opened is named. Only the
values' texts change; comments, order and formatting stay. Of directories, all YAML and JSON files
are taken. At a terminal the command asks before it writes; elsewhere it wants --yes.

Exit codes: 0 every value was moved, 1 some were not, 2 wrong flags or files.`,
		Example: `  # from cluster dev to cluster prod, whose public key is prod.yaml
  lanyard seal move --key-ring dev-ring.yaml --public prod.yaml --cluster prod deploy/prod/

  # to another namespace and service account, without a question
  lanyard seal move --key-ring ring.yaml --public public.yaml -n shop --service-account api --yes web.yaml

  # after objects were renamed in the class
  lanyard seal move --key-ring ring.yaml --public public.yaml --object-names --dry-run web.yaml`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("no file or directory is named; see %s --help", c.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: manifests,
		RunE: func(c *cobra.Command, paths []string) error {
			if flags.destination() == "" {
				return usagef("nothing says where to; give --cluster, --namespace, --service-account or --object-names")
			}
			return flags.run(c, paths)
		},
	}
	flags.keyFlags(c)
	c.Flags().StringVar(&flags.move.Cluster, "cluster", "", "seal for this cluster `NAME`")
	c.Flags().StringVarP(&flags.move.Namespace, "namespace", "n", "", "seal for this namespace `NAME`")
	c.Flags().StringVar(&flags.move.ServiceAccount, "service-account", "", "seal for this service account `NAME`")
	c.Flags().BoolVar(&flags.move.Objects, "object-names", false, "seal each value for the object in whose place it stands")
	c.Flags().BoolVar(&flags.yes, "yes", false, "write without a question")
	flags.runFlags(c)
	return c
}

// destination says in words where values are moved to; empty if nowhere.
func (f *resealFlags) destination() string {
	var parts []string
	for _, part := range []struct{ what, name string }{
		{"cluster", f.move.Cluster}, {"namespace", f.move.Namespace}, {"service account", f.move.ServiceAccount},
	} {
		if part.name != "" {
			parts = append(parts, part.what+" "+part.name)
		}
	}
	if f.move.Objects {
		parts = append(parts, "the objects in whose place they stand")
	}
	return strings.Join(parts, ", ")
}

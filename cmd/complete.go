package cmd

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/provider/config"
)

// offer makes shells complete the flag with the values that it takes.
func offer(c *cobra.Command, flag string, values ...string) {
	complete(c, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// offerDirectories makes shells complete the flag with directories alone.
func offerDirectories(c *cobra.Command, flag string) {
	complete(c, flag, cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs))
}

func complete(c *cobra.Command, flag string, values cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, values); err != nil {
		panic(err) // the command has no such flag
	}
}

// manifests completes arguments with files that can hold a class.
func manifests(_ *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt
}

// classAndObjects completes the first argument with files that can hold a class, and up to
// most more with the objects of the class in that file.
func classAndObjects(limit int) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return manifests(c, args, word)
		}
		if len(args) > limit {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		name, err := c.Flags().GetString("class")
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		file, err := readClass(nil, args[0], name)
		parse := dialects(func() config.Dialects { return config.Dialects{} })[file.provider]
		if err != nil || parse == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []cobra.Completion
		if class, err := parse(file.parameters); err == nil {
			for _, o := range class.Objects {
				if name := o.ID(); !slices.Contains(args, name) {
					names = append(names, name)
				}
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

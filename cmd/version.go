package cmd

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Releases set these when they link, with
// -ldflags "-X github.com/lanyardhq/lanyard/cmd.version=v1.2.3 -X github.com/lanyardhq/lanyard/cmd.commit=...".
// Other builds are described by what the Go tool notes down in the binary.
var version, commit string

// build says what was built.
type build struct {
	Version   string `json:"version"`
	Commit    string `json:"commit"`
	GoVersion string `json:"goVersion"`
	Platform  string `json:"platform"`
}

// thisBuild describes the running binary. What is not known says so.
func thisBuild() build {
	b := build{Version: version, Commit: commit, GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	modified := false
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision" && b.Commit == "":
			b.Commit = setting.Value
		case setting.Key == "vcs.modified":
			modified = setting.Value == "true"
		}
	}
	if modified && commit == "" && b.Commit != "" {
		b.Commit += " with changes"
	}
	if b.Version == "" {
		b.Version = "unknown"
	}
	if b.Commit == "" {
		b.Commit = "unknown"
	}
	return b
}

func newVersion() *cobra.Command {
	output := "text"
	c := &cobra.Command{
		Use:   "version",
		Short: "Say which build this is",
		Long:  "Say which version this is, of which commit, built by which Go for which platform.",
		Example: `  lanyard version
  lanyard version --output json`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("version takes no arguments; see %s --help", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			b := thisBuild()
			if output == "json" {
				return printJSON(c.OutOrStdout(), b)
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "lanyard %s\ncommit   %s\ngo       %s\nplatform %s\n", b.Version, b.Commit, b.GoVersion, b.Platform)
			return err
		},
	}
	addTextOrJSON(c, &output)
	return c
}

package cmd

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/server/agent"
)

// mountFlags are the flags of lanyard mount.
type mountFlags struct {
	class    string
	target   string
	socket   string
	config   string
	watch    bool
	interval time.Duration
	output   string
	pod      podFlags
}

func newMount() *cobra.Command {
	var f mountFlags
	c := &cobra.Command{
		Use:   "mount CLASSFILE|-",
		Short: "Mount a class as the CSI driver would",
		Long: `Mount reads a SecretProviderClass from a file, fetches what it names as the
given pod, and writes the files to a directory the way the CSI driver does: all
of them or none, behind one symbolic link that is switched at once. Without
--target it only prints what a pod would get. It never prints values.

The class - is that of standard input. Beside it, there or in the file, may be the
pod's tokens as TokenRequests, as kubectl create token -o yaml prints them, so that
nothing has to be written where the command runs.

It asks a running provider over its socket (--socket), or does the work itself
under the configuration file of --config. Without either there are only the
stores that the class defines itself.

With --watch it goes on, polls as the driver does, and writes what has changed;
a failed poll leaves the files as they are. It ends on SIGINT or SIGTERM.

With --output json the first line is an object of what was mounted: files, a
list of path, mode and bytes, and objects, a list of object and version. Each
line after it is a file that a poll of --watch changed: file, change (added,
changed or removed) and time. Failed polls are told on standard error.`,
		Example: `  # What would the pod get? Ask the provider that runs on this node.
  lanyard mount web.yaml --socket /etc/kubernetes/secrets-store-csi-providers/lanyard.sock \
      --namespace prod --service-account web --token vault=/tmp/token

  # The same in the provider's own container, which has no shell and no file to write.
  (cat web.yaml; echo ---; kubectl create token web -n prod --audience vault -o yaml) |
      kubectl exec -i -n lanyard ds/lanyard -- /lanyard mount - --socket /etc/kubernetes/secrets-store-csi-providers/lanyard.sock

  # Write the files, without a provider running, and keep them fresh.
  lanyard mount web.yaml --config lanyard.yaml --target ./secrets --watch --interval 30s`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("mount takes one argument, the file of the class; see lanyard mount --help")
			}
			return nil
		},
		ValidArgsFunction: manifests,
		RunE:              func(c *cobra.Command, args []string) error { return runMount(c, f, args[0]) },
	}
	flags := c.Flags()
	flags.StringVar(&f.class, "class", "", "the `NAME` of the class, if the file holds several")
	flags.StringVar(&f.target, "target", "", "the `DIR` to write the files to; made if missing, and refused if it holds other files")
	flags.StringVar(&f.socket, "socket", "", "the socket `FILE` of a running provider; without it the command does the work itself")
	flags.StringVar(&f.config, "config", "", "the operator's configuration `FILE`, where the command does the work itself")
	flags.BoolVar(&f.watch, "watch", false, "keep the files fresh until SIGINT or SIGTERM")
	flags.DurationVar(&f.interval, "interval", 80*time.Second, "the `TIME` between polls with --watch, at least 1s")
	f.pod.add(flags)
	addTextOrJSON(c, &f.output)
	offerDirectories(c, "target")
	return c
}

func runMount(c *cobra.Command, f mountFlags, classFile string) error {
	switch {
	case f.interval < time.Second:
		return usagef("--interval: must be at least 1s")
	case f.socket != "" && f.config != "":
		return usagef("--socket and --config: give one; a running provider has its own configuration")
	}
	class, err := readClass(stdin(c), classFile, f.class)
	if err != nil {
		return err
	}
	if _, err := f.pod.read(class); err != nil {
		return err
	}
	write := func([]engine.File) error { return nil }
	if f.target != "" {
		target, err := agent.OpenTarget(f.target, 0o700)
		if err != nil {
			return usagef("--target: %w", err)
		}
		write = target.Write
	}
	m, err := newMounter(f.socket, f.config)
	if err != nil {
		return err
	}
	defer m.close()
	first := true
	// Token files are read at each poll, because they are renewed.
	follower := agent.Follower{
		Read: func(ctx context.Context, _ *engine.Outlook) (*engine.Volume, error) {
			pod, err := f.pod.read(class)
			if err != nil {
				return nil, err
			}
			mount := func(ctx context.Context) (*engine.Volume, error) { return m.mount(ctx, class, pod) }
			if !first {
				return mount(ctx)
			}
			return withNotice(ctx, c.ErrOrStderr(), "waiting for the stores", mount)
		},
		Write: write,
		Next:  func(agent.Round) time.Duration { return f.interval },
	}
	follower.Report = func(r agent.Round) error {
		switch {
		case first && r.Err != nil:
			if f.socket == "" && f.config == "" && strings.Contains(r.Err.Error(), "no store of that name is configured") {
				fmt.Fprintln(c.ErrOrStderr(), "note: without --config or --socket there are only the stores that the class defines itself")
			}
			return r.Err
		case first:
			first = false
			return printVolume(c.OutOrStdout(), f.output, r.Volume)
		case r.Err != nil:
			fmt.Fprintf(c.ErrOrStderr(), "%s the files stay as they are: %v\n", time.Now().Format(time.TimeOnly), r.Err)
			return nil //nolint:nilerr // it was told
		}
		return printChanges(c.OutOrStdout(), f.output, r.Changes)
	}
	if !f.watch {
		return follower.Report(follower.Round(c.Context()))
	}
	return follower.Run(c.Context())
}

// withNotice tells on w what is being waited for when it takes longer than a
// person likes to wonder.
func withNotice(ctx context.Context, w io.Writer, what string, mount func(context.Context) (*engine.Volume, error)) (*engine.Volume, error) {
	notice := time.AfterFunc(2*time.Second, func() { fmt.Fprintf(w, "lanyard: %s ...\n", what) })
	defer notice.Stop()
	return mount(ctx)
}

// fileSummary and objectSummary are what is printed of a volume: never values.
type fileSummary struct {
	Path  string `json:"path"`
	Mode  string `json:"mode"`
	Bytes int    `json:"bytes"`
}

type objectSummary struct {
	Object  string `json:"object"`
	Version string `json:"version"`
}

// absentSummary is an optional object that has no file.
type absentSummary struct {
	Object string `json:"object"`
	Reason string `json:"reason"`
}

func printVolume(w io.Writer, format string, volume *engine.Volume) error {
	summary := struct {
		Files   []fileSummary   `json:"files"`
		Objects []objectSummary `json:"objects"`
		Absent  []absentSummary `json:"absent,omitempty"`
	}{Files: []fileSummary{}, Objects: []objectSummary{}}
	for _, file := range volume.Files {
		summary.Files = append(summary.Files, fileSummary{file.Path, fmt.Sprintf("%04o", file.Mode.Perm()), len(file.Contents)})
	}
	for _, v := range volume.Versions {
		summary.Objects = append(summary.Objects, objectSummary{v.ID, v.Version})
	}
	for _, one := range volume.Absent {
		summary.Absent = append(summary.Absent, absentSummary{one.ID, one.Reason})
	}
	if format == "json" {
		return printJSONLine(w, summary)
	}
	rows := [][]string{{"FILE", "MODE", "BYTES"}}
	for _, file := range summary.Files {
		rows = append(rows, []string{file.Path, file.Mode, strconv.Itoa(file.Bytes)})
	}
	if err := printTable(w, rows); err != nil {
		return err
	}
	rows = [][]string{{}, {"OBJECT", "VERSION"}}
	for _, object := range summary.Objects {
		rows = append(rows, []string{object.Object, object.Version})
	}
	if len(summary.Absent) > 0 {
		rows = append(rows, []string{}, []string{"ABSENT", "REASON"})
		for _, one := range summary.Absent {
			rows = append(rows, []string{message.Printable(one.Object), one.Reason})
		}
	}
	return printTable(w, rows)
}

// printTable aligns rows; a row without columns is an empty line.
func printTable(w io.Writer, rows [][]string) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}

// printedChange is a file that a poll changed, as it is printed.
type printedChange struct {
	File   string    `json:"file"`
	Change string    `json:"change"`
	Time   time.Time `json:"time"`
}

func printChanges(w io.Writer, format string, changed []agent.Change) error {
	now := time.Now()
	for _, one := range changed {
		if format == "json" {
			if err := printJSONLine(w, printedChange{one.Path, one.What, now}); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(w, "%s %s %s\n", now.Format(time.TimeOnly), one.What, one.Path); err != nil {
			return err
		}
	}
	return nil
}

// Package cmd is the command line: one file for each subcommand. A command
// reads its flags, calls the package that does the work, and prints; it decides
// nothing about secrets itself.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The exit codes of every command.
const (
	exitOK     = 0
	exitFailed = 1 // the command understood and could not do it
	exitUsage  = 2 // flags, arguments or files that the command cannot use
	// exitInterrupted is what a shell reports of a process that SIGINT ended.
	exitInterrupted = 130
)

// usageError is an error of exitUsage.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// Execute runs the command that args name and returns the exit code. SIGINT
// and SIGTERM end the command's context.
func Execute(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	refuseUnknown(root)
	return reportError(root.ExecuteContext(ctx), stderr)
}

// reportError prints what went wrong, and returns the exit code for it.
func reportError(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	var other exitCodeError
	if errors.As(err, &other) {
		if other.err != nil {
			fmt.Fprintf(stderr, "lanyard: %v\n", other.err)
		}
		return other.code
	}
	fmt.Fprintf(stderr, "lanyard: %v\n", err)
	var usage usageError
	switch {
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.As(err, &usage):
		return exitUsage
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "lanyard",
		Short: "Give Kubernetes workloads their secrets",
		Long: `Lanyard gives Kubernetes workloads their secrets: from Vault, AWS, Azure
and Google, from files, and from sealed values that are committed to Git, always
as the pod's own identity. It also encrypts native Secrets in etcd.

Exit codes: 0 done, 1 could not be done, 2 wrong flags, arguments or files, 130
interrupted while reading standard input.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(c, args[0])
		},
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
		Version: thisBuild().Version,
	}
	root.SetVersionTemplate("lanyard {{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		var chosen *pflag.InvalidValueError
		if errors.As(err, &chosen) && chosen.GetFlag().Name == "output" {
			return usagef("--output: %w", errors.Unwrap(chosen))
		}
		return usagef("%w; see %s --help", err, c.CommandPath())
	})
	root.AddCommand(newAgent(), newAudit(), newCheck(), newConvert(), newDoctor(), newExec(), newHistory(), newInject(), newInspect(), newKeygen(), newKMS(), newMigrate(), newMount(), newPin(), newPubkey(), newRefresh(), newReseal(), newSeal(), newServe(), newStatus(), newSync(), newUnseal(), newVersion())
	return root
}

// refuseUnknown makes the commands that cobra adds by itself, help and
// completion, fail for what they do not know, as all others do. It comes after
// the root's output is set, which the scripts of completion are written to.
func refuseUnknown(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Args = func(_ *cobra.Command, args []string) error {
				if found, rest, err := root.Find(args); err != nil || len(rest) > 0 {
					return unknownCommand(found, rest[0])
				}
				return nil
			}
		case "completion":
			c.Args = func(c *cobra.Command, args []string) error {
				if len(args) > 0 {
					return unknownCommand(c, args[0])
				}
				return nil
			}
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		}
	}
}

// unknownCommand says that parent has no command of the name.
func unknownCommand(parent *cobra.Command, name string) error {
	parent.SuggestionsMinimumDistance = 2
	if near := parent.SuggestionsFor(name); len(near) > 0 {
		return usagef("there is no command %q; did you mean %s? See %s --help", name, strings.Join(near, " or "), parent.CommandPath())
	}
	return usagef("there is no command %q; see %s --help", name, parent.CommandPath())
}

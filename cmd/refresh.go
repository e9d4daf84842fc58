package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"
)

// refreshed are the commands that read everything anew at SIGHUP.
var refreshed = []string{"serve", "sync"}

func newRefresh() *cobra.Command {
	var pid int
	c := &cobra.Command{
		Use:   "refresh",
		Short: "Have a running provider read every value anew",
		Long: `Refresh sends SIGHUP to lanyard serve or lanyard sync, which then reads its
configuration again, and each value from its store with the next poll of a pod,
however young the value in memory is. It is for the container of the provider,
whose image has no other program, and for a machine that runs it without one.`,
		Example: `  kubectl --namespace lanyard exec daemonset/lanyard -- /lanyard refresh
  lanyard refresh --pid "$(pidof lanyard)"`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("refresh takes no arguments; see %s --help", c.CommandPath())
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error { return refresh(pid) },
	}
	c.Flags().IntVar(&pid, "pid", 1, "the `ID` of the process")
	return c
}

// refresh signals the process, but none that the signal would end.
func refresh(pid int) error {
	if pid < 1 {
		return usagef("--pid: must be the ID of a process")
	}
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if errors.Is(err, fs.ErrNotExist) {
		return usagef("--pid: there is no process %d", pid)
	}
	if err != nil {
		return err
	}
	if !takesHangup(line) {
		return usagef("--pid: process %d is neither lanyard serve nor lanyard sync; give the ID of one", pid)
	}
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		return fmt.Errorf("process %d cannot be signalled: %w; be root or the user that it runs as", pid, err)
	}
	return nil
}

// takesHangup says whether a command line, each word ended by a zero, is that of a
// command which reads everything anew at SIGHUP.
func takesHangup(line []byte) bool {
	words := bytes.Split(line, []byte{0})
	program := filepath.Base(string(words[0]))
	return len(words) > 1 && (program == "lanyard" || program == syncBinary) && slices.Contains(refreshed, string(words[1]))
}

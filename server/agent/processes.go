package agent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/lanyardhq/lanyard/internal/message"
)

// processes are those that a proc file system shows.
type processes struct{ root string }

// process is one of them.
type process struct {
	pid, parent int
	names       []string
}

// maxComm is the length to which the kernel cuts a process's name.
// https://man7.org/linux/man-pages/man5/proc_pid_comm.5.html
const maxComm = 15

// signal sends a signal to the processes of a name, but to this one, to PID 1, which is
// the pod's pause or the host's init, and to those whose parent has the name too: a
// server's workers are its own affair.
func (p processes) signal(signal syscall.Signal, name string) error {
	all, err := p.list()
	if err != nil {
		return err
	}
	named := map[int]process{}
	for _, one := range all {
		if one.pid != 1 && one.pid != os.Getpid() && one.named(name) {
			named[one.pid] = one
		}
	}
	if len(named) == 0 {
		return fmt.Errorf("no process %s is seen; in a pod, set shareProcessNamespace: true and name the command as it is in the container", message.Printable(name))
	}
	var failed []error
	for pid, one := range named {
		if _, worker := named[one.parent]; worker {
			continue
		}
		if err := p.signalOne(signal, pid, name); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// signalOne signals a process unless its number belongs to another meanwhile.
func (p processes) signalOne(signal syscall.Signal, pid int, name string) error {
	found, err := os.FindProcess(pid) // a handle, where the kernel has them
	if err != nil {
		return nil // it has ended
	}
	defer found.Release() //nolint:errcheck // it is over
	if one, err := p.read(pid); err != nil || !one.named(name) {
		return nil // it has ended
	}
	err = found.Signal(signal)
	switch {
	case errors.Is(err, os.ErrProcessDone):
		return nil
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf("process %s (%d) may not be signalled: it is another user's; run both containers as one user, or give this one the capability KILL", message.Printable(name), pid)
	case err != nil:
		return fmt.Errorf("process %s (%d): %w", message.Printable(name), pid, err)
	}
	return nil
}

func (p processes) list() (all []process, err error) {
	entries, err := os.ReadDir(p.root)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if one, err := p.read(pid); err == nil {
			all = append(all, one)
		}
	}
	return all, nil
}

// read reads what is known of a process that runs: its name is in parentheses, and may
// hold any character.
// https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
func (p processes) read(pid int) (process, error) {
	dir := filepath.Join(p.root, strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return process{}, err
	}
	begin, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if begin < 0 || end < begin {
		return process{}, fmt.Errorf("process %d cannot be read", pid)
	}
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 2 || fields[0] == "Z" || fields[0] == "X" {
		return process{}, fmt.Errorf("process %d has ended", pid)
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return process{}, err
	}
	one := process{pid: pid, parent: parent, names: []string{string(stat[begin+1 : end])}}
	if line, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil {
		first, _, _ := bytes.Cut(line, []byte{0})
		one.names = append(one.names, filepath.Base(string(first)))
	}
	return one, nil
}

// named says whether a process has the name: the kernel's, which may be cut, or that of
// the command that it was started by.
func (p process) named(name string) bool {
	return p.names[0] == name || len(p.names) > 1 && p.names[1] == name ||
		len(name) > maxComm && p.names[0] == name[:maxComm] && len(p.names) == 1
}

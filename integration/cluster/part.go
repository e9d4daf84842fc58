package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Part is a process of the cluster. It outlives the program that started it,
// unless it is of a Plane; its process id is kept in a file, by which any program finds it again.
type Part struct {
	// Name is unique in the cluster; what the process prints is in the file
	// of that name, with .log, in Logs.
	Name string
	// Command is the program with its arguments.
	Command []string
	// Env is the whole environment; nil leaves PATH and HOME alone.
	Env []string
	// Output takes what the process prints to standard output, if that is not
	// for the log.
	Output *os.File
	// User, if there is one, is who the process runs as.
	User *syscall.Credential
}

// Start starts a part that does not run.
func (c *Cluster) Start(part Part) error {
	if c.Running(part.Name) {
		return fmt.Errorf("%s runs already", part.Name)
	}
	log, err := os.OpenFile(filepath.Join(c.Logs(), part.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()                                         //nolint:errcheck // the process writes to it
	cmd := exec.Command(part.Command[0], part.Command[1:]...) //nolint:gosec,noctx // callers are tests; it outlives them
	cmd.Dir = c.Dir
	cmd.Env = part.Env
	if cmd.Env == nil {
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.Dir}
	}
	cmd.Stdout, cmd.Stderr = log, log
	if part.Output != nil {
		cmd.Stdout = part.Output
	}
	// A session of its own keeps a terminal's Ctrl-C from it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: part.User}
	if c.mortal {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	started, err := startTime(cmd.Process.Pid)
	if err != nil {
		return err
	}
	go cmd.Wait() //nolint:errcheck // takes its exit from the kernel, so that it is seen as gone; ends with it or this program
	return c.write(pidFile(part.Name), fmt.Appendf(nil, "%d %s", cmd.Process.Pid, started))
}

// Running reports whether a part runs.
func (c *Cluster) Running(name string) bool {
	_, ok := c.PID(name)
	return ok
}

// PID is the process id of a part that runs.
func (c *Cluster) PID(name string) (pid int, ok bool) {
	text, err := os.ReadFile(c.Path(pidFile(name)))
	if err != nil {
		return 0, false
	}
	id, started, _ := strings.Cut(string(text), " ")
	pid, err = strconv.Atoi(id)
	if err != nil {
		return 0, false
	}
	now, err := startTime(pid)
	return pid, err == nil && now == started
}

// Stop asks a part to end and waits until it has; if it has not after a while
// it is killed. A part that does not run is stopped already.
func (c *Cluster) Stop(ctx context.Context, name string) error {
	return c.end(ctx, name, syscall.SIGTERM)
}

// Kill ends a part at once, as a crash does.
func (c *Cluster) Kill(ctx context.Context, name string) error {
	return c.end(ctx, name, syscall.SIGKILL)
}

func (c *Cluster) end(ctx context.Context, name string, signal syscall.Signal) error {
	const patience = 15 * time.Second
	pid, ok := c.PID(name)
	if !ok {
		return nil
	}
	if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%s: %w", name, err)
	}
	killAt := time.Now().Add(patience)
	for {
		if _, ok := c.PID(name); !ok {
			return nil
		}
		if time.Now().After(killAt) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%s has not ended: %w", name, err)
		}
	}
}

// partNames are those of all parts that were ever started, in the order in
// which they were.
func (c *Cluster) partNames() ([]string, error) {
	files, err := os.ReadDir(c.Path("run"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	started := map[string]time.Time{}
	var names []string
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(file.Name(), ".pid")
		started[name] = info.ModTime()
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return started[a].Compare(started[b]) })
	return names, nil
}

func pidFile(name string) string { return filepath.Join("run", name+".pid") }

// startTime tells a process from a later one with the same id; an error if
// there is none, or if it has ended and only its exit is left.
func startTime(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The name, in parentheses, may hold anything; after it come the state and,
	// as the 20th field from there, the start time. See proc(5).
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 || string(fields[0]) == "Z" {
		return "", os.ErrProcessDone
	}
	return string(fields[19]), nil
}

// tail is the end of what a part printed.
func (c *Cluster) tail(name string) string {
	const maxBytes = 4 << 10
	text, err := os.ReadFile(filepath.Join(c.Logs(), name+".log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-maxBytes):])
}

// await waits until ready returns no error, for at most a minute. It gives up
// early if the part ends.
func (c *Cluster) await(ctx context.Context, part string, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if !c.Running(part) {
			return fmt.Errorf("%s ended:\n%s", part, c.tail(part))
		}
		if pause(ctx, 100*time.Millisecond) != nil {
			return fmt.Errorf("%s is not ready: %w\n%s", part, err, c.tail(part))
		}
	}
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// run runs a command to its end and returns its standard output; all that it printed is
// in its error.
func run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // callers are tests
	var output, problems strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, &output, &problems)
	}
	return output.String(), nil
}

// lookPath finds a program also where an ordinary user's PATH does not lead.
func lookPath(name string) (string, error) {
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}

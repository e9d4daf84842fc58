package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// Watch says how a command is run whose values are followed.
type Watch struct {
	// Environment makes the environment anew. It is called once at a time, and ends when
	// its context does.
	Environment func(ctx context.Context) ([]string, error)
	// Ticks say when it is to be made.
	Ticks <-chan time.Time
	// Signal is sent to the command when a value has changed; zero restarts it, since a
	// process keeps the environment that it was started with.
	Signal syscall.Signal
	// Grace is how long the command may take to end for a restart before it is killed.
	Grace time.Duration
	// Log is told what happens, in one line each.
	Log func(format string, args ...any)
}

// init1 is the process that stays: it passes signals on, waits for processes that nobody
// else waits for, and starts the command again. It never waits for values, so that no
// signal does.
type init1 struct {
	Watch
	args    []string
	environ []string
	child   int
	// signals are for the command, children says that a process may have ended. They are
	// apart, so that neither fills the room of the other.
	signals  chan os.Signal
	children chan os.Signal
	// ending says that the command was told to end by SIGTERM and is not started again.
	ending bool
}

// made is an environment, or why there is none.
type made struct {
	environ []string
	err     error
}

// forCommand are the signals that are caught for the command: all but SIGCHLD, and SIGURG,
// with which the Go runtime interrupts its own threads many times a second.
func forCommand() []os.Signal {
	const last = 64 // _NSIG, https://man7.org/linux/man-pages/man7/signal.7.html
	var all []os.Signal
	for s := syscall.Signal(1); s <= last; s++ {
		if s != syscall.SIGCHLD && s != syscall.SIGURG {
			all = append(all, s)
		}
	}
	return all
}

// Run runs the command until it ends by itself, and returns its exit code: 128 and the
// signal's number if a signal ended it. The error is a *StartError, or of the first
// environment. The context is that of the first environment: once the command runs, its
// end is what ends Run.
func (w Watch) Run(ctx context.Context, args []string) (int, error) {
	p := &init1{Watch: w, args: args, signals: make(chan os.Signal, 64), children: make(chan os.Signal, 1)}
	signal.Notify(p.signals, forCommand()...)
	defer signal.Stop(p.signals)
	signal.Notify(p.children, syscall.SIGCHLD)
	defer signal.Stop(p.children)

	var err error
	if p.environ, err = w.Environment(ctx); err != nil {
		return 0, err
	}
	if err := interrupted(ctx); err != nil {
		return 0, err
	}
	if err := p.start(); err != nil {
		return 0, err
	}
	return p.follow(context.WithoutCancel(ctx))
}

// interrupted is the error of a command that is not started because of a signal before.
func interrupted(ctx context.Context) error {
	if ctx.Err() != nil {
		return errors.New("interrupted before the command was started")
	}
	return nil
}

// follow is Run once the command runs. Environments are made in a goroutine, one at a time,
// which has ended when follow returns.
func (p *init1) follow(ctx context.Context) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan made, 1)
	making := false
	defer func() {
		cancel()
		if making {
			<-results
		}
	}()
	for {
		ticks := p.Ticks
		if making || p.ending {
			ticks = nil
		}
		select {
		case s := <-p.signals:
			p.ending = p.ending || s == syscall.SIGTERM
			p.pass(s)
		case <-p.children:
		case <-ticks:
			making = true
			go func() {
				environ, err := p.Environment(ctx)
				results <- made{environ, err}
			}()
		case result := <-results:
			making = false
			if code, ended, err := p.look(result.environ, result.err); ended || err != nil {
				return code, err
			}
		}
		if code, ended := p.reap(); ended {
			return code, nil
		}
	}
}

// start starts the command.
func (p *init1) start() error {
	path, err := lookup(p.args[0])
	if err != nil {
		return err
	}
	p.child, err = syscall.ForkExec(path, p.args, &syscall.ProcAttr{Env: p.environ, Files: []uintptr{0, 1, 2}}) //nolint:gosec // the command that the user names
	if err != nil {
		return &StartError{p.args[0], err}
	}
	return nil
}

// pass sends the command a signal, but SIGPIPE, which only this process is meant by: its
// log has no reader any more.
func (p *init1) pass(s os.Signal) {
	if number, ok := s.(syscall.Signal); ok && number != syscall.SIGPIPE {
		_ = syscall.Kill(p.child, number) //nolint:errcheck // it may have ended just now
	}
}

// reap waits for all processes that have ended. ended says that the command is among
// them.
func (p *init1) reap() (code int, ended bool) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return code, ended
		}
		if pid == p.child {
			code, ended = exitCode(status), true
		}
	}
}

func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// look acts on an environment that was made anew; failed is why it could not be, which
// leaves the command alone. ended says that the command has ended, by itself or because it was told
// to, and is not started again.
func (p *init1) look(environ []string, failed error) (code int, ended bool, err error) {
	if code, ended := p.reap(); ended {
		return code, true, nil
	}
	switch {
	case p.ending:
		return 0, false, nil
	case failed != nil:
		p.Log("the values cannot be read, and the command keeps those it has: %v", failed)
		return 0, false, nil
	case slices.Equal(environ, p.environ):
		return 0, false, nil
	}
	p.environ = environ
	if p.Signal != 0 {
		p.Log("a value has changed; the command gets %v", p.Signal)
		p.pass(p.Signal)
		return 0, false, nil
	}
	p.Log("a value has changed; the command is started again")
	if code, last := p.end(); last {
		return code, true, nil
	}
	if err := p.start(); err != nil {
		return 0, false, fmt.Errorf("started again after a change: %w", err)
	}
	return 0, false, nil
}

// end has the command end, and kills it after the grace. last says that somebody else had
// it end meanwhile, and that it is not to be started again.
func (p *init1) end() (code int, last bool) {
	p.pass(syscall.SIGTERM)
	grace := time.NewTimer(p.Grace)
	defer grace.Stop()
	for {
		select {
		case s := <-p.signals:
			p.pass(s)
			last = last || slices.Contains([]os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT}, s)
		case <-p.children:
		case <-grace.C:
			p.Log("the command has not ended within %v and is killed", p.Grace)
			p.pass(syscall.SIGKILL)
		}
		if code, ended := p.reap(); ended {
			return code, last
		}
	}
}

package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/lanyardhq/lanyard/server/exec/reference"
)

// Flags are the flags of every program that runs a command with values.
type Flags struct {
	// Volume is the directory of the values.
	Volume string

	set      []string
	all      bool
	prefix   string
	refers   []string
	watch    bool
	onChange string
	grace    time.Duration
	interval time.Duration
}

// signals are those that a change can send, by name.
var signals = map[string]syscall.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "QUIT": syscall.SIGQUIT}

// Signal is a signal that a change can send, by its name with or without SIG.
func Signal(name string) (signal syscall.Signal, known bool) {
	signal, known = signals[strings.TrimPrefix(strings.ToUpper(name), "SIG")]
	return signal, known
}

// SignalNames are the names that Signal knows.
func SignalNames() string { return strings.Join(sorted(signals), ", ") }

const restart = "restart"

// AddTo adds the flags to a set. What follows the first argument is the command's.
func (f *Flags) AddTo(flags *pflag.FlagSet) {
	flags.SetInterspersed(false)
	flags.StringVar(&f.Volume, "volume", "", "`DIR` in which the volume of a class is mounted")
	flags.StringArrayVar(&f.set, "env", nil, "variable with the object that it gets the value of, as `NAME=OBJECT`; may be repeated")
	flags.BoolVar(&f.all, "all", false, "give every object a variable whose name is free: its path in capitals, with underscores for what is no letter or digit")
	flags.StringVar(&f.prefix, "prefix", "", "`TEXT` before the names of --all")
	flags.StringSliceVar(&f.refers, "references", reference.Syntaxes(), "the `SYNTAXES` of references that variables may have beside lanyard:OBJECT, by the programs that they are from, or none")
	flags.BoolVar(&f.watch, "watch", false, "stay as the process that starts the command, and follow the values")
	flags.StringVar(&f.onChange, "on-change", restart, "what a changed value does with --watch: restart, or the `SIGNAL` that the command gets, such as HUP")
	flags.DurationVar(&f.grace, "grace", 30*time.Second, "`TIME` that the command may take to end before it is killed, for a restart")
	flags.DurationVar(&f.interval, "interval", 5*time.Second, "`TIME` after which the values are looked at again with --watch")
}

// Options are those that the flags say. The error names the flag.
func (f *Flags) Options() (Options, error) {
	o := Options{Set: map[string]string{}, All: f.all, Prefix: f.prefix}
	if !slices.Equal(f.refers, []string{"none"}) {
		o.References = f.refers
	}
	for _, syntax := range o.References {
		if !slices.Contains(reference.Syntaxes(), syntax) {
			return o, fmt.Errorf("--references must be none or some of %s", strings.Join(reference.Syntaxes(), ", "))
		}
	}
	for _, pair := range f.set {
		name, object, ok := strings.Cut(pair, "=")
		switch _, twice := o.Set[name]; {
		case !ok || name == "" || object == "":
			return o, fmt.Errorf("--env %s: must be NAME=OBJECT", pair)
		case twice:
			return o, fmt.Errorf("--env: %s is given twice", name)
		}
		o.Set[name] = object
	}
	_, known := Signal(f.onChange)
	switch {
	case f.prefix != "" && !f.all:
		return o, errors.New("--prefix is for the names of --all")
	case f.onChange != restart && !known:
		return o, fmt.Errorf("--on-change must be restart or one of %s", SignalNames())
	case f.onChange != restart && !f.watch:
		return o, errors.New("--on-change has no effect without --watch")
	case f.grace <= 0 || f.interval < 100*time.Millisecond:
		return o, errors.New("--grace must be above 0, and --interval at least 100ms")
	}
	return o, nil
}

// Run puts the values into the environment and becomes the command; with --watch it stays
// and returns the command's exit code. The context ends the reading of values before the
// command is started.
func (f *Flags) Run(ctx context.Context, args, environ []string, values Values, log io.Writer) (int, error) {
	options, err := f.Options()
	if err != nil {
		return 0, err
	}
	made := func(ctx context.Context) ([]string, error) { return Environment(ctx, environ, values, options) }
	if !f.watch {
		environ, err := made(ctx)
		if err != nil {
			return 0, err
		}
		// A signal from here on ends this process or is the command's; one before is told
		// by the context.
		signal.Reset()
		if err := interrupted(ctx); err != nil {
			return 0, err
		}
		return 0, Replace(args, environ)
	}
	ticker := time.NewTicker(f.interval)
	defer ticker.Stop()
	w := Watch{Environment: made, Ticks: ticker.C, Grace: f.grace, Log: func(format string, args ...any) { fmt.Fprintf(log, "lanyard: "+format+"\n", args...) }}
	if f.onChange != restart {
		w.Signal, _ = Signal(f.onChange)
	}
	return w.Run(ctx, args)
}

// CheckArgs refuses arguments that name no command.
func CheckArgs(args []string) error {
	if len(args) == 0 || slices.Contains([]string{"", "--"}, args[0]) {
		return errors.New("say which command is run, after --")
	}
	return nil
}

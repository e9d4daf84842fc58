// Command cmd plants each defect in turn, installs a Lanyard that has it in the
// lab, and runs the scenarios that have to notice:
//
//	go run ./defects/cmd [NAME ...]
//
// It succeeds only if they go red each time, and for the defect's own reason. It
// uses the lab that is up, or brings one up and takes it down again; it needs
// root.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/cluster/defects"
	"github.com/lanyardhq/lanyard/integration/cluster/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "defects:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, names []string) (err error) {
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	progress := lab.Progress(os.Stderr)
	scratch, err := os.MkdirTemp("", "lanyard-defects-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // nobody needs it
	scenarios := filepath.Join(scratch, "scenarios")
	// The module's folder is where this program is run.
	if output, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", scenarios, "./scenarios").CombinedOutput(); err != nil { //nolint:gosec // the path is made above
		return fmt.Errorf("compile the scenarios: %w\n%s", err, output)
	}
	l, done, err := open(ctx, progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()

	var failed []error
	for _, defect := range chosen {
		dir := filepath.Join(scratch, defect.Name)
		if err := hold(ctx, l, defect, dir, scenarios, progress); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", defect.Name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// choose returns the defects of the names; all if there are none.
func choose(names []string) (chosen []defects.Defect, err error) {
	if len(names) == 0 {
		return defects.All(), nil
	}
	for _, name := range names {
		all := defects.All()
		i := slices.IndexFunc(all, func(d defects.Defect) bool { return d.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no defect %s", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// open returns the lab that is up, or one that it brings up. done leaves the lab
// as it was found: without a defect, or not at all. It has time of its own: it is
// wanted after an interruption too.
func open(ctx context.Context, progress func(string)) (l *lab.Lab, done func() error, err error) {
	const patience = 3 * time.Minute
	l, err = lab.Open(cluster.DefaultDir, progress)
	if err == nil {
		return l, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			return l.Refresh(ctx)
		}, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	if l, err = lab.Up(ctx, cluster.DefaultDir, progress); err != nil {
		return nil, nil, lab.GiveUp(cluster.DefaultDir, err, progress)
	}
	return l, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return lab.Down(ctx, cluster.DefaultDir, progress)
	}, nil
}

// hold plants a defect and is an error unless the scenarios notice.
func hold(ctx context.Context, l *lab.Lab, defect defects.Defect, dir, scenarios string, progress func(string)) error {
	progress("planting " + defect.Name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := defect.Plant(ctx, dir); err != nil {
		return err
	}
	tag := "defect-" + defect.Name
	if err := l.BuildImageFrom(ctx, dir, tag); err != nil {
		return err
	}
	if err := l.Helm(ctx, "image.tag="+tag); err != nil {
		return err
	}
	progress("running " + defect.Scenarios)
	tests := exec.CommandContext(ctx, scenarios, "-test.run", defect.Scenarios, "-test.v") //nolint:gosec // compiled above
	tests.Env = append(os.Environ(), lab.InLab+"=1")
	output, err := tests.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return fmt.Errorf("the scenarios %s do not notice it:\n%s", defect.Scenarios, output)
	case !errors.As(err, &exit) || exit.ExitCode() != 1:
		return fmt.Errorf("the scenarios %s were broken off: %w\n%s", defect.Scenarios, err, output)
	case !defect.Says.Match(output):
		return fmt.Errorf("the scenarios %s fail, but none says %q:\n%s", defect.Scenarios, defect.Says, output)
	}
	progress(fmt.Sprintf("noticed: %s", defect.Says.Find(output)))
	return nil
}

// Command cmd plants each defect in turn and runs what has to notice: a test of the
// product, or scenarios in the lab, in which a Lanyard that has the defect is installed:
//
//	go run ./defects/cmd [NAME ...]
//
// It succeeds only if they go red each time, and for the defect's own reason. For
// scenarios it uses the lab that is up, or brings one up and takes it down again; that
// needs root.
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

	var failed []error
	ofLab := false
	for _, defect := range chosen {
		if defect.Package == "" {
			ofLab = true
			continue
		}
		if err := notice(ctx, defect, filepath.Join(scratch, defect.Name), progress, defect.Notice); err != nil {
			failed = append(failed, err)
		}
	}
	if ofLab && ctx.Err() == nil {
		failed = append(failed, inLab(ctx, chosen, scratch, progress))
	}
	return errors.Join(failed...)
}

// inLab holds the defects that scenarios have to notice.
func inLab(ctx context.Context, chosen []defects.Defect, scratch string, progress func(string)) (err error) {
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
		if defect.Package != "" {
			continue
		}
		err := notice(ctx, defect, filepath.Join(scratch, defect.Name), progress, func(ctx context.Context, dir string) (string, error) {
			tag := "defect-" + defect.Name
			if err := l.BuildImageFrom(ctx, dir, tag); err != nil {
				return "", err
			}
			if err := l.Helm(ctx, "image.tag="+tag); err != nil {
				return "", err
			}
			progress("running " + defect.Tests)
			return defect.NoticeScenarios(ctx, scenarios, lab.InLab+"=1")
		})
		if err != nil {
			failed = append(failed, err)
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

// notice plants a defect in dir and is an error unless it is noticed.
func notice(ctx context.Context, defect defects.Defect, dir string, progress func(string), by func(context.Context, string) (string, error)) error {
	progress("planting " + defect.Name)
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = defect.Plant(ctx, dir)
	}
	said := ""
	if err == nil {
		said, err = by(ctx, dir)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", defect.Name, err)
	}
	progress("noticed: " + said)
	return nil
}

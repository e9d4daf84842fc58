package cmd

import (
	"context"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/reload"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/server/admin"
	"github.com/lanyardhq/lanyard/server/process"
	"github.com/lanyardhq/lanyard/server/status"
)

// opened is what a process that stays reads stores with: an engine under a configuration,
// and what tells of what it does.
type opened struct {
	file     *config.File // nil for none
	registry *prometheus.Registry
	engine   *localEngine
	watcher  *reload.Watcher // of the file; nil before watch, and without a file
	telemetry
}

// openEngine opens what tells of the process, which is called by the name of its program, and then the engine that
// connect makes. Its error says which lines of the file are wrong.
func openEngine(file *config.File, holds config.Config, program, node string, registry *prometheus.Registry, connect func(telemetry) (*localEngine, error)) (*opened, error) {
	o := &opened{file: file, registry: registry}
	var err error
	if o.telemetry, err = openTelemetry(holds, program, node, registry); err == nil {
		if o.engine, err = connect(o.telemetry); err != nil {
			o.telemetry.close()
		}
	}
	switch {
	case err == nil:
		return o, nil
	case file != nil:
		err = file.Explain(err)
	}
	return nil, usageError{err}
}

// close waits for reads, and then for what they have said in the trail.
func (o *opened) close(shutdown *process.Shutdown) {
	defer o.telemetry.close()
	defer shutdown.Runs("reads of stores")()
	o.engine.Close()
}

// refresh has the trail's file opened anew, and every value read anew.
func (o *opened) refresh() {
	o.trail.Reopen()
	o.engine.Refresh()
}

// watch makes the watcher of the configuration file, if there is one. applied is told what
// holds now.
func (o *opened) watch(applied func(config.Config)) {
	if o.file == nil {
		return
	}
	o.watcher = config.NewWatcher(o.file, func(changed config.Config) error {
		err := configure(o.engine, o.telemetry, changed)
		if err == nil {
			applied(changed)
		}
		return err
	}, o.registry)
}

// follow follows the configuration file, once watch was called, and at SIGHUP reads it and has refreshed what
// depends on it, in the group until ctx ends.
func (o *opened) follow(ctx context.Context, group *errgroup.Group, hangups <-chan os.Signal, refresh func()) {
	if o.watcher != nil {
		group.Go(func() error { o.watcher.Run(ctx); return nil })
	}
	group.Go(func() error { onHangup(ctx, hangups, o.watcher, refresh); return nil })
}

// statusOf is the status of a process that starts now: the facts of its engine, unless it
// is nil, whether the file of the watcher is refused, and what add adds. With tokens the API server, to which the engine has an access,
// says who may ask from elsewhere; else nobody may.
func statusOf(program, node string, engine *localEngine, watcher *reload.Watcher, tokens bool, add func(*status.Facts)) status.Options {
	if node == "" {
		node, _ = os.Hostname() //nolint:errcheck // the field is left out then
	}
	started := time.Now()
	options := status.Options{Collect: func() *status.Facts {
		facts := &status.Facts{Program: program, Version: thisBuild().Version, Node: node, Started: started, Made: time.Now()}
		if engine != nil {
			facts.Facts = engine.Facts()
		}
		if add != nil {
			add(facts)
		}
		if refused := watcher.Refused(); refused != nil {
			facts.Problems = append(facts.Problems, status.Problem{Error: message.Passage(refusedFile + refused.Cause), Since: refused.Since})
		}
		return facts
	}}
	if tokens {
		options.Allowed = engine.tokens.Reviews(status.Audience, status.Path).Allowed
	}
	return options
}

// refusedFile is said before why a file that has changed does not hold.
const refusedFile = "the file has changed and cannot be used; what held before still does: "

// addStatusTokens adds the flag that lets somebody elsewhere ask for the status.
func addStatusTokens(flags *pflag.FlagSet, tokens *bool) {
	flags.BoolVar(tokens, "status-tokens", false, "let holders of a token for the audience "+status.Audience+" ask for the status from elsewhere, whom the API server lets get "+status.Path)
}

// serveAdmin serves those who run the process, in the group until ctx ends; an empty
// address serves nobody.
func serveAdmin(ctx context.Context, group *errgroup.Group, address string, options admin.Options) error {
	if address == "" {
		return nil
	}
	server := admin.New(options)
	listener, err := server.Open(address)
	if err != nil {
		return err
	}
	group.Go(func() error { return server.Run(ctx, address, listener) })
	group.Go(func() error {
		<-ctx.Done()
		server.Stop(context.Background())
		return nil
	})
	return nil
}

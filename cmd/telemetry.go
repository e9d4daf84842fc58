package cmd

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/tracing"
)

// telemetry is what tells of what a process does, beside its metrics and its log: the audit trail, and traces.
type telemetry struct {
	trail  *audit.Log
	tracer *tracing.Tracer
}

// openTelemetry opens both, of a server whose engine is not there yet.
func openTelemetry(holds config.Config, program, node string, registry prometheus.Registerer) (t telemetry, err error) {
	t.trail, err = audit.New(audit.Options{Settings: holds.Audit, Proxy: holds.Proxy, Node: node, Metrics: registry})
	if err != nil {
		return telemetry{}, problemOf("audit", err)
	}
	if t.tracer, err = openTracer(holds.Tracing, holds.Proxy, program, node, registry); err != nil {
		t.trail.Close()
		return telemetry{}, problemOf("tracing", err)
	}
	return t, nil
}

// openTracer opens the traces of a program.
func openTracer(settings config.Tracing, proxy config.Proxy, program, node string, registry prometheus.Registerer) (*tracing.Tracer, error) {
	return tracing.New(tracing.Options{Settings: settings, Proxy: proxy, Service: program, Version: thisBuild().Version, Node: node, Metrics: registry})
}

// problemOf says what is wrong with the configuration if something below a field cannot be opened.
func problemOf(field string, err error) error {
	return spec.Problems{{Field: field, Text: err.Error()}}
}

// configure makes both follow a changed configuration, or neither.
func (t telemetry) configure(changed config.Config, before config.Config) error {
	if err := t.trail.Configure(changed.Audit, changed.Proxy); err != nil {
		return problemOf("audit", err)
	}
	if err := t.tracer.Configure(changed.Tracing, changed.Proxy); err != nil {
		err = problemOf("tracing", err)
		if back := t.trail.Configure(before.Audit, before.Proxy); back != nil {
			return errors.Join(err, problemOf("audit", back))
		}
		return err
	}
	return nil
}

// close sends and writes what waits.
func (t telemetry) close() {
	t.tracer.Close()
	t.trail.Close()
}

// configure makes a changed configuration hold for the engine and what tells of it, or for
// neither.
func configure(e *localEngine, t telemetry, changed config.Config) error {
	before := e.Config()
	if err := t.configure(changed, before); err != nil {
		return err
	}
	err := e.Configure(changed)
	if err != nil {
		if back := t.configure(before, changed); back != nil {
			return errors.Join(err, back)
		}
	}
	return err
}

// addTracing adds the flag of commands that have no configuration of the operator's.
func addTracing(c *cobra.Command, file *string) {
	c.Flags().StringVar(file, "tracing", "", "send spans as this `FILE` says, which has what stands under tracing in the operator's configuration")
}

// openTracingFile opens the traces that a file describes; nil if none is named.
func openTracingFile(file, program, node string, registry prometheus.Registerer) (*tracing.Tracer, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // a nil Tracer begins no spans
	}
	settings, err := config.LoadTracing(file)
	if err != nil {
		return nil, usagef("--tracing: %w", err)
	}
	tracer, err := openTracer(settings, config.Proxy{}, program, node, registry)
	if err != nil {
		return nil, usagef("--tracing: %s: %w", file, err)
	}
	return tracer, nil
}

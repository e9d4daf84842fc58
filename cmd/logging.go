package cmd

import (
	"flag"
	"io"
	"log/slog"
	"math"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
)

// logFlags say how a server logs.
type logFlags struct {
	format    string
	verbosity int
}

func (f *logFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.format, "logging-format", "text", "`FORMAT` of the log: text or json")
	offer(c, "logging-format", "text", "json")
	c.Flags().IntVarP(&f.verbosity, "v", "v", 0, "verbosity `LEVEL` of the log: 2 adds a line for each mount")
}

// apply sets up the process's log, which goes to stderr. It comes before
// everything that may log.
func (f *logFlags) apply(stderr io.Writer) error {
	if f.format != "text" && f.format != "json" {
		return usagef("--logging-format must be text or json")
	}
	if f.verbosity < 0 || f.verbosity > math.MaxInt8 {
		return usagef("-v must be from 0 to %d", math.MaxInt8)
	}
	settings := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(settings)
	for name, value := range map[string]string{
		"v": strconv.Itoa(f.verbosity),
		// One line for each entry, in one place.
		"logtostderr": "false", "one_output": "true", "stderrthreshold": "FATAL",
	} {
		if err := settings.Set(name, value); err != nil {
			return err
		}
	}
	klog.SetOutput(stderr)
	if f.format == "json" {
		klog.SetSlogLogger(slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{
			// klog has decided by its verbosity already.
			Level:       slog.Level(math.MinInt8),
			ReplaceAttr: plainAttr,
		})))
	}
	return nil
}

// plainAttr writes durations in seconds, and the levels that a log has to sort
// by: INFO and ERROR. Which verbosity an entry needed says nothing of its weight.
func plainAttr(_ []string, attr slog.Attr) slog.Attr {
	if attr.Value.Kind() == slog.KindDuration {
		attr.Value = slog.Float64Value(attr.Value.Duration().Round(time.Microsecond).Seconds())
	}
	if level, ok := attr.Value.Any().(slog.Level); ok && level < slog.LevelInfo {
		attr.Value = slog.AnyValue(slog.LevelInfo)
	}
	return attr
}

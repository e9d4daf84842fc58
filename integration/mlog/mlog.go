// Package mlog stands in for the logging module of the Secrets Store CSI
// driver, which not every module proxy serves: the few names that the driver
// uses, over klog. Only the driver's code below integration/ uses it.
package mlog

import (
	"context"
	"flag"
	"fmt"
	"strconv"

	"k8s.io/klog/v2"
)

// Format is how log lines are written; this package always writes text.
type Format string

// The formats that the driver knows.
const (
	FormatText Format = "text"
	FormatJSON Format = "json"
)

// Setup returns the function that flushes the log.
func Setup() func() { return klog.Flush }

// ValidateAndSetKlogLevelAndFormatGlobally sets klog's verbosity.
func ValidateAndSetKlogLevelAndFormatGlobally(_ context.Context, level klog.Level, format Format) error {
	if format != FormatText && format != FormatJSON {
		return fmt.Errorf("unknown log format %q: want %s or %s", format, FormatText, FormatJSON)
	}
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	return flags.Set("v", strconv.Itoa(int(level)))
}

// Error logs err.
func Error(message string, err error, keysAndValues ...any) {
	klog.ErrorS(err, message, keysAndValues...)
}

// Fatal logs err and ends the process.
func Fatal(err error) { klog.Fatal(err) }

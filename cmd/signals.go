package cmd

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/internal/reload"
)

// hangups catches SIGHUP, which would end the process, from now until stop is called.
func hangups() (caught <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// onHangup reads the file of a watcher, if there is one, at each SIGHUP and then calls
// forget, until ctx ends. It logs one line for each.
func onHangup(ctx context.Context, caught <-chan os.Signal, watcher *reload.Watcher, forget func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-caught:
		}
		var err error
		if watcher != nil {
			err = watcher.Reload()
		}
		forget()
		if err != nil {
			klog.ErrorS(nil, "SIGHUP: the file cannot be used; the one before still holds", "cause", err.Error())
			continue
		}
		klog.InfoS("SIGHUP: the file was read again and holds")
	}
}
